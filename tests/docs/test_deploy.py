"""The files of deploy/, as far as they can be checked here."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rockstar.rules.yml"
UNIT = DEPLOY / "systemd" / "rockstar.service"


def tool(name: str) -> str:
    """The path of a tool, or a skip: not every machine has it."""
    path = os.environ.get(name.upper().replace("-", "_")) or shutil.which(name)
    if path is None:
        pytest.skip(f"No {name} was found.")
    return path


def check(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alert_rules_are_rules() -> None:
    check(tool("promtool"), "check", "rules", str(RULES))


def test_the_unit_is_a_unit(tmp_path: Path) -> None:
    # systemd-analyze verifies that the program exists.
    text = UNIT.read_text()
    ours = re.sub(r"/srv/rockstar/\.venv/bin/python(?= )", shutil.which("true") or "/bin/true", text)
    assert ours != text
    (tmp_path / "rockstar.service").write_text(ours)
    check(tool("systemd-analyze"), "verify", str(tmp_path / "rockstar.service"))


def test_a_reload_is_a_sighup_and_a_stop_tells_the_supervisor_only() -> None:
    text = UNIT.read_text()
    assert "ExecReload=/bin/kill -HUP $MAINPID" in text
    assert "KillMode=mixed" in text


def test_the_image_is_not_roots_and_copies_what_is_there() -> None:
    text = (DEPLOY / "docker" / "Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    sources = [each for line in copied if not line[0].startswith("--") for each in line]
    assert [each for each in sources if not (ROOT / each).exists()] == []
    allowed = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text()
    assert [each for each in sources if f"!{each}\n" not in allowed] == []
    assert re.search(r"(?m)^USER [1-9]\d+$", text)


def test_compose_waits_for_what_it_needs() -> None:
    services = yaml.safe_load((DEPLOY / "docker" / "compose.yml").read_text())["services"]
    assert set(services) == {"postgres", "valkey", "migrate", "web"}
    for name in ("migrate", "web"):
        assert set(services[name]["depends_on"]) <= set(services)
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
