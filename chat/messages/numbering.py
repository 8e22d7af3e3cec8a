"""Numbers the messages that a release without change numbers stores while it still runs beside this one."""

from django.db import transaction

from chat.models import Message, Room
from chat.rows import grouped

# Messages that one sweep numbers.
SWEEP_BATCH = 200


def sweep() -> bool:
    """Give up to SWEEP_BATCH messages their room's next change numbers, so that `message.changes` has them.

    Return whether some may be left.
    """
    # Read first, so that there is no write and no lock without such messages.
    found = list(
        Message.objects.filter(rev=0).order_by("room_id", "seq").values_list("room_id", "pk")[:SWEEP_BATCH]
    )
    for room_id, ids in grouped(found).items():
        _number(room_id, ids)
    return len(found) == SWEEP_BATCH


@transaction.atomic
def _number(room_id: int, ids: list[int]) -> None:
    room = Room.objects.select_for_update(no_key=True).get(pk=room_id)
    first = room.next_rev
    messages = list(Message.objects.filter(pk__in=ids, rev=0).order_by("seq"))
    for rev, message in enumerate(messages, first):
        message.rev = rev
    Message.objects.bulk_update(messages, ["rev"])
    if messages:
        room.last_rev = messages[-1].rev
        newest = messages[-1].sent_at
        room.last_message_at = max(room.last_message_at or newest, newest)
        room.save(update_fields=["last_rev", "last_message_at"])
