"""Programs and packages that tests/prepare.py gets for tests, where it could not."""

import os
from typing import NoReturn

import pytest

from tests.prepare import NPM_FOLDER

needs_npm = pytest.mark.skipif(
    not os.environ.get("CI") and not (NPM_FOLDER / "node_modules" / ".package-lock.json").is_file(),
    reason="needs npm packages: .venv/bin/python tests/prepare.py",
)


def give_up(reason: str) -> NoReturn:
    """Skip the test, or fail where the environment says CI."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
