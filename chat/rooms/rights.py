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
from chat.errors import denied, not_joined
from chat.models import Room, RoomMembership
from chat.selectors import access_room, members_present, role_of
from realtime import Publisher, Tenant

ANYBODY, GUEST, MEMBER, MODERATOR, OWNER = range(-1, 4)
RANKS = {"guest": GUEST, "member": MEMBER, "moderator": MODERATOR, "owner": OWNER}
_REFUSED = {
    MEMBER: gettext_noop("Guests may not do this here."),
    MODERATOR: gettext_noop("Members may not do this here."),
    OWNER: gettext_noop("Moderators may not do this here."),
}


@dataclass(slots=True)
class Standing:
    """A user in a room that the user may see. `membership` is None in a public room that the user is not in."""

    tenant: Tenant
    user: Publisher
    room: Room
    membership: RoomMembership | None

    def require(self, rank: int) -> None:
        """Raise RequestError(permission_denied) if the user's rank is lower. Asks the database about staff."""
        if self.rank < rank and self._staff_rank() < rank:
            if self.membership is None:
                raise not_joined()
            raise denied(_(_REFUSED[rank]))

    def require_changeable(self, rank: int = ANYBODY) -> None:
        """Raise RequestError(permission_denied) if the room is a direct one, or if the user's rank is lower.

        The people and the name of a direct room never change.
        """
        if self.room.direct_key:
            raise denied(_("A direct room cannot be changed."))
        self.require(rank)

    def take_rev(self) -> int:
        """Take the room's next change number. The room must be locked."""
        self.room.last_rev = self.room.next_rev
        self.room.save(update_fields=["last_rev"])
        return self.room.last_rev

    @property
    def rank(self) -> int:
        """The rank of the user's role; ANYBODY for those who are not in the room."""
        return ANYBODY if self.membership is None else rank_of(self.membership, self.room)

    def highest_rank(self) -> int:
        """The user's rank, as staff too."""
        return max(self.rank, self._staff_rank())

    def _staff_rank(self) -> int:
        person = None if self.room.direct_key else membership_of(self.tenant.id, self.user.id)
        if person is None or not person.is_staff:
            return ANYBODY
        return MODERATOR if has_owner(self.room) else OWNER


def standing(tenant: Tenant, user: Publisher, room_id: int, *, may_be_archived: bool = False) -> Standing:
    """Return the user's standing in a room, which stays locked until the transaction ends.

    Raises RequestError(not_found).
    """
    room = access_room(tenant.id, user.id, room_id, lock=True, may_be_archived=may_be_archived)
    return Standing(tenant, user, room, RoomMembership.objects.filter(room=room, user_id=user.id).first())


def rank_of(membership: RoomMembership, room: Room) -> int:
    """Return the rank of a member's role."""
    return RANKS[role_of(room, membership.user_id, membership.role)]


def has_owner(room: Room) -> bool:
    """Return whether one of the room's members owns it. Those who left the tenant do not count."""
    owners = Q(role="owner") | Q(role=None, user_id=F("room__created_by_id"))
    present = members_present(room.tenant_id).values("user_id")
    return RoomMembership.objects.filter(owners, room=room, user_id__in=present).exists()
