"""Whatever takes something away ends what was proved before, at the next handshake, without a query; and no more."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from unittest import mock

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from accounts.credentials.identity import Authenticator
from accounts.models import Membership, Revocation, Tenant, Ticket, User, UserSession
from accounts.rights.revocation_log import RevocationLog
from realtime.core.identity import CredentialKind, Identity
from realtime.core.revocations import Revocation as RevocationValue
from realtime.core.revocations import RevocationKind, Revocations
from realtime.protocol.close_codes import CloseCode
from tests.accounts.conftest import PASSWORD, Post, add_member, core, revocations_now, sign_in, tokens

GONE, OUT = CloseCode.UNAUTHENTICATED, CloseCode.FORBIDDEN
NEW = "s4ddle-and-bridle"


def deactivate(user: User) -> None:
    user.is_active = False
    user.save()


def deactivate_one_field(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def new_password(user: User) -> None:
    user.set_password(NEW)
    user.save(update_fields=["password"])


def unusable_password(user: User) -> None:
    user.set_unusable_password()
    user.save()


def changepassword(user: User) -> None:
    with mock.patch("getpass.getpass", return_value=NEW):
        call_command("changepassword", user.username, stdout=StringIO())


def delete(user: User) -> None:
    user.delete()


def delete_many(user: User) -> None:
    User.objects.filter(pk=user.pk).delete()


def leave(user: User) -> None:
    user.memberships.get().delete()


def leave_by_a_queryset(user: User) -> None:
    user.memberships.all().delete()


def suspend(user: User) -> None:
    membership = user.memberships.get()
    membership.is_active = False
    membership.save()


def move(user: User) -> None:
    membership = user.memberships.get()
    membership.tenant = Tenant.objects.create(slug="elsewhere", name="Elsewhere")
    membership.save()


ENDINGS = [
    (deactivate, GONE),
    (deactivate_one_field, GONE),
    (new_password, GONE),
    (unusable_password, GONE),
    (changepassword, GONE),
    (delete, GONE),
    (delete_many, GONE),
    (leave, OUT),
    (leave_by_a_queryset, OUT),
    (suspend, OUT),
    (move, OUT),
]
each_ending = pytest.mark.parametrize(
    ("end", "code"), ENDINGS, ids=lambda each: getattr(each, "__name__", "")
)


@each_ending
def test_a_token_made_before_opens_nothing(
    alice: User,
    acme: Tenant,
    post: Post,
    end: Callable[[User], None],
    code: CloseCode,
    revoked: list[RevocationValue],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    add_member(acme, "bob")
    access, other = tokens(post)["access"], tokens(post, "bob")["access"]
    before = revocations_now()
    assert before(access, acme) is None
    with django_capture_on_commit_callbacks(execute=True):
        end(User.objects.get(pk=alice.pk))
    ends = revocations_now()
    assert ends(access, acme) is code
    assert ends(other, acme) is None
    # What the open sockets are told, and in this order: the first decides the code.
    identity = Authenticator().verify_token(access, core(acme))
    assert next(found for each in revoked if (found := each.ends(identity))) is code


def test_it_is_known_without_a_query(
    alice: User, acme: Tenant, post: Post, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    access = tokens(post)["access"]
    deactivate(alice)
    ends = revocations_now()
    with django_assert_num_queries(0):
        assert ends(access, acme) is GONE


@pytest.mark.parametrize("times", [1, 3])
def test_signing_in_again_works_at_once(alice: User, acme: Tenant, post: Post, times: int) -> None:
    """Within the same second, too, and however often."""
    former = []
    for number in range(times):
        password = PASSWORD if number == 0 else f"{NEW}{number}"
        response = post("token/", {"username": "alice", "password": password})
        former.append(response.json())
        alice.set_password(f"{NEW}{number + 1}")
        alice.save()
    pair = post("token/", {"username": "alice", "password": f"{NEW}{times}"}).json()
    ends = revocations_now()
    assert ends(pair["access"], acme) is None
    assert post("token/verify/", {"token": pair["access"]}).status_code == 200
    assert post("token/refresh/", {"refresh": pair["refresh"]}).status_code == 200
    for each in former:
        assert ends(each["access"], acme) is GONE
        assert post("token/refresh/", {"refresh": each["refresh"]}).status_code == 401


def test_the_same_hash_put_back_locks_nobody_out(alice: User, acme: Tenant, post: Post) -> None:
    stored = alice.password
    new_password(alice)
    User.objects.update(password=stored)
    assert revocations_now()(tokens(post)["access"], acme) is None


@pytest.mark.parametrize("end", [deactivate, suspend, leave])
def test_who_comes_back_signs_in_anew(
    alice: User, acme: Tenant, browser: Client, post: Post, end: Callable[[User], None]
) -> None:
    sign_in(browser, "alice")
    pair = tokens(post)
    ticket = post("ws-ticket/", {}, token=pair["access"])
    assert ticket.status_code == 200
    end(alice)
    User.objects.update(is_active=True)
    Membership.objects.filter(user=alice).delete()
    Membership.objects.create(user=User.objects.get(pk=alice.pk), tenant=acme)
    assert revocations_now()(pair["access"], acme) is not None
    assert post("token/verify/", {"token": pair["access"]}).status_code == 401
    assert post("token/refresh/", {"refresh": pair["refresh"]}).status_code == 401
    assert not Ticket.objects.exists()
    assert not UserSession.objects.filter(user=alice).exists()
    fresh = tokens(post)
    assert revocations_now()(fresh["access"], acme) is None
    assert post("token/refresh/", {"refresh": fresh["refresh"]}).status_code == 200


def test_what_takes_nothing_away_ends_nothing(alice: User, acme: Tenant, post: Post) -> None:
    access = tokens(post)["access"]
    version = User.objects.get().rights_version
    alice.first_name = "Alice"
    alice.is_staff = True
    alice.save()
    alice.is_superuser = True
    alice.save()
    membership = alice.memberships.get()
    membership.role = Membership.Role.STAFF
    membership.extra_scopes = ["reports:read"]
    membership.status = "away"
    membership.save()
    assert not Revocation.objects.exists()
    assert User.objects.get().rights_version == version
    assert revocations_now()(access, acme) is None


@pytest.mark.parametrize(
    ("asked", "outlives"),
    [("chat:read", True), ("reports:read", False), ("metrics:read", False), (None, False)],
)
def test_a_lost_role_ends_what_holds_more(
    acme: Tenant, post: Post, asked: str | None, outlives: bool
) -> None:
    erin = add_member(acme, "erin", role=Membership.Role.STAFF, extra_scopes=["reports:read"])
    pair = tokens(post, "erin", **({"scopes": asked} if asked else {}))
    identity = Authenticator().verify_token(pair["access"], core(acme))
    narrow = Identity(
        identity.user_id, "erin", "acme", identity.scopes, CredentialKind.TOKEN, rights=identity.rights
    )
    membership = erin.memberships.get()
    membership.role, membership.extra_scopes = Membership.Role.MEMBER, []
    membership.save()
    revocations = Revocations()
    for each in Authenticator().revocations():
        revocations.add(each)
    # Staff is a flag of the whole token; without it only the scopes count.
    assert revocations.ends(identity) is GONE
    assert revocations.ends(narrow) is (None if outlives else GONE)
    # The refresh token goes on, with what is left.
    fresh = post("token/refresh/", {"refresh": pair["refresh"]})
    assert fresh.status_code == 200
    assert revocations_now()(fresh.json()["access"], acme) is None


@pytest.mark.parametrize("flag", ["is_superuser", "is_staff"])
def test_a_lost_flag_ends_what_carries_it(acme: Tenant, post: Post, flag: str) -> None:
    root = User.objects.create_superuser("root", password=PASSWORD)
    Membership.objects.create(user=root, tenant=acme)
    access = tokens(post, "root")["access"]
    setattr(root, flag, False)
    root.save(update_fields=[flag])
    assert revocations_now()(access, acme) is GONE
    fresh = tokens(post, "root")["access"]
    assert revocations_now()(fresh, acme) is None


def test_one_membership_leaves_the_other_tenants_tokens(
    alice: User, acme: Tenant, globex: Tenant, post: Post
) -> None:
    Membership.objects.create(user=alice, tenant=globex)
    here = tokens(post)["access"]
    there = post("token/", {"username": "alice", "password": PASSWORD}, host="globex.localhost").json()[
        "access"
    ]
    alice.memberships.get(tenant=acme).delete()
    ends = revocations_now()
    assert (ends(here, acme), ends(there, globex)) == (OUT, None)


def test_an_old_copy_of_the_user_brings_no_version_back(alice: User, acme: Tenant, post: Post) -> None:
    stale = User.objects.get(pk=alice.pk)
    access = tokens(post)["access"]
    new_password(alice)
    suspend(alice)
    version = User.objects.get().rights_version
    stale.first_name = "Alice"
    stale.save()
    assert User.objects.get().rights_version >= version
    assert revocations_now()(access, acme) is not None


def test_a_token_of_an_older_server_is_one_of_the_first_version(
    alice: User, acme: Tenant, post: Post
) -> None:
    old = Identity(alice.pk, "alice", "acme", frozenset(), CredentialKind.TOKEN)
    ends = Revocations()
    assert ends.ends(old) is None
    new_password(alice)
    for each in Authenticator().revocations():
        ends.add(each)
    assert ends.ends(old) is GONE


def test_signing_out_names_the_session_only(
    alice: User,
    browser: Client,
    revoked: list[RevocationValue],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    sign_in(browser, "alice")
    row = UserSession.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        browser.post("/accounts/logout/")
    assert [(each.kind, each.user_id, each.name) for each in revoked] == [
        (RevocationKind.SESSION, alice.pk, row.key_hash)
    ]


# Reading them as they come


def row(**fields: object) -> Revocation:
    defaults = {
        "kind": "family",
        "user_id": 1,
        "value": "f",
        "expires_at": timezone.now() + timedelta(hours=1),
    }
    return Revocation.objects.create(**defaults | fields)


@pytest.fixture
def log(db: None) -> RevocationLog:
    log = RevocationLog()
    row(value="first")
    assert [each.name for each in log.read()] == ["first"]
    return log


def names(log: RevocationLog) -> list[str]:
    return [each.name for each in log.read()]


def test_each_is_read_once(log: RevocationLog, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    row(value="second")
    row(value="expired", expires_at=timezone.now())
    with django_assert_num_queries(1):
        assert names(log) == ["second"]
    with django_assert_num_queries(1):
        assert names(log) == []


def test_a_lower_id_that_is_committed_later_is_read_too(log: RevocationLog) -> None:
    last_id = Revocation.objects.get().pk
    row(pk=last_id + 3, value="early")
    assert names(log) == ["early"]
    row(pk=last_id + 1, value="late")
    assert names(log) == ["late"]
    row(pk=last_id + 2, value="later")
    assert names(log) == ["later"]
    assert names(log) == []


def test_a_table_that_was_emptied_is_read_from_its_beginning(log: RevocationLog) -> None:
    row(pk=1_000, value="high")
    log.read()
    Revocation.objects.all().delete()
    log.rewind()
    row(pk=1, value="anew")
    assert names(log) == ["anew"]


def test_rows_of_an_older_version_still_count(alice: User, acme: Tenant, post: Post) -> None:
    access = tokens(post)["access"]
    identity = Authenticator().verify_token(access, core(acme))
    for kind, value in (("family", identity.family), ("stamp", identity.password_stamp)):
        Revocation.objects.all().delete()
        row(kind=kind, user_id=None, value=value)
        assert revocations_now()(access, acme) is GONE
        assert set(Authenticator().recheck([identity])) == {identity}
