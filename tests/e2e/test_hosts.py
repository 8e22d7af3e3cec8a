"""Which tenant answers: one valid Host that somebody has registered, and nothing else."""

from uuid import uuid4

import pytest

from tests.e2e.raw import handshake, http_exchange, request_bytes
from tests.e2e.talk import assert_reply
from tests.e2e.visitor import Visitor, assert_error_body, assert_safe_headers

UNKNOWN = "nobody.example"
BAD_HOSTS = [
    "",
    "a b",
    "acme.localhost:port",
    "acme.localhost:80@evil",
    "acme.localhost/x",
    "[::1",
    "acme..localhost",
    "acme.localhost:0080",
]

pytestmark = pytest.mark.kinds("serve", "daphne")


async def test_an_unknown_host_is_404_by_http(acme: Visitor) -> None:
    for path in ("/", "/ws/echo/", "/api/token/", "/accounts/login/"):
        response = await acme.http.get(path, headers={"Host": f"{UNKNOWN}:{acme.server.port}"})
        assert response.status_code == 404, path
        assert assert_error_body(response)["code"] == "unknown_host"
        assert_safe_headers(response)


async def test_an_unknown_host_is_refused_a_socket(acme: Visitor) -> None:
    await acme.assert_refused("/ws/echo/", 404, 4404, host=UNKNOWN)
    if acme.server.refuses_by_http:
        error = assert_error_body(await acme.refusal("/ws/echo/", host=UNKNOWN))
        assert error["code"] == "unknown_host"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_bare_hosts_serve_the_first_tenant_in_development(acme: Visitor, host: str) -> None:
    async with acme.open("/ws/pubsub/", host=host) as talk:
        assert_reply(await talk.message(), "welcome", tenant="acme")


@pytest.mark.settings(DEBUG="0")
@pytest.mark.kinds("serve")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_bare_hosts_serve_nobody_in_production(acme: Visitor, host: str) -> None:
    await acme.assert_refused("/ws/pubsub/", 404, 4404, host=host)


@pytest.mark.parametrize("host", ["acme.localhost", "ACME.localhost", "Acme.LocalHost"])
async def test_hosts_do_not_care_about_case_or_port(acme: Visitor, host: str) -> None:
    async with acme.open("/ws/pubsub/", host=host) as talk:
        assert_reply(await talk.message(), "welcome", tenant="acme")


@pytest.mark.parametrize("path", ["/", "/ws/echo/"])
async def test_no_host_is_400(acme: Visitor, path: str) -> None:
    answer = await http_exchange(acme, handshake(acme, path, {"Host": None}))
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/", "/ws/echo/", "/healthz"])
async def test_two_hosts_are_400(acme: Visitor, path: str) -> None:
    lines = ["Host: acme.localhost", "Host: globex.localhost"]
    answer = await http_exchange(acme, request_bytes(path, lines))
    assert answer.status_code == 400


async def test_two_hosts_are_400_in_a_handshake(acme: Visitor) -> None:
    request = handshake(acme, "/ws/echo/").replace(
        b"Upgrade: websocket", b"Host: globex.localhost\r\nUpgrade: websocket"
    )
    answer = await http_exchange(acme, request)
    assert answer.status_code in ({400} if acme.server.refuses_by_http else {400, 403})


@pytest.mark.parametrize("host", BAD_HOSTS)
async def test_a_bad_host_is_400(acme: Visitor, host: str) -> None:
    answer = await http_exchange(acme, request_bytes("/accounts/login/", [f"Host: {host}"]))
    assert answer.status_code == 400
    if acme.server.refuses_by_http:
        assert_safe_headers(answer)


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/readyz"])
async def test_probes_are_answered_under_any_host_or_none(
    acme: Visitor, path: str, subtests: pytest.Subtests
) -> None:
    for host in (None, UNKNOWN, "my_service:8000", "10.0.0.7:8000", "[fd00::7]", *BAD_HOSTS):
        with subtests.test(host=host):
            lines = [] if host is None else [f"Host: {host}"]
            answer = await http_exchange(acme, request_bytes(path, lines))
            assert answer.status_code == 200
            assert answer.json()["status"] == "ok"


async def test_probes_may_speak_http_1_0(acme: Visitor) -> None:
    answer = await http_exchange(acme, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert answer.status_code == 200


@pytest.mark.kinds("serve", "daphne", "scaled")
async def test_tenants_and_hosts_change_without_a_restart(acme: Visitor) -> None:
    host = f"t{uuid4().hex[:8]}.example"
    orm = acme.site.orm
    await acme.assert_refused("/ws/echo/", 404, 4404, host=host)
    orm.run(
        """
        from accounts.models import Domain, Tenant
        tenant = Tenant.objects.create(slug=host.partition(".")[0], name="New")
        Domain.objects.create(tenant=tenant, host=host)
        """,
        host=host,
    )
    async with acme.reopen("/ws/echo/", host=host) as talk:
        orm.run(
            """
            from accounts.models import Tenant
            Tenant.objects.filter(domains__host=host).update(is_active=False)
            """,
            host=host,
        )
        code, _ = await talk.closed()
        assert code in {4403, 4404}, code
    await acme.assert_refused("/ws/echo/", 404, 4404, host=host)
