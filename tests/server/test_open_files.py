"""A server lets itself open as many files as its sockets may need, and says if the system does not let it."""

import resource
from math import inf

import pytest

from realtime.server.open_files import allow_files, files_advice, files_allowed, files_needed

NO_LIMIT = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "needed", "raised_to"),
    [
        (1024, 524_288, 40_200, 40_200),
        (1024, 20_000, 40_200, 20_000),
        (1024, NO_LIMIT, 40_200, 40_200),
        (65_536, 65_536, 40_200, None),
        (NO_LIMIT, NO_LIMIT, 40_200, None),
        (20_000, 20_000, 40_200, None),
    ],
)
def test_the_limit_is_raised_as_far_as_needed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, needed: int, raised_to: int | None
) -> None:
    done: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: done.append(limits))
    allow_files(needed)
    assert done == ([] if raised_to is None else [(raised_to, hard)])
    assert files_allowed() == (inf if hard == NO_LIMIT else hard)
    assert (files_advice(needed) == "") is (files_allowed() >= needed)


def test_a_socket_and_a_connection_that_is_none_yet_are_two() -> None:
    assert files_needed(20_000) == 40_200
