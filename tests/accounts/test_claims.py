"""Signed tokens that say absurd things: each is a bad credential, on a socket and over REST, and breaks nothing."""

import base64
import math
from collections.abc import Iterable
from typing import Any

import pytest
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from accounts.credentials.claims import ID_MAX, TIME_MAX_S
from accounts.credentials.identity import Authenticator
from accounts.models import Tenant, User
from realtime.protocol.errors import Refusal
from tests.accounts.conftest import Post, core

ABSURD_IDS: list[Any] = [
    10**30,
    -(10**30),
    ID_MAX + 1,
    -1,
    0,
    True,
    1.0,
    1.5,
    "1",
    "x",
    "",
    None,
    [],
    [1],
    {},
    math.inf,
    math.nan,
]
ABSURD_TIMES: list[Any] = [
    10**18,
    10**30,
    -1,
    -(10**18),
    TIME_MAX_S + 1,
    1e300,
    math.inf,
    math.nan,
    "x",
    "",
    None,
    [],
    {},
    True,
]


def changes(*names: str, to: Iterable[Any]) -> list[dict[str, Any]]:
    """One for each of the names and values."""
    return [{name: value} for name in names for value in to]


CHANGES: list[dict[str, Any]] = [
    *changes("user_id", to=ABSURD_IDS),
    *changes("exp", to=ABSURD_TIMES),
    *changes("iat", to=ABSURD_TIMES),
    *changes("nbf", to=(10**18, 10**30, 4e9, math.inf, math.nan, "x", [], {})),
    *changes("rights", to=(10**30, -1, True, 1.5, "1", None, [])),
    *changes("scopes", to=("chat:read", None, 5, {"chat:read": 1}, [1], [None], [["chat:read"]])),
    *changes("tenant", to=(None, 5, [], "acme\0", "x" * 10_000)),
    *changes("fam", "stamp", "username", to=(5, None, [], {}, "x" * 10_000, "\0")),
    *changes("jti", to=(5, None, [], "x" * 10_000)),
    *changes("token_type", to=("refresh", None)),
]


def signed(kind: type[Token], user: User, change: dict[str, Any]) -> str:
    token = kind()
    token.payload |= {
        "user_id": user.pk,
        "username": "alice",
        "tenant": "acme",
        "scopes": ["chat:read"],
        "fam": "f" * 32,
        "stamp": user.password_stamp(),
        "rights": user.rights_version,
    }
    assert kind(str(token))  # type: ignore[arg-type] # it takes encoded tokens too
    token.payload |= change
    return str(token)


def test_the_unchanged_one_is_good(alice: User, acme: Tenant) -> None:
    identity = Authenticator().verify_token(signed(AccessToken, alice, {}), core(acme))
    assert (identity.user_id, identity.rights) == (alice.pk, alice.rights_version)


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: repr(each)[:60])
def test_an_absurd_claim_is_a_bad_credential(
    alice: User, acme: Tenant, post: Post, change: dict[str, Any]
) -> None:
    access = signed(AccessToken, alice, change)
    with pytest.raises(Refusal) as caught:
        Authenticator().verify_token(access, core(acme))
    assert caught.value.status == 401
    assert post("token/verify/", {"token": access[:8192]}).status_code == 401
    assert post("ws-ticket/", {}, token=access).status_code == 401
    refresh = signed(RefreshToken, alice, change if "token_type" not in change else {"token_type": "access"})
    for path in ("token/refresh/", "token/revoke/"):
        assert post(path, {"refresh": refresh}).status_code in {400 if len(refresh) > 8192 else 401, 401}


@pytest.mark.parametrize("brackets", [1_000, 3_000, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_deep_head_is_a_bad_credential(acme: Tenant, post: Post, brackets: int, opening: str) -> None:
    """The head of a token is read before its signature, so anybody can send one."""
    head = base64.urlsafe_b64encode((opening * brackets).encode()).rstrip(b"=").decode()
    token = f"{head}.e30.x"
    with pytest.raises(Refusal) as caught:
        Authenticator().verify_token(token, core(acme))
    assert caught.value.status == 401
    assert post("ws-ticket/", {}, token=token).status_code == 401
    for path, name in (
        ("token/verify/", "token"),
        ("token/refresh/", "refresh"),
        ("token/revoke/", "refresh"),
    ):
        assert post(path, {name: token}).status_code in ({400, 413} if len(token) > 8192 else {401})


@pytest.mark.parametrize("id_", [1, 999, ID_MAX])
def test_an_id_that_nobody_has_breaks_no_recheck(alice: User, acme: Tenant, id_: int) -> None:
    authenticator = Authenticator()
    poison = authenticator.verify_token(
        signed(AccessToken, alice, {"user_id": id_ + alice.pk if id_ < ID_MAX else id_}), core(acme)
    )
    good = authenticator.verify_token(signed(AccessToken, alice, {}), core(acme))
    assert set(authenticator.recheck([poison, good])) == {poison}
