"""Rooms, their members, and their numbered messages."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from chat.text import ROOM_NAME_KEY_MAX_CHARS, ROOM_NAME_MAX_CHARS, TEXT_MAX_CHARS


class Room(models.Model):
    """A chat room of one tenant. `last_seq` is the number of its newest message; 0 before the first."""

    tenant = models.ForeignKey("accounts.Tenant", on_delete=models.CASCADE, related_name="rooms")
    name = models.CharField(max_length=ROOM_NAME_MAX_CHARS)
    # `chat.text.room_name_key` of the name, because databases differ in what they consider lower case.
    name_key = models.CharField(max_length=ROOM_NAME_KEY_MAX_CHARS, editable=False)
    is_public = models.BooleanField(
        default=True, help_text="Every member of the tenant sees it and may join."
    )
    last_seq = models.PositiveBigIntegerField(default=0, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on the room is kept but nobody sees it."
    )

    class Meta:
        ordering = ["name_key", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name_key"],
                condition=models.Q(archived_at__isnull=True),
                name="chat_room_name_once_in_tenant",
            )
        ]

    def __str__(self) -> str:
        return self.name


class RoomMembership(models.Model):
    """A user in a room. `read_seq` is the newest message that the user has read; it never moves back."""

    # The constraint below already is an index that begins with the room.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, db_index=False, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="room_memberships"
    )
    read_seq = models.PositiveBigIntegerField(default=0)
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
    `tenant` is the room's. It is stored here because `client_msg_id` is unique per author and tenant.
    """

    # The constraints below already are indexes that begin with the tenant and with the room.
    tenant = models.ForeignKey("accounts.Tenant", on_delete=models.CASCADE, db_index=False, related_name="+")
    room = models.ForeignKey(Room, on_delete=models.CASCADE, db_index=False, related_name="messages")
    seq = models.PositiveBigIntegerField()
    # A user with messages is deactivated, not deleted, because deleting would leave gaps in the numbers.
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="messages")
    text = models.CharField(max_length=TEXT_MAX_CHARS)
    client_msg_id = models.UUIDField()
    sent_at = models.DateTimeField(default=timezone.now)

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

    def __str__(self) -> str:
        return f"{self.room_id}#{self.seq}"
