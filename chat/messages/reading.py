"""Reading messages: pages, changes, pins, one message. The number of queries does not depend on the page."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import Membership, User
from chat import payloads, wire
from chat.batches import MessageName
from chat.models import File, Mention, Message, Reaction
from chat.rendering.markdown import RENDERER_VERSION, ROOM_NAMES, names_mentioned, render
from chat.rows import grouped
from chat.selectors import access_joined_room
from chat.wire import PAGE_BYTES_MAX, fitting
from realtime import ErrorCode, RequestError, UserId

# Pinned messages of a room; `chat.messages.changing` lets no more be pinned.
PINS_MAX = 100


def message_list(tenant_id: int, user_id: UserId, payload: payloads.MessageList) -> wire.MessagePage:
    """Return a page of a room's messages.

    The first `limit` messages after `after_seq`, those around `around_seq`, or the newest. `before_seq` limits the
    newest. The messages are in order. Raises RequestError(not_found | permission_denied).
    """
    room = access_joined_room(tenant_id, user_id, payload.room_id).room
    before_seq, after_seq, around_seq = payload.before_seq, payload.after_seq, payload.around_seq
    messages, limit = _of(tenant_id, room.pk), payload.limit
    if before_seq is not None:
        messages = messages.filter(seq__lt=before_seq)
    older, newer, older_max = messages, messages.none(), limit
    if around_seq is not None:
        older, newer = messages.filter(seq__lt=around_seq), messages.filter(seq__gte=around_seq)
        older_max = limit // 2
    elif after_seq is not None:
        older, newer, older_max = messages.none(), messages.filter(seq__gt=after_seq), 0
    newer_max = limit - older_max
    # Both begin at the reader, so that the farthest messages are left out.
    rows_before = list(older.order_by("-seq")[: older_max + 1])
    rows_after = list(newer.order_by("seq")[: newer_max + 1])
    views = messages_view(tenant_id, user_id, [*rows_before[:older_max], *rows_after[:newer_max]])
    middle = min(len(rows_before), older_max)
    before = fitting(views[:middle], PAGE_BYTES_MAX * older_max // limit)
    after = fitting(views[middle:], PAGE_BYTES_MAX * newer_max // limit)
    has_older, has_rest = len(rows_before) > len(before), len(rows_after) > len(after)
    has_newer = has_rest or (before_seq is not None and max(before_seq, 1) <= room.last_seq)
    if around_seq is not None:
        has_more = has_older or has_newer
    elif after_seq is not None:
        has_more, has_older = has_rest, min(after_seq, room.last_seq) > 0
    else:
        has_more = has_older
    last_rev = max(room.last_rev, room.last_seq)
    return wire.MessagePage(room.pk, [*before[::-1], *after], has_older, has_newer, has_more, last_rev)


def message_changes(
    tenant_id: int, user_id: UserId, payload: payloads.MessageChanges
) -> wire.ChangedMessages:
    """Return the messages that changed after a change number, each once, in its newest state.

    Raises RequestError(unrecoverable_position) if the room never had this number, or if rows that
    changed since are gone. Raises RequestError(not_found | permission_denied).
    """
    room = access_joined_room(tenant_id, user_id, payload.room_id).room
    messages, after_rev, limit = _of(tenant_id, room.pk), payload.after_rev, payload.limit
    newest = max(room.last_rev, room.last_seq)
    # A message's change number is at least its own number. So if messages above `after_rev` are gone,
    # their changes are gone too.
    first_seq = messages.order_by("seq").values_list("seq", flat=True).first()
    left_from = room.last_seq + 1 if first_seq is None else first_seq
    if after_rev > newest or after_rev < left_from - 1:
        raise RequestError(
            ErrorCode.UNRECOVERABLE_POSITION,
            _("These changes are no longer stored; load the messages again."),
        )
    found = list(messages.filter(rev__gt=after_rev).order_by("rev")[: limit + 1])
    page = fitting(messages_view(tenant_id, user_id, found[:limit]), PAGE_BYTES_MAX)
    has_more = len(found) > len(page)
    return wire.ChangedMessages(page, page[-1].rev if has_more else newest, has_more)


def pin_list(tenant_id: int, user_id: UserId, payload: payloads.InRoom) -> wire.PinList:
    """List the pinned messages of a room, the last pinned first.

    Those that fit into PAGE_BYTES_MAX. Raises RequestError(not_found | permission_denied).
    """
    room = access_joined_room(tenant_id, user_id, payload.room_id).room
    pinned = _of(tenant_id, room.pk).filter(pinned_at__isnull=False).order_by("-pinned_at", "-seq")
    views = messages_view(tenant_id, user_id, list(pinned[:PINS_MAX]))
    shown = fitting(views, PAGE_BYTES_MAX)
    return wire.PinList(room.pk, shown, len(shown) < len(views))


def messages_by_name(message_ids: Sequence[int]) -> dict[MessageName, wire.Message]:
    """Return stored messages by their names, as their authors see them."""
    if not message_ids:
        return {}
    found = list(Message.objects.filter(pk__in=message_ids, author__isnull=False).select_related("author"))
    by_author = grouped(((each.tenant_id, each.author_id or 0), each) for each in found)
    return {
        (tenant_id, author_id, view.client_msg_id): view
        for (tenant_id, author_id), messages in by_author.items()
        for view in messages_view(tenant_id, author_id, messages)
    }


def messages_between(
    room_id: int, after_seq: int, below_seq: int, *, since: datetime, besides: Collection[int] = ()
) -> list[wire.Message]:
    """Return a room's messages between two numbers, in order, without what depends on a reader.

    Those sent from `since` on, and not the numbers `besides`.
    """
    rows = Message.objects.filter(room_id=room_id, seq__gt=after_seq, seq__lt=below_seq, sent_at__gte=since)
    found = list(rows.exclude(seq__in=besides).select_related("author").order_by("seq"))
    return messages_view(found[0].tenant_id, 0, found) if found else []


def messages_view(tenant_id: int, user_id: UserId, messages: Sequence[Message]) -> list[wire.Message]:
    """Return messages with their related rows, as a user sees them. Their authors must be loaded."""
    if not messages:
        return []
    ids = [message.pk for message in messages]
    reactions, files = _reactions(ids, user_id), _files(ids)
    mentions = _mentions(messages)
    quoted = _quoted(tenant_id, messages)
    authors = _authors(tenant_id, [*messages, *quoted.values()])
    quotes = {key: _quote(each, authors[each.author_id]) for key, each in quoted.items()}
    htmls = _htmls(messages, mentions)
    return [
        wire.Message(
            id=message.pk,
            room_id=message.room_id,
            seq=message.seq,
            # Numbered by a release without changes.
            rev=message.rev or message.seq,
            author=authors[message.author_id],
            text=message.text,
            html=htmls[message.pk],
            sent_at=wire.time_of(message.sent_at),
            edited_at=None if message.edited_at is None else wire.time_of(message.edited_at),
            deleted=message.deleted_at is not None,
            reply_to=quotes.get((message.room_id, message.reply_to_seq)),
            files=files.get(message.pk, []),
            mentions=mentions.get((message.room_id, message.seq), []),
            client_msg_id=message.client_msg_id,
            reactions=reactions.get(message.pk, []),
        )
        for message in messages
    ]


def _of(tenant_id: int, room_id: int) -> "QuerySet[Message]":
    return Message.objects.filter(tenant_id=tenant_id, room_id=room_id).select_related("author")


def _reactions(ids: Sequence[int], user_id: UserId) -> Mapping[int, list[wire.Reaction]]:
    own = Reaction.objects.filter(message=OuterRef("message"), emoji=OuterRef("emoji"), user_id=user_id)
    rows = (
        Reaction.objects.filter(message_id__in=ids)
        .values("message_id", "emoji")
        .annotate(count=Count("pk"), mine=Exists(own))
        .order_by()
    )
    by_count = sorted(rows, key=lambda row: (-row["count"], row["emoji"]))
    return grouped(
        (row["message_id"], wire.Reaction(row["emoji"], row["count"], bool(row["mine"]))) for row in by_count
    )


def _files(ids: Sequence[int]) -> Mapping[int, list[wire.File]]:
    columns = ("message_id", "id", "name", "type", "size", "width", "height")
    rows = File.objects.filter(message_id__in=ids).order_by("place", "id").values_list(*columns)
    return grouped((message_id, wire.file_of(*file)) for message_id, *file in rows)


def _mentions(messages: Iterable[Message]) -> Mapping[tuple[int, int], list[int]]:
    mentions = Mention.objects.filter(_numbered((each.room_id, each.seq) for each in messages))
    rows = mentions.order_by("user_id").values_list("room_id", "seq", "user_id")
    return grouped(((room_id, seq), user_id) for room_id, seq, user_id in rows)


def _quoted(tenant_id: int, messages: Iterable[Message]) -> Mapping[tuple[int, int | None], Message]:
    numbers = [(each.room_id, each.reply_to_seq) for each in messages if each.reply_to_seq is not None]
    if not numbers:
        return {}
    found = Message.objects.filter(_numbered(numbers), tenant_id=tenant_id).select_related("author")
    return {(each.room_id, each.seq): each for each in found}


def _numbered(numbers: Iterable[tuple[int, int]]) -> Q:
    """Select the rows with these rooms and numbers."""
    where = Q()
    for room_id, seqs in grouped(numbers).items():
        where |= Q(room_id=room_id, seq__in=seqs)
    return where


def _quote(message: Message, author: wire.Author) -> wire.Quote:
    return wire.quote_of(message.seq, author, message.text, is_deleted=message.deleted_at is not None)


def _authors(tenant_id: int, messages: Iterable[Message]) -> Mapping[int | None, wire.Author]:
    """Return the authors of messages by their ids."""
    users = {each.author_id: each.author for each in messages}
    members = Membership.objects.filter(tenant_id=tenant_id, user__in=filter(None, users.values()))
    names: dict[int | None, str] = dict(members.order_by().values_list("user_id", "name"))
    return {
        user_id: wire.author_of(user_id, user.get_username() if user else None, names.get(user_id))
        for user_id, user in users.items()
    }


def _htmls(messages: Sequence[Message], mentions: Mapping[tuple[int, int], list[int]]) -> dict[int, str]:
    """Return the HTML of each message. HTML of an older renderer is made again and stored."""
    htmls = {message.pk: message.html for message in messages}
    stale = [each for each in messages if each.renderer < RENDERER_VERSION and each.deleted_at is None]
    if not stale:
        return htmls
    ids = {user_id for each in stale for user_id in mentions.get((each.room_id, each.seq), ())}
    rows: Any = User.objects.filter(pk__in=ids).values_list("pk", "username")
    names = {user_id: name.lower() for user_id, name in rows}
    # Before the transaction, which holds up all others with SQLite.
    htmls |= {each.pk: _html(each.text, names, mentions.get((each.room_id, each.seq), ())) for each in stale}
    with transaction.atomic():
        rows = Message.objects.select_for_update(no_key=True).filter(pk__in=[each.pk for each in stale])
        texts = dict(rows.filter(deleted_at__isnull=True).order_by("pk").values_list("pk", "text"))
        # Only if it is still the text that was rendered.
        same = [each for each in stale if texts.get(each.pk) == each.text]
        for message in same:
            message.html, message.renderer = htmls[message.pk], RENDERER_VERSION
        Message.objects.bulk_update(same, ["html", "renderer"])
    return htmls


def _html(text: str, names: Mapping[int, str], mentioned: Iterable[int]) -> str:
    """Return the HTML of a text. `@room` and `@here` stay text if all who are mentioned stand in it by name."""
    people = {names[user_id]: user_id for user_id in mentioned if user_id in names}
    is_group_named = not people.keys() <= names_mentioned(text)
    return render(text, people, ROOM_NAMES if is_group_named else ()) if text else ""
