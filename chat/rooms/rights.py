"""The rights of users in a room. Every change is checked here first.

A guest reads and writes; a member also invites and pins; a moderator also renames, removes people and messages;
an owner also gives roles, archives, and makes a room private. Staff of the tenant are moderators of every room
that they may see, and owners of rooms without an owner. A direct room has members only.
"""

from dataclasses import dataclass

from django.db.models import F, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.selectors import membership_of
from chat.batches import not_joined
from chat.models import Room, RoomMembership
from chat.selectors import access_room, first_role, is_present
from realtime import ErrorCode, RequestError, UserId

GUEST, MEMBER, MODERATOR, OWNER = range(4)
RANKS = {"guest": GUEST, "member": MEMBER, "moderator": MODERATOR, "owner": OWNER}
_REFUSED = {
    MEMBER: gettext_noop("Guests may not do this here."),
    MODERATOR: gettext_noop("Members may not do this here."),
    OWNER: gettext_noop("Moderators may not do this here."),
}


@dataclass(slots=True)
class Standing:
    """A user in a room that the user may see. `membership` is None in a public room that the user is not in."""

    tenant_id: int
    user_id: UserId
    room: Room
    membership: RoomMembership | None

    @property
    def role(self) -> str | None:
        """The role of a member; None for others."""
        return None if self.membership is None else role_of(self.membership, self.room)

    def require_joined(self) -> None:
        """Raise RequestError(permission_denied) if the user is not in the room."""
        if self.membership is None:
            raise not_joined()

    def require(self, rank: int) -> None:
        """Raise RequestError(permission_denied) if the user's rank is lower. Asks the database about staff."""
        if self.rank < rank and self._staff_rank() < rank:
            if self.membership is None:
                raise not_joined()
            raise RequestError(ErrorCode.PERMISSION_DENIED, _(_REFUSED[rank]))

    def require_changeable(self) -> None:
        """Raise RequestError(permission_denied) for a direct room: its people and name never change."""
        if self.room.direct_key:
            raise RequestError(ErrorCode.PERMISSION_DENIED, _("A direct room cannot be changed."))

    def take_rev(self) -> int:
        """Take the room's next change number. The room must be locked."""
        self.room.last_rev = self.room.next_rev
        self.room.save(update_fields=["last_rev"])
        return self.room.last_rev

    @property
    def rank(self) -> int:
        """The rank of the user's role; below a guest's for others."""
        return -1 if self.role is None else RANKS[self.role]

    def highest_rank(self) -> int:
        """The user's rank, as staff too."""
        return max(self.rank, self._staff_rank())

    def _staff_rank(self) -> int:
        if self.room.direct_key:
            return -1
        person = membership_of(self.tenant_id, self.user_id)
        if person is None or not person.is_staff:
            return -1
        return MODERATOR if has_owner(self.room) else OWNER


def standing(tenant_id: int, user_id: UserId, room_id: int, *, may_be_archived: bool = False) -> Standing:
    """Return the user's standing in a room, which stays locked until the transaction ends.

    Raises RequestError(not_found).
    """
    room = access_room(tenant_id, user_id, room_id, lock=True, may_be_archived=may_be_archived)
    membership = RoomMembership.objects.filter(room=room, user_id=user_id).first()
    return Standing(tenant_id, user_id, room, membership)


def role_of(membership: RoomMembership, room: Room) -> str:
    """Return a member's role. If none was given, the room's creator is its owner."""
    return membership.role or first_role(room, membership.user_id)


def has_owner(room: Room) -> bool:
    """Return whether one of the room's members owns it. Those who left the tenant do not count."""
    owners = Q(role=RoomMembership.Role.OWNER) | Q(role=None, user_id=F("room__created_by_id"))
    return RoomMembership.objects.filter(owners, is_present(room.tenant_id), room=room).exists()
