"""The settings of these tests are a stranger's, so the node that they use is not that of other tests."""

from collections.abc import Iterator

import pytest

from realtime.node.node import install


@pytest.fixture(autouse=True)
def _own_node() -> Iterator[None]:
    install(None)
    yield
    install(None)
