"""What a server does before it serves."""

import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from realtime.asgi import Lifespan


class StoppedError(Exception):
    """The node is told to start."""


class Node:
    """A node whose start shows what was imported before it."""

    async def ensure_started(self) -> None:
        raise StoppedError


async def test_pages_are_imported_before_the_first_request(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pages_of_a_project.py").write_text("urlpatterns = []")
    monkeypatch.syspath_prepend(tmp_path)
    settings.ROOT_URLCONF = "pages_of_a_project"

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(_: Any) -> None:
        raise AssertionError

    node: Any = Node()
    with pytest.raises(StoppedError):
        await Lifespan(node)({"type": "lifespan"}, receive, send)
    assert "pages_of_a_project" in sys.modules
