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
    text = (REPOSITORY / "Makefile").read_text()
    installs = [
        line for line in re.findall(r"pip install .*", text) if "bench" not in line and "$<" not in line
    ]
    pinned = [line for line in installs if "--require-hashes -r requirements" in line]
    # The package itself, built with what is pinned.
    own = [line for line in installs if line.endswith("--no-deps --no-build-isolation -e .")]
    assert (len(pinned), len(own)) == (2, 1)
    assert len(installs) == 3
