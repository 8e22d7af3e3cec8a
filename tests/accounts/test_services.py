"""Profiles, statuses and new tenants."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Domain, Membership, Tenant, User
from accounts.selectors import user_profile
from accounts.services import status_update
from realtime.protocol.errors import ErrorCode, RequestError
from tests.accounts.conftest import sign_in


def test_members_see_one_another(alice: User, acme: Tenant) -> None:
    assert user_profile(acme.pk, alice.pk) == {
        "id": alice.pk,
        "username": "alice",
        "status": "online",
        "first_name": "",
        "last_name": "",
    }


@pytest.mark.parametrize("who", ["stranger", "nobody", "former", "inactive"])
def test_others_do_not_exist(alice: User, carol: User, acme: Tenant, who: str) -> None:
    if who == "former":
        Membership.objects.filter(user=alice).update(is_active=False)
    elif who == "inactive":
        User.objects.filter(pk=alice.pk).update(is_active=False)
    ids = {"stranger": carol.pk, "nobody": 999}
    assert user_profile(acme.pk, ids.get(who, alice.pk)) is None


def test_a_status_is_kept_per_tenant(alice: User, acme: Tenant, globex: Tenant) -> None:
    Membership.objects.create(user=alice, tenant=globex)
    status_update(acme.pk, alice.pk, "away")
    assert Membership.objects.get(user=alice, tenant=acme).status == "away"
    assert Membership.objects.get(user=alice, tenant=globex).status == "online"


@pytest.mark.parametrize(
    "status", ["", " ", "x" * 65, "a\x00b", "\x00", "\u3164", "\u200b", "\u2800", "a\u202eb"]
)
def test_bad_statuses_are_refused(alice: User, acme: Tenant, status: str) -> None:
    with pytest.raises(RequestError) as caught:
        status_update(acme.pk, alice.pk, status)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


def test_a_status_may_be_an_emoji_of_several_parts(alice: User, acme: Tenant) -> None:
    status_update(acme.pk, alice.pk, "\U0001f469\u200d\U0001f4bb  at work ")
    assert Membership.objects.get(user=alice, tenant=acme).status == "\U0001f469\u200d\U0001f4bb at work"


@pytest.mark.parametrize("field", ["username", "first_name", "last_name"])
def test_no_form_takes_a_user_name_that_cannot_be_seen(alice: User, field: str) -> None:
    alice.full_clean(exclude=["password"])
    setattr(alice, field, "ali\u3164ce")
    with pytest.raises(ValidationError, match="Invisible"):
        alice.full_clean(exclude=["password"])


@pytest.mark.parametrize("username", ["\u0430lice", "al\u0456ce", "\u0430\u04cf\u0456\u0441\u0435"])
def test_no_form_takes_a_user_name_that_poses_as_another(alice: User, username: str) -> None:
    with pytest.raises(ValidationError, match="look"):
        User(username=username, password="!").full_clean()
    for name in ("jos\u00e9", "\u0430\u043d\u043d\u0430", "\u05d0\u05d1\u05d2"):
        User(username=name, password="!").full_clean()


def test_no_form_takes_a_status_or_tenant_that_cannot_be_seen(alice: User, acme: Tenant) -> None:
    membership = Membership.objects.get(user=alice, tenant=acme)
    membership.status = ""
    membership.full_clean()
    membership.status, acme.name = "\u2800", "Ac\u00adme"
    for row in (membership, acme):
        with pytest.raises(ValidationError, match="Invisible"):
            row.full_clean()


def test_a_stranger_has_no_status(carol: User, acme: Tenant) -> None:
    with pytest.raises(RequestError) as caught:
        status_update(acme.pk, carol.pk, "away")
    assert caught.value.code is ErrorCode.NOT_FOUND


@pytest.mark.django_db
def test_the_first_tenant_of_a_site(browser: Client) -> None:
    User.objects.create_superuser("root", password="correct horse")
    call_command("create_tenant", "acme", "acme.localhost", "acme.example", staff="root", verbosity=0)
    assert set(Domain.objects.values_list("host", flat=True)) == {"acme.localhost", "acme.example"}
    sign_in(browser, "root")
    assert browser.get("/admin/").status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [["acme", "new.localhost"], ["new", "Bad Host"], ["new", "acme.localhost"], ["bad slug", "a.b"]],
)
def test_bad_or_taken_names_make_nothing(acme: Tenant, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("create_tenant", *arguments)
    assert Tenant.objects.count() == Domain.objects.count() == 1


def test_staff_must_exist(acme: Tenant) -> None:
    with pytest.raises(CommandError, match="no user"):
        call_command("create_tenant", "new", "new.localhost", staff="nobody")
