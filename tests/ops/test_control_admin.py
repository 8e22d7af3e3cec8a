"""Keys, bans, the audit log and the actions of lists in the admin."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from rest_framework.settings import api_settings

from accounts.credentials.identity import Authenticator
from accounts.models import Tenant, User, UserSession
from realtime.control.keys import find_key
from realtime.models import ApiKey, AuditEntry, Ban
from realtime.node import node as nodes

Session = Callable[..., Client]
Tenants = dict[str, Tenant]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_node() -> None:
    nodes.install(None)


@pytest.fixture
def tenants(transactional_db: None, request: pytest.FixtureRequest) -> Tenants:
    """As in the other tests, but committed: operations run in threads of their own."""
    from tests.ops.conftest import make_tenants  # noqa: PLC0415 shares one function

    return make_tenants()


def allow(username: str, *codenames: str) -> None:
    """Give a user permissions."""
    user = User.objects.get(username=username)
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def test_banned_staff_lift_no_ban(
    tenants: Tenants, session: Session, token: Callable[..., dict[str, str]]
) -> None:
    """Their session and their token are still valid, and so they are again after the ban."""
    allow("acme-staff", "view_ban", "add_ban", "delete_ban", "view_live")
    browser, machine = (
        session("acme-staff"),
        Client(headers={"host": "acme.localhost", **token("acme-staff")}),
    )
    user_id = str(User.objects.get(username="acme-staff").pk)
    ban = Ban.objects.create(tenant="acme", user_id=user_id, until=timezone.now() + timedelta(hours=1))
    page, address = f"/admin/realtime/ban/{ban.pk}/delete/", f"/api/realtime/ban/{ban.pk}/"
    assert browser.post(page, {"post": "yes"}).headers["Location"].startswith("/admin/login/")
    for client in (browser, machine):
        for answer in (client.delete(address), client.get("/api/realtime/ban/")):
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "banned")
    assert session("globex-staff", "globex").get("/admin/").status_code == 200
    superuser = session("root")
    Ban.objects.create(tenant="acme", user_id=str(User.objects.get(username="root").pk), until=ban.until)
    assert superuser.get("/admin/").status_code == superuser.get("/api/realtime/ban/").status_code == 200
    Ban.objects.all().delete()
    assert browser.get("/admin/realtime/ban/").status_code == 200


def test_sign_out_everywhere_asks_once_and_ends_what_is_of_the_tenant(
    tenants: Tenants, session: Session
) -> None:
    allow("acme-staff", "view_user")
    asked_for = {"action": "sign_out_everywhere", "_selected_action": [0]}
    without = session("acme-staff").post("/admin/accounts/user/", asked_for)
    assert b"Reason, for the audit log" not in without.content
    allow("acme-staff", "revoke_user")
    browser, member = session("acme-staff"), session("acme-member")
    user = User.objects.get(username="acme-member")
    form = {"action": "sign_out_everywhere", "_selected_action": [user.pk]}
    asked = browser.post("/admin/accounts/user/", form)
    assert b"Reason, for the audit log" in asked.content
    assert UserSession.objects.filter(user=user).exists()
    done = browser.post("/admin/accounts/user/", form | {"confirmed": "yes", "reason": "lost phone"})
    assert done.status_code == 302
    assert not UserSession.objects.filter(user=user).exists()
    assert member.get("/chat/").status_code == 302
    entry = AuditEntry.objects.get(action="revoke")
    assert (entry.actor, entry.actor_kind, entry.tenant) == ("acme-staff", "session", "acme")
    assert (entry.reason, entry.outcome, entry.count) == ("lost phone", "done", 1)


def test_suspend_and_resume_are_for_superusers(tenants: Tenants, session: Session) -> None:
    browser = session("root")
    form = {"_selected_action": [tenants["globex"].pk], "confirmed": "yes"}
    browser.post("/admin/accounts/tenant/", form | {"action": "suspend"})
    assert not Tenant.objects.get(slug="globex").is_active
    assert Client(headers={"host": "globex.localhost"}).get("/accounts/login/").status_code == 404
    browser.post("/admin/accounts/tenant/", form | {"action": "resume"})
    assert Tenant.objects.get(slug="globex").is_active
    allow("acme-staff", "view_tenant", "change_tenant")
    session("acme-staff").post("/admin/accounts/tenant/", form | {"action": "suspend"})
    assert Tenant.objects.get(slug="globex").is_active


def test_a_key_is_shown_once(tenants: Tenants, session: Session) -> None:
    browser = session("root")
    form = {
        "name": "board",
        "tenant": "acme",
        "scopes": ["control:read"],
        "expires_at_0": "",
        "expires_at_1": "",
    }
    page = browser.post("/admin/realtime/apikey/add/", form, follow=True)
    secret = max(re.findall(r"rk_[\w-]+", page.content.decode()), key=len)
    key = find_key(secret)
    assert key is not None
    assert (key.name, key.tenant, key.created_by) == ("board", "acme", "root")
    again = browser.get(f"/admin/realtime/apikey/{key.pk}/change/")
    assert secret not in again.content.decode()


def test_staff_make_keys_of_their_tenant_with_scopes_that_they_hold(
    tenants: Tenants, session: Session
) -> None:
    allow("acme-staff", "add_apikey", "view_apikey")
    ApiKey.objects.create(name="theirs", tenant="globex", scopes=["control:read"], secret_hash="x")
    ApiKey.objects.create(name="everybody's", tenant="", scopes=["control:read"], secret_hash="y")
    browser = session("acme-staff")
    form = {"name": "mine", "tenant": "globex", "scopes": ["control:read"]}
    browser.post("/admin/realtime/apikey/add/", form | {"expires_at_0": "", "expires_at_1": ""})
    assert ApiKey.objects.get(name="mine").tenant == "acme"
    page = browser.get("/admin/realtime/apikey/").content.decode()
    assert "mine" in page
    assert "theirs" not in page
    assert "everybody" not in page


def test_a_ban_made_in_the_admin_is_in_the_audit_log(tenants: Tenants, session: Session) -> None:
    browser, until = session("root"), timezone.now() + timedelta(hours=1)
    form = {"tenant": "acme", "address": "10.0.0.0/8", "reason": "spam"}
    form |= {"until_0": until.date().isoformat(), "until_1": until.strftime("%H:%M:%S")}
    user = {"address": "", "user_id": str(User.objects.get(username="acme-member").pk)}
    for wrong in (
        user | {"address": "10.0.0.1"},
        {"address": ""},
        {"address": "nowhere"},
        {"until_0": "2020-01-01"},
        {"tenant": "acme2"},
        user | {"user_id": "acme-member"},
        user | {"tenant": "globex"},
    ):
        assert browser.post("/admin/realtime/ban/add/", form | wrong).status_code == 200
    browser.post("/admin/realtime/ban/add/", form)
    ban = Ban.objects.get()
    assert (ban.address, ban.created_by) == ("10.0.0.0/8", "root")
    browser.post(f"/admin/realtime/ban/{ban.pk}/delete/", {"post": "yes"})
    assert not Ban.objects.exists()
    assert [each.action for each in AuditEntry.objects.order_by("id")] == ["ban", "unban"]


@pytest.mark.parametrize(("username", "status"), [("acme-member", 302), ("globex-member", 200)])
def test_staff_ban_users_of_their_tenant_only(
    tenants: Tenants, session: Session, username: str, status: int
) -> None:
    allow("acme-staff", "view_ban", "add_ban")
    form = {"user_id": User.objects.get(username=username).pk, "until_0": "2100-01-01", "until_1": "00:00:00"}
    assert session("acme-staff").post("/admin/realtime/ban/add/", form).status_code == status
    assert Ban.objects.filter(tenant="acme").count() == (status == 302)


def test_the_audit_log_is_read_only(tenants: Tenants, session: Session) -> None:
    entry = AuditEntry.objects.create(actor_kind="code", tenant="acme", action="revoke")
    other = AuditEntry.objects.create(actor_kind="code", tenant="globex", action="revoke", reason="of globex")
    browser = session("root")
    assert browser.get("/admin/realtime/auditentry/add/").status_code == 403
    assert browser.post(f"/admin/realtime/auditentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    export = browser.post(
        "/admin/realtime/auditentry/", {"action": "export_csv", "_selected_action": [entry.pk, other.pk]}
    )
    assert len(b"".join(export).splitlines()) == 3
    with pytest.raises(TypeError, match="append-only"):
        entry.save()
    with pytest.raises(TypeError, match="append-only"):
        entry.delete()
    allow("acme-staff", "view_auditentry")
    assert "of globex" not in session("acme-staff").get("/admin/realtime/auditentry/").content.decode()


@pytest.mark.parametrize(
    ("lookup", "is_taken"),
    [
        ("action=revoke", True),
        ("action__exact=revoke", True),
        ("outcome__isnull=False", True),
        ("at__year=2026&at__month=11&at__day=26", True),
        # SQLite leaves them to Python's `re`, which holds up all sockets of the process while it tries.
        ("action__regex=([a-z]|[a-z])*!", False),
        ("action__iregex=([a-z]|[a-z])*!", False),
        ("action__startswith=re", False),
        ("at__week_day=1", False),
        ("at__year__regex=2", False),
        ("tenant=globex", False),
    ],
)
def test_staff_filter_the_audit_log_by_what_the_list_offers(
    tenants: Tenants, session: Session, lookup: str, is_taken: bool
) -> None:
    AuditEntry.objects.create(actor_kind="code", tenant="acme", action="revoke")
    allow("acme-staff", "view_auditentry")
    answer = session("acme-staff").get(f"/admin/realtime/auditentry/?{lookup}")
    assert answer.status_code == (200 if is_taken else 400)


@pytest.fixture
def _rest_of_others(settings: Settings) -> Iterator[None]:
    """Settings of REST framework that know nothing of this package."""
    settings.REST_FRAMEWORK = {}
    yield
    api_settings.reload()


@pytest.mark.usefixtures("_rest_of_others")
def test_errors_have_their_form_in_any_project(tenants: Tenants, session: Session) -> None:
    browser = session("root")
    browser.raise_request_exception = False
    for path, body, key, status, code in (
        # Nothing serves sockets here.
        ("publish/", {"topic": "news", "data": 1}, "", 503, "not_in_force"),
        ("publish/", {"data": 1}, "", 400, "invalid_message"),
        ("nowhere/", {}, "", 404, "not_found"),
        ("publish/", {"topic": "news", "data": 1}, "rk_nonsense", 401, "unauthenticated"),
    ):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        answer = browser.post(f"/api/realtime/{path}", body, content_type="application/json", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path


@pytest.mark.parametrize(("order", "status"), [("revoke", 409), ("ban", 200)])
def test_an_authenticator_need_not_know_users(
    tenants: Tenants, session: Session, monkeypatch: pytest.MonkeyPatch, order: str, status: int
) -> None:
    """That of a project which has only what `manage.py check` asks for."""
    for name in ("knows_user", "sign_out_everywhere"):
        monkeypatch.delattr(Authenticator, name)
    until = timezone.now() + timedelta(days=1)
    body = {"user_id": 12345} | ({"until": until.isoformat()} if order == "ban" else {})
    answer = session("root").post(f"/api/realtime/{order}/", body, content_type="application/json")
    assert answer.status_code == status
    assert Ban.objects.filter(user_id="12345").exists() is (order == "ban")
