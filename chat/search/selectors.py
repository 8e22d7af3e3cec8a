"""Finds messages by their text and by what belongs to them, in the rooms that the user is in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext as _

from accounts.models import User
from chat import payloads, wire
from chat.errors import field_error
from chat.messages.reading import messages_view
from chat.models import File, Mention, Message, Reaction, Room, RoomMembership
from chat.rows import like
from chat.search.index import INDEXED, TABLE, TRIGRAM_CHARS, catch_up
from chat.search.query import SearchQuery, parse_query
from chat.selectors import access_joined_room
from chat.text import room_name_key
from chat.wire import PAGE_BYTES_MAX, fitting
from realtime import UserId

# Messages whose rows a search reads if no index finds them: the newest of the rooms.
SCANNED_MAX = 200_000
# If the rooms have at least this many messages, the newest of all are looked at first.
MANY = 5_000

_MATCHING = f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH %s"  # noqa: S608 our own name

_NEWEST_INDEXED = f"SELECT COALESCE(MAX(id), 0) FROM {INDEXED}"  # noqa: S608 our own name
_HAS: dict[str, Q] = {
    "file": Q(Exists(File.objects.filter(message=OuterRef("pk")))),
    "image": Q(Exists(File.objects.filter(message=OuterRef("pk"), width__isnull=False))),
    "link": Q(html__contains="<a href="),
    "reaction": Q(Exists(Reaction.objects.filter(message=OuterRef("pk")))),
    "pin": Q(pinned_at__isnull=False),
    "reply": Q(reply_to_seq__isnull=False),
    "mention": Q(Exists(Mention.objects.filter(room=OuterRef("room"), seq=OuterRef("seq")))),
}


def search(tenant_id: int, user_id: UserId, payload: payloads.Search) -> wire.FoundMessages:
    """Find messages: `from: in: before: after: has:` and words. The newest come first.

    Only open rooms that the user is in are searched. An empty
    query finds nothing. Raises RequestError(not_found | permission_denied) for a given room, and
    RequestError(invalid_message) for a time that no database holds.
    """
    wanted, limit, before = parse_query(payload.query), payload.limit, payload.before
    if wanted == SearchQuery():
        return wire.FoundMessages([], has_more=False)
    if isinstance(before, datetime):
        moment = _utc(before)
        wanted = replace(wanted, before=min(moment, wanted.before or moment))
    is_behind = catch_up()
    rooms = _rooms(tenant_id, user_id, wanted, payload.room_id)
    found = _candidates(tenant_id, rooms, wanted).filter(deleted_at__isnull=True)
    found = _filtered(found, wanted)
    if isinstance(before, int):
        found = found.filter(pk__lt=before)
    ids = _with_words(found, wanted.words, is_behind=is_behind).order_by("-pk").values("pk")[: limit + 1]
    # Authors are joined to the page only. PostgreSQL would join them to all that is found until it has statistics.
    rows = list(Message.objects.filter(pk__in=ids).select_related("author").order_by("-pk"))
    page = fitting(messages_view(tenant_id, user_id, rows[:limit]), PAGE_BYTES_MAX)
    return wire.FoundMessages(page, len(rows) > len(page))


def _utc(moment: datetime) -> datetime:
    """Return the moment in UTC, as databases hold it; raises RequestError(invalid_message) outside of years 1 to 9999."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise field_error("payload.before", _("This time is out of range.")) from None


def _rooms(tenant_id: int, user_id: UserId, wanted: SearchQuery, room_id: int | None) -> Mapping[int, int]:
    mine = RoomMembership.objects.filter(
        user_id=user_id, room__tenant_id=tenant_id, room__archived_at__isnull=True
    )
    if room_id is not None:
        access_joined_room(tenant_id, user_id, room_id)
        mine = mine.filter(room_id=room_id)
    if wanted.room:
        named = Room.objects.filter(tenant_id=tenant_id, name_key=room_name_key(wanted.room))
        mine = mine.filter(room__in=named)
    return dict(mine.values_list("room_id", "room__last_seq"))


