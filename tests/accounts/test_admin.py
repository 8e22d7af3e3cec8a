"""The admin: who sees what, and that edits hold at once."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import Domain, Membership, Tenant, User, UserSession
from realtime.control.keys import create_key
from realtime.core.revocations import Revocation as RevocationValue
from realtime.models import ApiKey
from tests.accounts.conftest import ACME_HOST, GLOBEX_HOST, add_member, sign_in

PAGES = ["user", "tenant", "domain", "membership", "ticket", "revocation"]


@pytest.fixture
def root(acme: Tenant, globex: Tenant, browser: Client) -> User:
    """The superuser, signed in."""
    user = add_member(acme, "root", role=Membership.Role.STAFF)
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    sign_in(browser, "root")
    return user


@pytest.fixture
def erin(acme: Tenant, carol: User, browser: Client) -> User:
    """Staff of acme with every permission there is, signed in; carol is of globex."""
    user = add_member(acme, "erin", role=Membership.Role.STAFF)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    sign_in(browser, "erin")
    return user


@pytest.mark.parametrize("page", PAGES)
def test_the_superuser_sees_every_page(root: User, browser: Client, page: str) -> None:
    assert browser.get(f"/admin/accounts/{page}/").status_code == 200
    assert browser.get(f"/admin/accounts/{page}/", {"q": "a"}).status_code == 200


@pytest.mark.parametrize("page", ["user", "tenant", "domain", "membership"])
def test_the_superuser_adds(root: User, browser: Client, page: str) -> None:
    assert browser.get(f"/admin/accounts/{page}/add/").status_code == 200


@pytest.mark.parametrize("page", ["ticket", "revocation"])
def test_nobody_adds_records(root: User, browser: Client, page: str) -> None:
    assert browser.get(f"/admin/accounts/{page}/add/").status_code == 403


def test_members_do_not_get_in(alice: User, browser: Client) -> None:
    sign_in(browser, "alice")
    response = browser.get("/admin/")
    assert (response.status_code, response["Location"]) == (302, "/admin/login/?next=/admin/")


def test_the_slug_of_a_tenant_never_changes(root: User, acme: Tenant, browser: Client) -> None:
    """API keys, bans and quotas go by it."""
    hosts = {"domains-TOTAL_FORMS": 0, "domains-INITIAL_FORMS": 0}
    form = {"slug": "other", "name": "Other", "is_active": "on"} | hosts
    assert browser.post(f"/admin/accounts/tenant/{acme.pk}/change/", form).status_code == 302
    acme.refresh_from_db()
    assert (acme.slug, acme.name) == ("acme", "Other")
    assert browser.post("/admin/accounts/tenant/add/", form).status_code == 302
    assert Tenant.objects.filter(slug="other").exists()


def test_the_admins_own_sign_in_page_is_held_back_too(root: User, browser: Client) -> None:
    guest = Client(headers={"host": ACME_HOST})
    for _ in range(10):
        guest.post("/admin/login/", {"username": "root", "password": "wrong"})
    page = guest.post("/admin/login/", {"username": "root", "password": "correct horse"})
    assert "Too many failed attempts" in page.content.decode()


@pytest.mark.parametrize(
    ("page", "own", "other"),
    [
        ("user", "erin", "carol"),
        ("tenant", "acme", "globex"),
        ("domain", ACME_HOST, GLOBEX_HOST),
        ("membership", "erin", "carol"),
    ],
)
def test_staff_see_their_own_tenant(erin: User, browser: Client, page: str, own: str, other: str) -> None:
    rows = browser.get(f"/admin/accounts/{page}/").context["cl"].result_list
    shown = " ".join(f"{row} {getattr(row, 'slug', '')}" for row in rows)
    assert own in shown
    assert other not in shown


def test_staff_cannot_reach_into_another_tenant(erin: User, carol: User, browser: Client) -> None:
    membership = Membership.objects.get(user=carol)
    for path in (f"user/{carol.pk}", f"membership/{membership.pk}"):
        assert browser.get(f"/admin/accounts/{path}/change/").status_code == 302
    assert browser.get("/admin/accounts/revocation/").status_code == 403


@pytest.mark.parametrize("page", ["user", "tenant", "domain", "membership"])
def test_staff_add_none_of_what_gives_power(erin: User, browser: Client, page: str) -> None:
    assert browser.get(f"/admin/accounts/{page}/add/").status_code == 403


def test_staff_cannot_make_themselves_superusers(erin: User, browser: Client) -> None:
    path = f"/admin/accounts/user/{erin.pk}/change/"
    page = browser.get(path)
    assert page.status_code == 200
    assert "is_superuser" not in page.content.decode()
    assert browser.post(path, {"username": "erin", "is_superuser": "on"}).status_code == 403
    assert browser.post(f"/admin/accounts/user/{erin.pk}/password/", {}).status_code == 403


def test_staff_of_one_tenant_are_nobody_in_another(erin: User, globex: Tenant) -> None:
    Membership.objects.create(user=erin, tenant=globex)
    there = Client(headers={"host": GLOBEX_HOST})
    sign_in(there, "erin", host=GLOBEX_HOST)
    assert there.get("/admin/").status_code == 200
    assert there.get("/admin/accounts/membership/").status_code == 403


def test_staff_deactivate_a_membership(
    erin: User,
    alice: User,
    browser: Client,
    revoked: list[RevocationValue],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    other = Client(headers={"host": ACME_HOST})
    sign_in(other, "alice")
    assert UserSession.objects.filter(user=alice).exists()
    membership = Membership.objects.get(user=alice)
    form: dict[str, Any] = {"role": "member", "extra_scopes": "[]", "status": "online"}
    with django_capture_on_commit_callbacks(execute=True):
        response = browser.post(f"/admin/accounts/membership/{membership.pk}/change/", form)
    assert response.status_code == 302, response.content
    membership.refresh_from_db()
    assert not membership.is_active
    assert revoked
    assert not UserSession.objects.filter(user=alice).exists()
    assert UserSession.objects.filter(user=erin).exists()


def test_who_takes_rights_away_hears_of_the_keys_that_go_on(
    erin: User, alice: User, acme: Tenant, browser: Client
) -> None:
    """A key is a machine's: it does not end with the account of its maker."""
    membership = Membership.objects.get(user=alice)
    page, form = f"/admin/accounts/membership/{membership.pk}/", {"extra_scopes": "[]", "status": "online"}
    staff, member = ({"role": role, "is_active": "on"} for role in ("staff", "member"))
    for tenant, expires_at in [("acme", None), ("acme", timezone.now()), ("globex", None)]:
        key, _ = create_key("shop", ["control:read"], tenant=tenant, expires_at=expires_at)
        ApiKey.objects.filter(pk=key.pk).update(created_by="alice")
    heard = [
        "API keys that alice made go on (1)" in browser.post(page + at, sent, follow=True).content.decode()
        for at, sent in [("change/", form | staff), ("change/", form | member), ("delete/", {"post": "yes"})]
    ]
    assert heard == [False, True, True]
    listed = browser.get("/admin/realtime/apikey/?q=alice").content.decode()
    assert "2 API keys" in listed


