"""What has expired goes, a batch at a time; the rest stays."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.credentials import sweeps
from accounts.credentials.identity import Authenticator
from accounts.credentials.sessions import SessionStore
from accounts.models import Revocation, Tenant, Ticket, User, UserSession
from tests.accounts.conftest import Post, tokens

TABLES = (OutstandingToken, Ticket, UserSession, Revocation)


def fill(post: Post, tenant: Tenant) -> None:
    pair = tokens(post)
    post("ws-ticket/", {}, token=pair["access"])
    fresh = post("token/refresh/", {"refresh": pair["refresh"]}).json()
    post("token/revoke/", {"refresh": fresh["refresh"]})
    store = SessionStore(tenant_id=tenant.pk)
    store["colour"] = "green"
    store.save()


def counts() -> list[int]:
    return [table.objects.count() for table in TABLES]


def expire() -> None:
    past = timezone.now() - timedelta(days=60)
    OutstandingToken.objects.update(expires_at=past)
    Ticket.objects.update(expires_at=past)
    Revocation.objects.update(expires_at=past)
    UserSession.objects.update(expire_date=past)


def test_what_has_expired_goes(alice: User, acme: Tenant, post: Post) -> None:
    fill(post, acme)
    expire()
    fill(post, acme)
    assert not Authenticator().sweep()
    assert counts() == [2, 1, 1, 1]
    assert BlacklistedToken.objects.count() == 2


def test_the_clock_of_a_node_that_is_far_ahead_deletes_nothing(
    alice: User, acme: Tenant, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(post, acme)
    ahead = timezone.now() + timedelta(days=3650)
    monkeypatch.setattr(timezone, "now", lambda: ahead)
    assert not sweeps.sweep()
    assert counts() == [2, 1, 1, 1]


def test_nothing_is_written_where_nothing_has(
    alice: User, acme: Tenant, post: Post, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(post, acme)
    with django_assert_num_queries(len(TABLES)):
        assert not sweeps.sweep()
    assert counts() == [2, 1, 1, 1]


def test_one_sweep_is_bounded(alice: User, acme: Tenant, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "BATCH", 2)
    for _ in range(3):
        fill(post, acme)
    expire()
    assert sweeps.sweep()
    assert counts() == [4, 1, 1, 1]
    while sweeps.sweep():
        pass
    assert counts() == [0, 0, 0, 0]
