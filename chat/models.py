"""Rooms, their members, and their numbered messages with what belongs to them."""

import uuid
from typing import Any, get_args

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from chat.text import (
    EMOJI_MAX_CHARS,
    FILE_NAME_MAX_CHARS,
    ROOM_NAME_KEY_MAX_CHARS,
    ROOM_NAME_MAX_CHARS,
    TEXT_MAX_CHARS,
    TOPIC_LINE_MAX_CHARS,
)
from chat.wire import Level, Role

# "1,22,333": the ids of the people of a direct room.
DIRECT_KEY_MAX_CHARS = 200


def _choices(literal: Any) -> list[tuple[str, str]]:
    return [(value, value.title()) for value in get_args(literal)]


class Room(models.Model):
    """A chat room of one tenant. `last_seq` is the number of its newest message; 0 before the first.

    `last_rev` is the number of its newest change. A direct room has a `direct_key`, the sorted ids of its
    people; it is private, and its people never change.
    """

    tenant = models.ForeignKey("accounts.Tenant", on_delete=models.CASCADE, related_name="rooms")
    name = models.CharField(max_length=ROOM_NAME_MAX_CHARS)
    # `chat.text.room_name_key` of the name, because databases lower-case names differently.
    name_key = models.CharField(max_length=ROOM_NAME_KEY_MAX_CHARS, editable=False)
    is_public = models.BooleanField(
        default=True, help_text=gettext_lazy("Every member of the tenant sees it and may join.")
    )
    topic_line = models.CharField(max_length=TOPIC_LINE_MAX_CHARS, default="", db_default="", blank=True)
    direct_key = models.CharField(max_length=DIRECT_KEY_MAX_CHARS, null=True, editable=False)  # noqa: DJ001 unique
    last_seq = models.PositiveBigIntegerField(default=0, editable=False)
    last_rev = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)
    last_message_at = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(
        null=True, blank=True, help_text=gettext_lazy("From then on the room is kept but nobody sees it.")
    )

    class Meta:
        ordering = ["name_key", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name_key"],
                condition=models.Q(archived_at__isnull=True),
                name="chat_room_name_once_in_tenant",
            ),
            models.UniqueConstraint(fields=["tenant", "direct_key"], name="chat_direct_room_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def kind(self) -> str:
        """`public`, `private` or `direct`."""
        return "direct" if self.direct_key else "public" if self.is_public else "private"

    @property
    def next_rev(self) -> int:
        """The number of the next change. A release without changes may have numbered messages meanwhile."""
        return max(self.last_rev, self.last_seq) + 1


class RoomMembership(models.Model):
    """A user in a room. `read_seq` is the newest message that the user has read.

    Without a `role` the room's creator is its owner and everyone else a member.
    """

    # The constraint below already is an index that begins with the room.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, db_index=False, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="room_memberships"
    )
    read_seq = models.PositiveBigIntegerField(default=0)
    role = models.CharField(max_length=10, choices=_choices(Role), null=True)  # noqa: DJ001 not chosen yet
    level = models.CharField(max_length=8, choices=_choices(Level), default="all", db_default="all")
    is_favourite = models.BooleanField(default=False, db_default=False)
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["room", "user"], name="chat_membership_once_in_room"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.room_id}"


class Message(models.Model):
    """A message in a room. `seq` starts at 1 in each room and rises by 1, without gaps.

    `client_msg_id` is chosen by the sender. Sent again with the same one, it is still the same message.
    `tenant` is the room's. It is stored here because `client_msg_id` is unique per author and tenant. `rev` is
    the room's number of the message's last change. A deleted message keeps its row without text. `html` is
    valid if `renderer` is the current version; otherwise it is rendered when it is read.
    """

    # The constraints below already are indexes that begin with the tenant and with the room.
    tenant = models.ForeignKey("accounts.Tenant", on_delete=models.CASCADE, db_index=False, related_name="+")
    room = models.ForeignKey(Room, on_delete=models.CASCADE, db_index=False, related_name="messages")
    seq = models.PositiveBigIntegerField()
    rev = models.PositiveBigIntegerField(default=0, db_default=0)
    # The messages of a user who is deleted stay, because without them the numbers would have gaps.
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        db_index=False,
        related_name="messages",
    )
    text = models.CharField(max_length=TEXT_MAX_CHARS)
    html = models.TextField(default="", db_default="", editable=False)
    renderer = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    reply_to_seq = models.PositiveBigIntegerField(null=True)
    client_msg_id = models.UUIDField()
    sent_at = models.DateTimeField(default=timezone.now)
    edited_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    pinned_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["room_id", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["room", "seq"], name="chat_message_seq_once_in_room"),
            models.UniqueConstraint(
                # A batch is looked up by tenant and client_msg_id, so the author comes last.
                fields=["tenant", "client_msg_id", "author"],
                name="chat_message_once_by_author",
            ),
        ]
        indexes = [
            models.Index(fields=["room", "rev"], name="chat_message_changes"),
            # For counting messages that are never unread: the user's own and deleted ones.
            models.Index(fields=["author", "room", "seq"], name="chat_message_by_author"),
            models.Index(
                fields=["room", "seq"], condition=Q(deleted_at__isnull=False), name="chat_message_deleted"
            ),
            models.Index(
                fields=["room", "seq"], condition=Q(pinned_at__isnull=False), name="chat_message_pinned"
            ),
            models.Index(fields=["room"], condition=Q(rev=0), name="chat_message_without_rev"),
        ]

    def __str__(self) -> str:
        return f"{self.room_id}#{self.seq}"


class Mention(models.Model):
    """A user whom a message names. Rows of deleted messages are deleted, so that unread ones can be counted."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE, db_index=False, related_name="+")
    seq = models.PositiveBigIntegerField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "room", "seq"], name="chat_mention_once"),
        ]
        indexes = [models.Index(fields=["room", "seq"], name="chat_mention_of_message")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.room_id}#{self.seq}"


class Reaction(models.Model):
    """An emoji that a user gave to a message."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, db_index=False, related_name="reactions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    emoji = models.CharField(max_length=EMOJI_MAX_CHARS)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message", "emoji", "user"], name="chat_reaction_once"),
        ]

    def __str__(self) -> str:
        return f"{self.emoji} of {self.user_id}"


class File(models.Model):
    """A stored file. Without a message it is deleted after a day. `key` is its name in the storage.

    A profile picture has no message and stays. Each user has at most one in a tenant.
    """

    tenant = models.ForeignKey("accounts.Tenant", on_delete=models.CASCADE, related_name="+")
    # A sent file stays with its message when the account of its sender is deleted.
    uploader = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, related_name="files")
    # The place among the files of its message, from 0, as the sender named them.
    place = models.PositiveSmallIntegerField(default=0, db_default=0)
    key = models.UUIDField(default=uuid.uuid4, unique=True)
    name = models.CharField(max_length=FILE_NAME_MAX_CHARS)
    type = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    is_profile_picture = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["uploader", "tenant"],
                condition=Q(is_profile_picture=True),
                name="chat_profile_picture_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(message__isnull=True, is_profile_picture=False),
                name="chat_file_unattached",
            ),
        ]

    def __str__(self) -> str:
        return self.name
