"""The demo's rooms: there after the first time, untouched by the second."""

from accounts.models import Membership, User
from accounts.models import Tenant as TenantRow
from chat import selectors, services
from chat.demo_rooms import DEMO_ROOMS
from chat.models import Message, RoomMembership
from tests.chat.conftest import Announced, World


def test_everybody_is_in_every_room_and_somebody_has_spoken(world: World, announced: list[Announced]) -> None:
    tenant = TenantRow.objects.get(slug="acme")
    services.seed_demo_rooms(tenant)
    rooms = selectors.room_list(tenant.pk, world.bob.id)
    assert [room.name for room in rooms] == sorted(DEMO_ROOMS)
    assert all(room.is_member and room.member_count == 3 and room.last_seq for room in rooms)
    assert announced == []
    assert selectors.room_list(world.globex.id, world.carol.id) == []


def test_seeding_again_adds_only_who_is_new(world: World) -> None:
    tenant = TenantRow.objects.get(slug="acme")
    services.seed_demo_rooms(tenant)
    before = (Message.objects.count(), RoomMembership.objects.count())
    services.seed_demo_rooms(tenant)
    assert (Message.objects.count(), RoomMembership.objects.count()) == before
    newcomer = User.objects.create(username="eve")
    Membership.objects.create(user=newcomer, tenant=tenant)
    services.seed_demo_rooms(tenant)
    assert (Message.objects.count(), RoomMembership.objects.count()) == (
        before[0],
        before[1] + len(DEMO_ROOMS),
    )
    assert all(room.unread == 0 for room in selectors.room_list(tenant.pk, newcomer.pk))
