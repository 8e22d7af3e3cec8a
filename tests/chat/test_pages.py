"""The chat page and the chat in the admin, on two tenants' hosts."""

import gzip
import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Domain, Membership, User
from accounts.models import Tenant as TenantRow
from chat import announcements, services
from chat.models import File, Message, Room, RoomMembership
from chat.payloads import InRoom, RoomDirect, RoomUpdate
from chat.views import ROOMS_LINKED_MAX
from tests.chat.conftest import Announced, World, message_send

HOSTS = {"acme": "acme.localhost", "globex": "globex.localhost"}


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Settings) -> None:
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture
def hosts(world: World) -> World:
    for slug, host in HOSTS.items():
        Domain.objects.create(tenant=TenantRow.objects.get(slug=slug), host=host)
    return world


def browser(username: str, tenant: str) -> Client:
    """Somebody's browser, signed in on a tenant's host."""
    user = User.objects.get(username=username)
    user.set_password("a passphrase")
    user.save(update_fields=["password"])
    client = Client(headers={"host": HOSTS[tenant]})
    client.post("/accounts/login/", {"username": username, "password": "a passphrase"})
    return client


def staff(username: str, tenant: str) -> Client:
    """The browser of a tenant's staff who holds every permission Django has."""
    user = User.objects.get(username=username)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    Membership.objects.filter(user=user, tenant__slug=tenant).update(role=Membership.Role.STAFF)
    user.user_permissions.set(Permission.objects.all())
    return browser(username, tenant)


def rooms_on_page(client: Client) -> list[str]:
    page = client.get("/chat/")
    assert page.status_code == 200
    data = re.search(r'<script id="room-list" type="application/json">(.*?)</script>', page.content.decode())
    assert data is not None
    return [room["name"] for room in json.loads(data[1])]


def test_the_page_is_for_those_signed_in(hosts: World) -> None:
    response = Client(headers={"host": HOSTS["acme"]}).get("/chat/")
    assert (response.status_code, response["Location"]) == (302, "/accounts/login/?next=/chat/")


def test_the_page_costs_six_queries_and_few_links_however_many_rooms_there_are(
    hosts: World, django_assert_max_num_queries: Any
) -> None:
    rooms = [Room(tenant_id=hosts.acme.id, name=f"{n:03}", name_key=f"{n:03}") for n in range(200)]
    rooms = Room.objects.bulk_create(rooms)
    alice = hosts.alice.id
    RoomMembership.objects.bulk_create(RoomMembership(room=room, user_id=alice) for room in rooms)
    client = browser("alice", "acme")
    client.get("/chat/")
    # And one for the tenants, which a serving process has in memory.
    with django_assert_max_num_queries(6 + 1):
        page = client.get("/chat/").content.decode()
    assert (page.count('class="room-item"'), page.count('"is_member": true')) == (ROOMS_LINKED_MAX, 200)


