"""What a handshake offers as subprotocols: which one is answered, and what is a token among them."""

import pytest

from realtime.core.credential_reading import bearer_credentials, choose_subprotocol, subprotocol_token

V1, BATCH = "rockstar.v1", "rockstar.v1.batch"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"
BEARER = f"bearer.{TOKEN}"


@pytest.mark.parametrize(
    ("offered", "by_json", "by_raw"),
    [
        ([], None, None),
        (["chat"], None, None),
        ([V1], V1, V1),
        ([V1, BEARER], V1, V1),
        ([BEARER, V1], V1, V1),
        ([TOKEN], TOKEN, TOKEN),
        ([BEARER], BEARER, BEARER),
        (["bearer."], "bearer.", "bearer."),
        ([BATCH, V1], BATCH, V1),
        ([V1, BATCH, BEARER], BATCH, V1),
        # Batches or not: a browser fails where none of its offers is answered.
        ([BATCH], BATCH, BATCH),
        ([TOKEN, BATCH], BATCH, BATCH),
        (["rockstar.v1.other"], "rockstar.v1.other", "rockstar.v1.other"),
    ],
)
def test_the_subprotocol_answered(offered: list[str], by_json: str | None, by_raw: str | None) -> None:
    assert choose_subprotocol(offered, has_batches=True) == by_json
    assert choose_subprotocol(offered, has_batches=False) == by_raw


@pytest.mark.parametrize(
    ("entry", "token"),
    [(V1, None), (BATCH, None), ("chat", None), (TOKEN, TOKEN), (BEARER, TOKEN), (f"bearer.{BATCH}", BATCH)],
)
def test_our_names_are_no_tokens(entry: str, token: str | None) -> None:
    assert subprotocol_token(entry) == token


@pytest.mark.parametrize(
    ("query", "offered"),
    [("token=", ()), ("token", ()), ("ticket=", ()), ("", ["bearer."]), ("", [V1, "bearer."])],
)
def test_an_empty_credential_is_a_bad_one_and_not_none(query: str, offered: list[str]) -> None:
    assert [each.secret for each in bearer_credentials((), query, offered)] == [""]
