"""Changes of sent messages: edit, delete, react, pin. Each takes the room's next change number."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from chat import announcements, payloads, wire
from chat.errors import no_such_message, not_joined, require_at_most
from chat.messages.composing import Composed, composed
from chat.messages.reading import PINS_MAX, messages_view
from chat.models import File, Mention, Message, Reaction, RoomMembership
from chat.rendering.markdown import HERE, RENDERER_VERSION, names_mentioned
from chat.rooms.rights import MEMBER, MODERATOR, Standing, standing
from chat.text import clean_emoji, clean_text
from realtime import ErrorCode, Publisher, RequestError, Tenant, record_action

# Kinds of emoji on one message, and how many of them one user may have given.
REACTIONS_MAX = 20
REACTIONS_OF_USER_MAX = 10

Changed = tuple[wire.Message, bool]


def message_edit(tenant: Tenant, user: Publisher, payload: payloads.MessageEdit) -> wire.Message:
    """Change the text of a message.

    The caller is its author or a moderator. The same text changes nothing. An edit of another user's message is in the
    audit log. Raises RequestError(invalid_message | not_found | permission_denied | conflict).
    """
    # Before the transaction, because the room is locked in it.
    [parts] = composed([(tenant, payload.room_id, user.id, payload.text)])
    with transaction.atomic():
        here, message = _to_change(tenant, user, payload)
        _require_not_deleted(message)
        text = clean_text(payload.text, may_be_empty=File.objects.filter(message=message).exists())
        if text == message.text:
            return _view(here, message)
        _record(tenant, user, message, "message_edit")
        had_here = HERE in parts.names and HERE in names_mentioned(message.text)
        message.text, message.edited_at, message.renderer = text, timezone.now(), RENDERER_VERSION
        message.html = _mention_again(message, parts, had_here=had_here)
        return _change(here, message, "edited", "text", "edited_at", "renderer", "html")


@transaction.atomic
def message_delete(tenant: Tenant, user: Publisher, payload: payloads.MessageDelete) -> wire.Message:
    """Delete a message: its text and files.

    The caller is its author or a moderator. Its row stays, without text, files and reactions. The deletion of another
    user's message is in the audit log, with the reason. Raises RequestError(not_found | permission_denied).
    """
    here, message = _to_change(tenant, user, payload)
    if message.deleted_at is not None:
        return _view(here, message)
    Mention.objects.filter(room_id=message.room_id, seq=message.seq).delete()
    Reaction.objects.filter(message=message).delete()
    File.objects.filter(message=message).delete()
    message.text = message.html = ""
    message.pinned_at, message.deleted_at = None, timezone.now()
    _record(tenant, user, message, "message_delete", payload.reason)
    announcements.erase(tenant, room_id=message.room_id, seq=message.seq)
    return _change(here, message, "deleted", "text", "html", "pinned_at", "deleted_at")


@transaction.atomic
def reaction_add(tenant: Tenant, user: Publisher, payload: payloads.MessageReaction) -> Changed:
    """Give an emoji to a message.

    If the user gave it before, nothing changes and the second value is False.
    Raises RequestError(invalid_message | not_found | permission_denied | conflict | limit_exceeded).
    """
    here, message, emoji = _to_react(tenant, user, payload)
    given = Reaction.objects.filter(message=message)
    kinds = set(given.values_list("emoji", flat=True).distinct())
    own = set(given.filter(user_id=user.id).values_list("emoji", flat=True))
    if emoji in own:
        return _view(here, message), False
    if emoji not in kinds:
        require_at_most(REACTIONS_MAX, len(kinds) + 1, _("A message takes {most} kinds of reactions."))
    too_many = _("A person may give {most} reactions to a message.")
    require_at_most(REACTIONS_OF_USER_MAX, len(own) + 1, too_many)
    Reaction.objects.create(message=message, user_id=user.id, emoji=emoji)
    return _change(here, message, "reacted", emoji=emoji, user_id=user.id, is_added=True), True


@transaction.atomic
def reaction_remove(tenant: Tenant, user: Publisher, payload: payloads.MessageReaction) -> Changed:
    """Take the user's own emoji back from a message.

    The second value says whether that changed something.
    Raises RequestError(invalid_message | not_found | permission_denied | conflict).
    """
    here, message, emoji = _to_react(tenant, user, payload)
    if not Reaction.objects.filter(message=message, user_id=user.id, emoji=emoji).delete()[0]:
        return _view(here, message), False
    return _change(here, message, "reacted", emoji=emoji, user_id=user.id, is_added=False), True


def pin_add(tenant: Tenant, user: Publisher, payload: payloads.OneMessage) -> Changed:
    """Pin a message to its room.

    The second value says whether that changed something.
    Raises RequestError(not_found | permission_denied | conflict | limit_exceeded).
    """
    return _pin(tenant, user, payload, is_pinned=True)


def pin_remove(tenant: Tenant, user: Publisher, payload: payloads.OneMessage) -> Changed:
    """Remove a pinned message from the pins of its room.

    The second value says whether that changed something. Raises RequestError(not_found | permission_denied).
    """
    return _pin(tenant, user, payload, is_pinned=False)


@transaction.atomic
def _pin(tenant: Tenant, user: Publisher, payload: payloads.OneMessage, *, is_pinned: bool) -> Changed:
    here, message = _in_room(tenant, user, payload)
    here.require(MEMBER)
    if is_pinned:
        _require_not_deleted(message)
    if (message.pinned_at is not None) == is_pinned:
        return _view(here, message), False
    if is_pinned:
        pinned = Message.objects.filter(room=here.room, pinned_at__isnull=False)
        require_at_most(PINS_MAX, pinned.count() + 1, _("A room takes {most} pinned messages."))
    message.pinned_at = timezone.now() if is_pinned else None
    return _change(here, message, "pinned", "pinned_at", is_pinned=is_pinned, user_id=user.id), True


def _in_room(tenant: Tenant, user: Publisher, payload: payloads.OneMessage) -> tuple[Standing, Message]:
    """Return the standing of a member in the locked room, and the message."""
    here = standing(tenant, user, payload.room_id)
    if here.membership is None:
        raise not_joined()
    return here, _message(here, payload.seq)


def _to_react(
    tenant: Tenant, user: Publisher, payload: payloads.MessageReaction
) -> tuple[Standing, Message, str]:
    """Return the standing of a member in the locked room, a message that is not deleted, and the emoji in full."""
    emoji = clean_emoji(payload.emoji, field="emoji")
    here, message = _in_room(tenant, user, payload)
    _require_not_deleted(message)
    return here, message, emoji


def _to_change(tenant: Tenant, user: Publisher, payload: payloads.OneMessage) -> tuple[Standing, Message]:
    """Return the standing of someone who may change the message in the locked room, and the message."""
    here = standing(tenant, user, payload.room_id)
    if here.membership is None:
        here.require(MODERATOR)
    message = _message(here, payload.seq)
    if message.author_id != user.id:
        here.require(MODERATOR)
    return here, message


def _message(here: Standing, seq: int) -> Message:
    message = Message.objects.filter(room=here.room, seq=seq).select_related("author").first()
    if message is None:
        raise no_such_message()
    return message


def _record(tenant: Tenant, user: Publisher, message: Message, action: str, reason: str = "") -> None:
    """Record in the audit log what a user does to another's message."""
    if message.author_id != user.id:
        target = {"room_id": message.room_id, "seq": message.seq, "author_id": message.author_id}
        record_action(action, tenant=tenant.slug, user=user, reason=reason, **target)


