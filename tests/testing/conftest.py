"""The settings of these tests are a stranger's, so the node that they use is not that of other tests."""

from collections.abc import Iterator

import pytest

from realtime.endpoints import registry, sources
from realtime.node.node import install


@pytest.fixture(autouse=True)
def _own_node(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The apps of this site declare tasks that read the database all the time.
    monkeypatch.setattr(registry, "_modules", lambda: iter([sources]))
    install(None)
    yield
    install(None)
