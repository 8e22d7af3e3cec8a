from django.db import migrations

from accounts.core.text import name_key


def refold(apps, schema_editor):
    """Give open rooms the new keys.

    If two now look the same, the older one gets it and the other keeps its old key.
    """
    Room = apps.get_model("chat", "Room")
    taken = set(Room.objects.filter(archived_at__isnull=True).values_list("tenant_id", "name_key"))
    for room in Room.objects.filter(archived_at__isnull=True).order_by("id"):
        key = name_key(room.name)
        if key and key != room.name_key and (room.tenant_id, key) not in taken:
            taken.add((room.tenant_id, key))
            room.name_key = key
            room.save(update_fields=["name_key"])


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('chat', '0002_message_names_by_tenant'),
    ]

    operations = [migrations.RunPython(refold, migrations.RunPython.noop, elidable=True)]
