from django.db import migrations
from django.db.models import F, Max, OuterRef, Subquery

# Messages that are updated in one transaction, so that rooms are not locked for long.
BATCH = 5000


def number(apps, schema_editor):
    """Give existing messages the change numbers that they would have had: those of their order."""
    Room, Message = apps.get_model("chat", "Room"), apps.get_model("chat", "Message")
    newest = Message.objects.aggregate(id=Max("id"))["id"] or 0
    for start in range(0, newest + 1, BATCH):
        batch = Message.objects.filter(id__gte=start, id__lt=start + BATCH, rev=0)
        batch.update(rev=F("seq"))
    last = Message.objects.filter(room=OuterRef("pk")).order_by("-seq").values("sent_at")[:1]
    Room.objects.filter(last_rev__lt=F("last_seq")).update(last_rev=F("last_seq"), last_message_at=Subquery(last))


class Migration(migrations.Migration):
    # In batches, beside a release that still writes.
    atomic = False

    dependencies = [("chat", "0004_changes")]

    operations = [migrations.RunPython(number, migrations.RunPython.noop, elidable=True)]
