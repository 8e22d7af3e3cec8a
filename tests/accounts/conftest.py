"""Two tenants with a member each, and ways to act as one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.credentials.identity import Authenticator
from accounts.models import Domain, Membership, Tenant, User
from accounts.passwords.throttling import SignIns
from accounts.tenants import Directory
from realtime.core.identity import Tenant as CoreTenant
from realtime.core.revocations import Revocation, Revocations
from realtime.node.node import current_node
from realtime.protocol.close_codes import CloseCode

PASSWORD = "correct horse"
ACME_HOST = "acme.localhost"
GLOBEX_HOST = "globex.localhost"


@pytest.fixture(autouse=True)
def _quick_and_separate(settings: Settings) -> Iterator[None]:
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    yield
    # Tests of other folders sign in to tenants of the same names.
    forget_sign_ins()


def forget_sign_ins() -> None:
    """No sign-in has failed yet."""
    current_node()._shared.pop(SignIns, None)


@pytest.fixture
def revoked(monkeypatch: pytest.MonkeyPatch) -> list[Revocation]:
    """What the sockets were told to end."""
    told: list[Revocation] = []
    monkeypatch.setattr("realtime.revoke", told.extend)
    monkeypatch.setattr("realtime.refresh_tenants", lambda: None)
    return told


@pytest.fixture(autouse=True)
def _no_sockets(revoked: list[Revocation]) -> None:
    """There is no runtime in these tests."""


@pytest.fixture
def acme(db: None) -> Tenant:
    """The first tenant."""
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    Domain.objects.create(tenant=tenant, host=ACME_HOST)
    return tenant


@pytest.fixture
def globex(acme: Tenant) -> Tenant:
    """Another tenant."""
    tenant = Tenant.objects.create(slug="globex", name="Globex")
    Domain.objects.create(tenant=tenant, host=GLOBEX_HOST)
    return tenant


def core(tenant: Tenant) -> CoreTenant:
    """The tenant as connections see it."""
    return CoreTenant(id=tenant.pk, slug=tenant.slug, name=tenant.name)


def add_member(tenant: Tenant, username: str, **membership: Any) -> User:
    """A user with the usual password who is a member of `tenant`."""
    user = User.objects.create_user(username, password=PASSWORD)
    Membership.objects.create(tenant=tenant, user=user, **membership)
    return user


@pytest.fixture
def alice(acme: Tenant) -> User:
    """A member of acme."""
    return add_member(acme, "alice")


@pytest.fixture
def carol(globex: Tenant) -> User:
    """A member of globex."""
    return add_member(globex, "carol")


@pytest.fixture
def browser() -> Client:
    """A browser on acme's host."""
    return Client(headers={"host": ACME_HOST})


Post = Callable[..., Any]


@pytest.fixture
def post(browser: Client) -> Post:
    """POST JSON to the API; on acme's host unless told."""

    def send(path: str, body: dict[str, Any], *, host: str = ACME_HOST, token: str = "") -> Any:
        headers = {"host": host} | ({"authorization": f"Bearer {token}"} if token else {})
        return browser.post(f"/api/{path}", body, content_type="application/json", headers=headers)

    return send


def sign_in(browser: Client, username: str, *, host: str = ACME_HOST, password: str = PASSWORD) -> Any:
    """Send the sign-in form."""
    body = {"username": username, "password": password}
    return browser.post("/accounts/login/", body, headers={"host": host})


def tokens(post: Post, username: str = "alice", **extra: Any) -> dict[str, Any]:
    """The tokens of a fresh sign-in."""
    response = post("token/", {"username": username, "password": PASSWORD} | extra)
    assert response.status_code == 200, response.content
    pair: dict[str, Any] = response.json()
    return pair


def revocations_now(authenticator: Authenticator | None = None) -> Callable[[str, Tenant], CloseCode | None]:
    """As a process that starts now: the code that an access token is refused with, asked without a query."""
    authenticator = authenticator or Authenticator()
    revocations = Revocations()
    for revocation in authenticator.revocations():
        revocations.add(revocation)
    return lambda access, tenant: revocations.ends(authenticator.verify_token(access, core(tenant)))


def fresh_directory() -> Directory:
    """A directory that has read the table as it is now."""
    directory = Directory()
    directory.refresh()
    return directory