def test_who_takes_no_right_away_hears_of_no_key(root: User, erin: User, browser: Client) -> None:
    """Staff of a tenant by membership, without the flag of Django's."""
    key, _ = create_key("shop", ["control:read"], tenant="acme")
    ApiKey.objects.filter(pk=key.pk).update(created_by="erin")
    User.objects.filter(pk=erin.pk).update(is_staff=False)
    named = {
        "username": "erin",
        "first_name": "Erin",
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00",
    }
    none = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    page = f"/admin/accounts/user/{erin.pk}/change/"
    for active, is_told in (({"is_active": "on"}, False), ({}, True)):
        told = browser.post(page, named | none | active, follow=True).content.decode()
        assert ("API keys that erin made go on" in told) == is_told
    erin.refresh_from_db()
    assert (erin.first_name, erin.is_active) == ("Erin", False)


def test_who_deletes_a_user_hears_of_the_keys_too(root: User, alice: User, browser: Client) -> None:
    key, _ = create_key("shop", ["control:read"])
    ApiKey.objects.filter(pk=key.pk).update(created_by="alice")
    chosen = {"action": "delete_selected", "_selected_action": [alice.pk], "post": "yes"}
    page = browser.post("/admin/accounts/user/", chosen, follow=True).content.decode()
    assert 'API keys that alice made go on (1). Delete those that nobody else uses: <a href="' in page
    assert "/admin/realtime/apikey/?q=alice" in page


def test_a_new_domain_is_told(
    root: User,
    acme: Tenant,
    browser: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    told: list[None] = []
    monkeypatch.setattr("realtime.refresh_tenants", lambda: told.append(None))
    form = {"tenant": acme.pk, "host": "chat.acme.example", "is_active": "on"}
    with django_capture_on_commit_callbacks(execute=True):
        assert browser.post("/admin/accounts/domain/add/", form).status_code == 302
    assert Domain.objects.filter(host="chat.acme.example").exists()
    assert told


def test_a_bad_host_is_not_taken(root: User, acme: Tenant, browser: Client) -> None:
    form = {"tenant": acme.pk, "host": "http://acme", "is_active": "on"}
    page = browser.post("/admin/accounts/domain/add/", form)
    assert "lower case, no scheme" in page.content.decode()


def test_setting_a_password_ends_what_was_before(
    root: User,
    alice: User,
    browser: Client,
    revoked: list[RevocationValue],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    former = alice.password_stamp()
    form = {"password1": "s4ddle-and-bridle", "password2": "s4ddle-and-bridle", "usable_password": "true"}
    with django_capture_on_commit_callbacks(execute=True):
        response = browser.post(f"/admin/accounts/user/{alice.pk}/password/", form | {"set-password": "1"})
    assert response.status_code == 302, response.content
    alice.refresh_from_db()
    assert alice.check_password("s4ddle-and-bridle")
    assert alice.password_stamp() != former
    assert revoked
