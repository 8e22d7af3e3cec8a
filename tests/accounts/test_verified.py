"""Coming back with a token that was verified before."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.credentials import verified
from accounts.credentials.identity import Authenticator
from accounts.credentials.verified import VerifiedTokens
from accounts.models import Tenant, User
from realtime.core.identity import Identity
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import Refusal
from tests.accounts.conftest import Post, core, revocations_now, tokens


@pytest.fixture
def known(alice: User, acme: Tenant, post: Post) -> tuple[Authenticator, dict[str, str]]:
    """An authenticator that has seen a pair's access token."""
    authenticator, pair = Authenticator(), tokens(post)
    authenticator.verify_token(pair["access"], core(acme))
    return authenticator, pair


def identity_of(known: tuple[Authenticator, dict[str, str]], tenant: Tenant) -> Identity:
    authenticator, pair = known
    return authenticator.verify_token(pair["access"], core(tenant))


def test_it_proves_the_same(known: tuple[Authenticator, dict[str, str]], acme: Tenant) -> None:
    again = identity_of(known, acme)
    assert again is identity_of(known, acme)
    assert again == Authenticator().verify_token(known[1]["access"], core(acme))


def test_another_tenant_still_denies_it(known: tuple[Authenticator, dict[str, str]], globex: Tenant) -> None:
    with pytest.raises(Refusal) as caught:
        identity_of(known, globex)
    assert caught.value.status == 403


def test_a_revocation_still_ends_it(
    known: tuple[Authenticator, dict[str, str]],
    acme: Tenant,
    post: Post,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    authenticator, pair = known
    with django_capture_on_commit_callbacks(execute=True):
        post("token/revoke/", {"refresh": pair["refresh"]})
    assert revocations_now(authenticator)(pair["access"], acme) is CloseCode.UNAUTHENTICATED


@pytest.mark.parametrize("position", [0, -2])
def test_a_token_that_differs_in_one_character_is_another(
    known: tuple[Authenticator, dict[str, str]], acme: Tenant, position: int
) -> None:
    authenticator, pair = known
    changed = list(pair["access"])
    changed[position] = "A" if changed[position] != "A" else "B"
    with pytest.raises(Refusal):
        authenticator.verify_token("".join(changed), core(acme))


def test_an_expired_one_is_forgotten_and_no_token_is_kept(
    known: tuple[Authenticator, dict[str, str]], acme: Tenant
) -> None:
    identity = identity_of(known, acme)
    remembered = VerifiedTokens()
    remembered.add("a.b.c", replace(identity, expires_at=timezone.now() + timedelta(seconds=60)))
    assert remembered.find("a.b.c") is not None
    assert "a.b.c" not in repr(vars(remembered))
    for end in (timezone.now(), None):
        remembered.add("a.b.c", replace(identity, expires_at=end))
        assert remembered.find("a.b.c") is None


def test_only_so_many_are_remembered(
    known: tuple[Authenticator, dict[str, str]], acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "TOKENS_MAX", 2)
    remembered = VerifiedTokens()
    for token in ("1", "2"):
        remembered.add(token, identity_of(known, acme))
    # A full cache drops the least recently used token, and no other.
    remembered.find("1")
    remembered.add("3", identity_of(known, acme))
    assert [token for token in ("1", "2", "3") if remembered.find(token)] == ["1", "3"]
