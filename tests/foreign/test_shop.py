"""The examples of the tutorial, the cookbook and two more pages run as one project, with the tests that they show."""

import os
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.fixtures.shop import PAGES, examples, make_shop, run_suite
from tests.servers.databases import base_environment

PLUGIN = "" if entry_points(group="pytest11", name="realtime") else "realtime.testing.plugin"


def test_the_examples_run_and_their_tests_pass(tmp_path: Path) -> None:
    make_shop(tmp_path / "shop", sys.executable)
    env = base_environment() | {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    said = run_suite(tmp_path / "shop", sys.executable, env, plugin=PLUGIN)
    shown = sum(
        text.count("\ndef test_") + text.count("    def test_") + text.count("async def test_")
        for text in examples().values()
    )
    [passed] = re.findall(r"(\d+) passed", said)
    # A test module's first function has no line feed of its own before it.
    assert int(passed) >= shown > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_tests_of_its_examples(page: Path) -> None:
    tests = [block for block in blocks(page, "python") if re.match(r"# \w+/tests/test_\w+\.py\n", block.text)]
    assert tests
