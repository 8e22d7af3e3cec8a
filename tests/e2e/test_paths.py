"""Every path of the table, with and without its final slash; and those that are not there."""

import httpx
import pytest

from tests.e2e.people import Person
from tests.e2e.raw import handshake, http_exchange
from tests.e2e.talk import assert_reply
from tests.e2e.visitor import Visitor, assert_error_body

OPEN_JSON = ["/ws/pubsub/", "/ws/rpc/"]
SIGNED_IN_JSON = ["/ws/data/", "/ws/chat/"]


@pytest.mark.parametrize(
    "path", ["/ws/echo", "/ws/echo/", "/ws/pooled", "/ws/timeout", "/ws/validated", "/ws/lobby"]
)
async def test_raw_paths_with_and_without_slash(acme: Visitor, path: str) -> None:
    async with acme.open(path) as talk:
        assert await talk.is_alive()


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
async def test_the_welcoming_path_with_and_without_slash(acme: Visitor, path: str) -> None:
    async with acme.open(path) as talk:
        assert await talk.frame() == "Welcome to WebSocket!"


@pytest.mark.parametrize(
    "path", [*OPEN_JSON, "/ws/stream/", *(path[:-1] for path in OPEN_JSON), "/ws/stream"]
)
async def test_json_paths_welcome_anyone(acme: Visitor, path: str) -> None:
    async with acme.open(path) as talk:
        assert_reply(await talk.message(), "welcome", tenant="acme", user=None)


@pytest.mark.parametrize("path", [*SIGNED_IN_JSON, *(path[:-1] for path in SIGNED_IN_JSON)])
async def test_signed_in_paths_welcome_the_user(acme: Visitor, path: str) -> None:
    async with acme.open_json(path, "alice") as talk:
        assert talk.welcome["user"]["username"] == "alice"


@pytest.mark.kinds("serve", "daphne")
@pytest.mark.parametrize("path", SIGNED_IN_JSON)
async def test_signed_in_paths_refuse_strangers(acme: Visitor, path: str) -> None:
    await acme.assert_refused(path, 401, 4401)


@pytest.mark.parametrize("path", ["/ws/session", "/ws/session/"])
async def test_session_path_welcomes_a_session(acme: Visitor, path: str) -> None:
    async with acme.open_json(path, cookie=await acme.session()) as talk:
        assert talk.welcome["user"]["username"] == "alice"


async def test_admin_live_is_for_staff_sessions(acme: Visitor) -> None:
    await acme.assert_refused("/ws/admin/live/", 401, 4401)
    await acme.assert_refused("/ws/admin/live/", 403, 4403, cookie=await acme.session("alice"))
    async with acme.open_json("/ws/admin/live/", cookie=await acme.session("admin")) as talk:
        assert talk.welcome["user"]["username"] == "admin"


_PERMIT = """
from accounts.models import User
from django.contrib.auth.models import Permission
User.objects.get(pk=pk).user_permissions.add(Permission.objects.get(codename="view_live"))
"""


async def test_admin_live_wants_a_permission_of_its_own(acme: Visitor) -> None:
    person = Person.new(acme.site, staff=True)
    cookie = await acme.sign_in(person.username)
    await acme.assert_refused("/ws/admin/live/", 403, 4403, cookie=cookie)
    acme.site.orm.run(_PERMIT, pk=person.id)
    async with acme.open_json("/ws/admin/live/", cookie=cookie) as talk:
        assert talk.welcome["user"]["username"] == person.username
        assert assert_reply(await talk.message(), "live")["tenant"] == "acme"
    assert (await acme.http.get("/admin/realtime/live/", headers={"Cookie": cookie})).status_code == 200


@pytest.mark.kinds("serve", "daphne")
@pytest.mark.parametrize("path", ["/ws/nowhere/", "/ws/echo/more/", "/nowhere/", "/ws/Echo/"])
async def test_unknown_routes(acme: Visitor, path: str) -> None:
    await acme.assert_refused(path, 404, 4404)


@pytest.mark.kinds("serve", "daphne")
@pytest.mark.parametrize("path", ["/ws/", "/ws/echo/", "/ws/pubsub/", "/ws/secure/", "/ws/chat"])
async def test_plain_http_on_a_socket_path_is_426(acme: Visitor, path: str) -> None:
    response = await acme.http.get(path)
    assert response.status_code == 426
    assert response.headers["upgrade"].lower() == "websocket"
    assert_error_body(response)


@pytest.mark.kinds("serve", "daphne")
async def test_plain_http_on_an_unknown_socket_path_is_404(acme: Visitor) -> None:
    response = await acme.http.get("/ws/nowhere/")
    assert response.status_code == 404


@pytest.mark.parametrize(
    "changed",
    [{"Sec-WebSocket-Key": None}, {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Version": "12"}],
    ids=["no-key", "bad-key", "old-version"],
)
async def test_a_bad_upgrade_is_refused(acme: Visitor, changed: dict[str, str | None]) -> None:
    answer = await http_exchange(acme, handshake(acme, "/ws/echo/", changed))
    assert answer.status_code in ({400, 426} if "Sec-WebSocket-Version" in changed else {400})


@pytest.mark.kinds("serve", "daphne")
async def test_a_socket_can_be_opened_right_after_a_bad_upgrade(acme: Visitor) -> None:
    answer: httpx.Response = await http_exchange(
        acme, handshake(acme, "/ws/echo/", {"Sec-WebSocket-Key": None})
    )
    assert answer.status_code >= 400
    async with acme.open("/ws/echo/") as talk:
        assert await talk.is_alive()