def _require_not_deleted(message: Message) -> None:
    if message.deleted_at is not None:
        raise RequestError(ErrorCode.CONFLICT, _("This message was deleted."))


def _change(here: Standing, message: Message, event: str, *fields: str, **more: Any) -> wire.Message:
    """Save, announce and return a message with the next change number of its locked room."""
    message.rev = here.take_rev()
    message.save(update_fields=[*fields, "rev"])
    view = _view(here, message)
    announcements.announce_change(here.tenant, here.user, view, event, **more)
    return view


def _view(here: Standing, message: Message) -> wire.Message:
    return messages_view(here.tenant.id, here.user.id, [message])[0]


def _mention_again(message: Message, parts: Composed, *, had_here: bool) -> str:
    """Store the users that the new text mentions, and return its HTML.

    `@here` mentions those present. If the old text had it too, it keeps the users who are mentioned already.
    """
    members = RoomMembership.objects.filter(room_id=message.room_id).values_list("user_id", flat=True)
    stored = Mention.objects.filter(room_id=message.room_id, seq=message.seq)
    here = set(stored.values_list("user_id", flat=True)) if had_here else None
    inside = set(members.filter(user_id__in=parts.named.union(here or ())))
    html, ids = parts.settled(message.text, message.author_id, inside.__contains__, here=here)
    stored.delete()
    Mention.objects.bulk_create(
        [Mention(room_id=message.room_id, seq=message.seq, user_id=user_id) for user_id in ids]
    )
    return html