def _candidates(tenant_id: int, rooms: Mapping[int, int], wanted: SearchQuery) -> "QuerySet[Message]":
    """Select the messages to look at: those that an index finds, or else the newest SCANNED_MAX of the rooms."""
    here = Message.objects.filter(room_id__in=list(rooms))
    if "pin" in wanted.has:
        return here
    if wanted.has & {"file", "image"}:
        sent = File.objects.filter(tenant_id=tenant_id, message__isnull=False)
        return here.filter(pk__in=sent.values("message_id"))
    if wanted.sender:
        named = like("username__iexact", wanted.sender)
        named |= like("memberships__name__iexact", wanted.sender) & Q(memberships__tenant_id=tenant_id)
        by = here.filter(author_id__in=list(User.objects.filter(named).values_list("pk", flat=True)))
        return Message.objects.filter(pk__in=by.order_by("-pk").values("pk")[:SCANNED_MAX])
    if any(len(word) >= TRIGRAM_CHARS for word in wanted.words):
        if connection.vendor != "sqlite" or sum(rooms.values()) < MANY:
            return here
        # SQLite would read all messages of the rooms by their index, and sort them, before it takes the newest.
        return Message.objects.alias(in_room=F("room_id") + 0).filter(in_room__in=list(rooms))
    return _newest(rooms, wanted.before)


def _newest(rooms: Mapping[int, int], before: datetime | None) -> "QuerySet[Message]":
    """Select the newest messages of the rooms; of one room the newest before a moment, however long ago it is."""
    if len(rooms) == 1 and before is not None and max(rooms.values()) > SCANNED_MAX:
        [(room_id, last_seq)] = rooms.items()
        end = _last_seq_before(before, room_id, last_seq)
        return Message.objects.filter(room_id=room_id, seq__gt=end - SCANNED_MAX, seq__lte=end)
    most = _most_of_each(rooms.values())
    newest = Room.objects.filter(pk__in=list(rooms), messages__seq__gt=F("last_seq") - most)
    return Message.objects.filter(pk__in=newest.order_by().values("messages__pk"))


def _most_of_each(counts: Collection[int]) -> int:
    """Return how many messages of each room are looked at, so that all together are at most SCANNED_MAX."""
    left = SCANNED_MAX
    for at, count in enumerate(sorted(counts)):
        most = left // (len(counts) - at)
        if count > most:
            return most
        left -= count
    return SCANNED_MAX


def _last_seq_before(moment: datetime, room_id: int, last_seq: int) -> int:
    """Return the number of a room's last message before a moment, by halving: numbers follow the time."""
    here = Message.objects.filter(room_id=room_id).order_by("-seq").values_list("seq", "sent_at")
    low, high = 0, last_seq
    while low < high:
        middle = (low + high + 1) // 2
        seq, sent_at = here.filter(seq__lte=middle).first() or (0, moment)
        low, high = (middle, high) if seq == 0 or sent_at < moment else (low, seq - 1)
    return low


def _filtered(found: "QuerySet[Message]", wanted: SearchQuery) -> "QuerySet[Message]":
    if wanted.before is not None:
        found = found.filter(sent_at__lt=wanted.before)
    if wanted.after is not None:
        found = found.filter(sent_at__gte=wanted.after)
    for part in sorted(wanted.has):
        found = found.filter(_HAS[part])
    return found


def _with_words(found: "QuerySet[Message]", words: Sequence[str], *, is_behind: bool) -> "QuerySet[Message]":
    indexed = [word for word in words if len(word) >= TRIGRAM_CHARS]
    if indexed and connection.vendor == "sqlite":
        # Each word in quotes, so that nothing in it is syntax.
        phrases = " ".join('"{}"'.format(word.replace('"', '""')) for word in indexed)
        matching = Q(pk__in=RawSQL(_MATCHING, [phrases]))  # noqa: S611 the words are a parameter
        found = found.filter(matching | _newer(indexed) if is_behind else matching)
        words = [word for word in words if len(word) < TRIGRAM_CHARS]
    for word in words:
        found = found.filter(like("text__icontains", word))
    return found


def _newer(words: Sequence[str]) -> Q:
    """Select the messages that contain these words and are not indexed yet."""
    newer = Q(pk__gt=RawSQL(_NEWEST_INDEXED, []))  # noqa: S611 without parameters
    for word in words:
        newer &= like("text__icontains", word)
    return newer
