"""The fake clock: it comes before the project."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.simulation import determinism


def test_the_fake_clock_is_refused_once_the_project_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "realtime.core.lapses", ModuleType("realtime.core.lapses"))
    with pytest.raises(RuntimeError, match=r"realtime\.core\.lapses"):
        determinism.require_early()


def test_the_simulator_imports_nothing_of_the_project_before_its_clock() -> None:
    code = "from tests.simulation import determinism; determinism.require_early()"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