def test_the_page_is_compressed(hosts: World) -> None:
    page = browser("alice", "acme").get("/chat/", headers={"accept-encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip"
    assert b'id="room-list"' in gzip.decompress(page.content)


def test_the_page_comes_with_the_rooms_of_its_tenant(hosts: World) -> None:
    hosts.room(name="</script><b>lounge")
    hosts.room(name="secret", is_public=False)
    assert rooms_on_page(browser("alice", "acme")) == ["</script><b>lounge", "secret"]
    assert rooms_on_page(browser("bob", "acme")) == ["</script><b>lounge"]
    assert rooms_on_page(browser("carol", "globex")) == []


@pytest.mark.parametrize("page", ["room", "roommembership", "message"])
def test_staff_see_what_is_of_their_tenant(hosts: World, page: str) -> None:
    message_send(hosts.acme, hosts.alice, room_id=hosts.room(), text="hi", client_msg_id=uuid.uuid4())
    for name, tenant, count in (("alice", "acme", 1), ("carol", "globex", 0)):
        shown = staff(name, tenant).get(f"/admin/chat/{page}/")
        assert shown.status_code == 200
        assert shown.context["cl"].result_count == count
    row = {"room": Room, "roommembership": RoomMembership, "message": Message}[page]._default_manager.get()
    path = f"/admin/chat/{page}/{row.pk}/change/"
    assert staff("alice", "acme").get(path).status_code == 200
    assert staff("carol", "globex").get(path).status_code == 302


def test_staff_make_rooms_of_their_own_tenant_only(hosts: World) -> None:
    client = staff("alice", "acme")
    tenants = client.get("/admin/chat/room/add/").context["adminform"].form.fields["tenant"].choices
    assert [label for _, label in tenants] == ["Acme"]
    for tenant, status in ((hosts.acme, 302), (hosts.globex, 200)):
        form = {"tenant": tenant.id, "name": f" of  {tenant.slug}", "is_public": "on"}
        assert client.post("/admin/chat/room/add/", form).status_code == status
    assert [(room.name, room.name_key) for room in Room.objects.all()] == [("of acme", "of acme")]


def test_a_name_is_taken_once_in_the_admin_too(hosts: World) -> None:
    room_id, client = hosts.room(name="Lounge"), staff("alice", "acme")
    page = client.post("/admin/chat/room/add/", {"tenant": hosts.acme.id, "name": "LOUNGE"})
    assert "A room of this name exists already." in page.content.decode()
    form = {"name": "Parlour", "is_public": "on", "archived_at_0": "", "archived_at_1": ""}
    assert client.post(f"/admin/chat/room/{room_id}/change/", form).status_code == 302
    assert Room.objects.get(pk=room_id).name_key == "parlour"


@pytest.mark.django_db(transaction=True)
def test_a_room_that_comes_or_goes_in_the_admin_is_announced(
    hosts: World, announced: list[Announced]
) -> None:
    client = staff("alice", "acme")
    form = {"tenant": hosts.acme.id, "name": "open", "is_public": "on"}
    assert client.post("/admin/chat/room/add/", form).status_code == 302
    told = announced.pop()
    room = told.data["room"]
    assert (told.topic, told.data["rev"], room["name"], room["kind"]) == ("rooms:public", 1, "open", "public")
    assert client.post("/admin/chat/room/add/", form | {"name": "closed", "is_public": ""}).status_code == 302
    assert announced == []
    private = Room.objects.get(name="closed").pk
    assert client.post(f"/admin/chat/room/{room['id']}/delete/", {"post": "yes"}).status_code == 302
    chosen = {"action": "delete_selected", "_selected_action": [private], "post": "yes"}
    assert client.post("/admin/chat/room/", chosen).status_code == 302
    assert Room.objects.count() == 0
    gone = {"event": "gone", "room_id": room["id"]}
    assert [(each.topic, each.data["event"]) for each in announced if each.data != gone] == [
        (f"room:{room['id']}", "room"),
        (f"room:{private}", "room"),
    ]
    assert len(announced) == 3


@pytest.mark.django_db(transaction=True)
def test_staff_put_people_into_private_rooms_and_take_them_out(
    hosts: World, announced: list[Announced]
) -> None:
    room_id, client = hosts.room(is_public=False), staff("alice", "acme")
    announced.clear()
    add = "/admin/chat/roommembership/add/"
    assert client.post(add, {"room": room_id, "user": hosts.carol.id}).status_code == 200
    assert client.post(add, {"room": room_id, "user": hosts.bob.id}).status_code == 302
    bob = RoomMembership.objects.get(room_id=room_id, user_id=hosts.bob.id)
    joined = {"id": hosts.bob.id, "username": "bob"}
    assert announced[0].data == {"event": "member", "rev": 2, "joined": joined}
    assert client.post(f"/admin/chat/roommembership/{bob.pk}/delete/", {"post": "yes"}).status_code == 302
    assert announced[2].data == {"event": "member", "rev": 3, "left": joined}
    assert not RoomMembership.objects.filter(room_id=room_id, user_id=hosts.bob.id).exists()


@pytest.mark.django_db(transaction=True)
def test_nobody_gets_into_a_direct_room_by_the_admin(hosts: World) -> None:
    room, _ = services.room_direct(hosts.acme, hosts.alice, RoomDirect([int(hosts.bob.id)]))
    bob, client = RoomMembership.objects.get(room_id=room.id, user_id=hosts.bob.id), staff("admin", "acme")
    form = {"name": "open", "is_public": "on", "archived_at_0": "", "archived_at_1": ""}
    assert client.get(f"/admin/chat/room/{room.id}/change/").status_code == 200
    assert client.post(f"/admin/chat/room/{room.id}/change/", form).status_code == 403
    page = client.post("/admin/chat/roommembership/add/", {"room": room.id, "user": hosts.admin.id})
    assert "The people of a direct room never change." in page.content.decode()
    delete = {"action": "delete_selected", "_selected_action": bob.pk, "post": "yes"}
    assert client.post("/admin/chat/roommembership/", delete).status_code == 403
    assert client.post(f"/admin/chat/roommembership/{bob.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Room.objects.get().kind == "direct"
    assert RoomMembership.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_change_in_the_admin_is_told_and_keeps_what_was_said_meanwhile(
    hosts: World, announced: list[Announced], monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id, client = hosts.room(with_bob=True), staff("admin", "acme")
    announced.clear()
    amend = services.room_amend

    def amend_late(*given: Any) -> None:
        """As on PostgreSQL, where others write between the reading of the form's row and its saving."""
        Room.objects.filter(pk=room_id).update(last_seq=7, last_rev=9)
        amend(*given)

    monkeypatch.setattr(services, "room_amend", amend_late)
    form = {"name": "Parlour", "archived_at_0": "", "archived_at_1": ""}
    assert client.post(f"/admin/chat/room/{room_id}/change/", form).status_code == 302
    room = Room.objects.get()
    assert (room.name, room.is_public, room.last_seq, room.last_rev) == ("Parlour", False, 7, 10)
    told = [(each.topic, each.data["event"]) for each in announced]
    assert told == [(f"room:{room_id}", "room"), ("rooms:public", "gone")]
    assert announced[0].data["room"]["name"] == "Parlour"


def test_a_room_that_comes_back_in_the_admin_needs_space(
    hosts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id, client = hosts.room(), staff("alice", "acme")
    Room.objects.update(archived_at=timezone.now())
    hosts.room(name="parlour")
    form, change = (
        {"name": "lounge", "archived_at_0": "", "archived_at_1": ""},
        f"/admin/chat/room/{room_id}/change/",
    )
    with monkeypatch.context() as patched:
        patched.setattr(services, "ROOMS_MAX", 1)
        assert "There are 1 rooms already." in client.post(change, form).content.decode()
    assert client.post(change, form).status_code == 302
    assert Room.objects.filter(archived_at=None).count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_admin_shows_what_others_made_impossible_meanwhile(
    hosts: World, monkeypatch: pytest.MonkeyPatch, announced: list[Announced]
) -> None:
    """As on PostgreSQL, where others write between the checks of the form and its saving."""
    private, client = hosts.room(is_public=False, with_bob=True, name="private"), staff("alice", "acme")
    room_id, other = hosts.room(), hosts.room(is_public=False, with_bob=True, name="other")
    announced.clear()

    def late(name: str, meanwhile: Callable[[], object]) -> None:
        service = getattr(services, name)

        def after(*given: Any) -> Any:
            monkeypatch.setattr(services, name, service)
            meanwhile()
            return service(*given)

        monkeypatch.setattr(services, name, after)

    late("room_amend", lambda: hosts.room(name="parlour"))
    late("room_found", lambda: hosts.room(name="parlour"))
    form = {"tenant": hosts.acme.id, "name": "Parlour", "archived_at_0": "", "archived_at_1": ""}
    for page in (f"{room_id}/change/", "add/"):
        answer = client.post(f"/admin/chat/room/{page}", form)
        assert answer.status_code == 200
        assert "A room of this name exists already." in answer.content.decode()
        assert 'value="Parlour"' in answer.content.decode()
    late("room_admit", lambda: Room.objects.filter(pk=private).update(archived_at=timezone.now()))
    answer = client.post("/admin/chat/roommembership/add/", {"room": private, "user": hosts.admin.id})
    assert "There is no such room." in answer.content.decode()
    assert Room.objects.filter(archived_at=None).count() == 3
    late("room_leave", lambda: services.room_leave(hosts.acme, hosts.bob, InRoom(other)))
    rows = [RoomMembership.objects.get(room_id=room, user_id=hosts.bob.id) for room in (private, other)]
    delete = f"/admin/chat/roommembership/{rows[1].pk}/delete/"
    assert client.post(delete, {"post": "yes"}).status_code == 302
    Room.objects.update(archived_at=None)
    late("room_leave", lambda: services.room_leave(hosts.acme, hosts.bob, InRoom(private)))
    chosen = {"action": "delete_selected", "_selected_action": [rows[0].pk], "post": "yes"}
    told = client.post("/admin/chat/roommembership/", chosen, follow=True).content.decode()
    assert f"{rows[0]}: There is no such room." in told
    # With one that is refused nothing is deleted: here also not what the other one wrote in the same transaction.
    assert "Successfully" not in told
    assert LogEntry.objects.filter(action_flag=DELETION).count() == 1
    assert RoomMembership.objects.filter(pk=rows[0].pk).exists()
    assert [each.topic for each in announced if "member" in each.data.values()] == [f"room:{other}"]


def test_a_room_that_is_made_in_the_admin_needs_space(hosts: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ROOMS_MAX", 1)
    client, form = staff("alice", "acme"), {"tenant": hosts.acme.id, "name": "one"}
    assert client.post("/admin/chat/room/add/", form).status_code == 302
    page = client.post("/admin/chat/room/add/", form | {"name": "two"})
    assert "There are 1 rooms already." in page.content.decode()


def test_an_archived_room_takes_nobody_in_but_lets_people_out(hosts: World) -> None:
    room_id, client = hosts.room(), staff("alice", "acme")
    form = {"name": "lounge", "archived_at_0": "2026-01-01", "archived_at_1": "00:00:00"}
    assert client.post(f"/admin/chat/room/{room_id}/change/", form).status_code == 302
    assert rooms_on_page(client) == []
    page = client.post("/admin/chat/roommembership/add/", {"room": room_id, "user": hosts.bob.id})
    assert "This room is archived." in page.content.decode()
    alice = RoomMembership.objects.get(room_id=room_id)
    assert client.post(f"/admin/chat/roommembership/{alice.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not RoomMembership.objects.exists()


def test_nobody_hears_of_a_room_once_it_is_archived(hosts: World, monkeypatch: pytest.MonkeyPatch) -> None:
    room_id, client = hosts.room(with_bob=True), staff("alice", "acme")
    ended: list[tuple[str, str, int]] = []
    monkeypatch.setattr(
        announcements,
        "end_subscriptions",
        lambda topic, *, tenant, user_id: ended.append((topic, tenant, user_id)),
    )
    page = f"/admin/chat/room/{room_id}/change/"
    form = {"name": "lounge", "is_public": "on", "archived_at_0": "", "archived_at_1": ""}
    assert client.post(page, form).status_code == 302
    assert ended == []
    form |= {"archived_at_0": "2026-01-01", "archived_at_1": "00:00:00"}
    for _ in range(2):
        assert client.post(page, form).status_code == 302
    people, topics = (hosts.alice.id, hosts.bob.id), (f"room:{room_id}", f"typing:{room_id}")
    assert sorted(ended) == sorted((topic, "acme", user_id) for topic in topics for user_id in people)


@pytest.mark.parametrize("name", ["gen\u200beral", "\u3164", "\u0261eneral", "gener\u0430l"])
def test_the_admin_makes_no_room_that_looks_like_another(hosts: World, name: str) -> None:
    hosts.room(name="general")
    client = staff("alice", "acme")
    page = client.post("/admin/chat/room/add/", {"tenant": hosts.acme.id, "name": name, "is_public": "on"})
    assert page.status_code == 200
    assert Room.objects.count() == 1


def test_nobody_rewrites_what_was_said(hosts: World) -> None:
    room_id = hosts.room()
    message = message_send(hosts.acme, hosts.alice, room_id=room_id, text="hi", client_msg_id=uuid.uuid4())
    client = staff("alice", "acme")
    assert client.post(f"/admin/chat/message/{message.id}/change/", {"text": "no"}).status_code == 403
    assert client.post(f"/admin/chat/message/{message.id}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"/admin/chat/room/{room_id}/delete/", {"post": "yes"}).status_code == 403
    assert Message.objects.get().text == "hi"


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}</script>",
    "'-alert(1)-'",
]


def test_nothing_that_people_write_runs_on_a_page(hosts: World) -> None:
    for number, text in enumerate(HOSTILE):
        room_id = hosts.room(name=text)
        services.room_update(hosts.acme, hosts.alice, RoomUpdate(room_id, topic_line=text))
        Membership.objects.filter(user_id=hosts.alice.id).update(name=text, status=text)
        file = File.objects.create(
            tenant_id=hosts.acme.id,
            uploader_id=int(hosts.alice.id),
            name=text,
            type="text/plain",
            size=number,
        )
        message_send(
            hosts.acme,
            hosts.alice,
            room_id=room_id,
            text=text,
            client_msg_id=uuid.uuid4(),
            file_ids=(file.pk,),
        )
        services.room_direct(hosts.acme, hosts.alice, RoomDirect(user_ids=[int(hosts.bob.id)]))
    client = staff("alice", "acme")
    for page in ("/chat/", "/admin/chat/room/", "/admin/chat/message/", "/admin/chat/roommembership/"):
        shown = client.get(page)
        assert shown.status_code == 200
        for live in ("<script>alert", "<img src=x", "49</script>"):
            assert live not in shown.content.decode(), page
    for path in ("rooms/", f"rooms/{room_id}/messages/", "users/", "search/?q=alert"):
        answer = client.get(f"/api/chat/{path}")
        assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("application/json", "nosniff")


def test_the_page_shows_the_rooms_before_any_script_and_makes_html_by_one_policy_only(hosts: World) -> None:
    page = browser("alice", "acme").get("/chat/")
    assert "require-trusted-types-for 'script'" in page.headers["Content-Security-Policy"]
    assert "trusted-types server-html" in page.headers["Content-Security-Policy"]
    for room in Room.objects.filter(memberships__user__username="alice", tenant__slug="acme"):
        assert f'href="#room-{room.pk}"' in page.content.decode()
