"""The pytest plugin: the fixture `published`. Installed with the package; loads nothing else by itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from realtime.testing.recorded import Publications


@pytest.fixture
def published() -> Iterator["Publications"]:
    """Record the publications of the test; nothing is sent."""
    from realtime.testing.recorded import published as record  # noqa: PLC0415 settings must be there first

    with record() as publications:
        yield publications
