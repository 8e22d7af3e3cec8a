"""What is installed is what was pinned: by version and by hash."""

import re

import pytest

from tests.servers.databases import REPOSITORY


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_a_version_and_a_hash(name: str) -> None:
    pins = (REPOSITORY / name).read_text().replace("\\\n", " ").splitlines()
    assert len(pins) > 50
    for pin in pins:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+ ", pin), pin[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", pin), pin[:80]


def test_setup_takes_nothing_else() -> None:
    installs = re.findall(r"pip install .*-r requirements\S*", (REPOSITORY / "Makefile").read_text())
    assert len(installs) == 2
    assert all("--require-hashes" in install for install in installs)
