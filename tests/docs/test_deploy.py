"""The files of deploy/, as far as they can be checked here."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
import yaml

from tests.docs.pages import ROOT
from tests.missing import give_up
from tests.prepare import find_promtool
from tests.servers.pool import METRICS_TOKEN, Site

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rockstar.rules.yml"
BOARD = DEPLOY / "grafana" / "rockstar.json"
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


def promtool() -> str:
    path = find_promtool()
    if path is None:
        give_up("No promtool: tests/prepare.py says how to get one.")
    return path


def test_the_alert_rules_are_rules() -> None:
    check(promtool(), "check", "rules", str(RULES))


def test_the_questions_of_the_board_are_questions(tmp_path: Path) -> None:
    """Each is a rule as well, once Grafana has put in its variables."""
    questions = [
        question.replace("$__rate_interval", "5m").replace("$", "") for question in board_questions()
    ]
    rules = [{"record": f"board:question_{at}", "expr": each} for at, each in enumerate(questions)]
    path = tmp_path / "board.rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    check(promtool(), "check", "rules", str(path))


def test_the_board_asks_for_what_it_lets_choose() -> None:
    board = json.loads(BOARD.read_text())
    chosen = {each["name"] for each in board["templating"]["list"]} | {"__rate_interval"}
    asked = {name for question in board_questions() for name in re.findall(r"\$(\w+)", question)}
    assert asked <= chosen
    panels = [each for each in board["panels"] if each["type"] != "row"]
    assert len({each["id"] for each in board["panels"]}) == len(board["panels"])
    assert all(each["title"] and each["targets"] for each in panels)
    assert {each["datasource"]["uid"] for each in panels} == {"${datasource}"}


def metrics_in(questions: Iterable[str]) -> set[str]:
    """The metrics that questions to Prometheus name."""
    return {name for each in questions for name in re.findall(r"\b(?:realtime|process)_\w+", each)}


def board_questions() -> list[str]:
    """Everything that the board asks Prometheus."""
    board = json.loads(BOARD.read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


def test_every_metric_of_board_and_rules_exists(shared_serve: Site) -> None:
    """On the page of a server that runs: a metric without a value yet has its type there."""
    text = metrics_of(shared_serve)
    existing = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    existing |= {f"{name}_{end}" for name in existing for end in ("bucket", "count", "sum")}
    groups = yaml.safe_load(RULES.read_text())["groups"]
    alerts = [rule["expr"] for group in groups for rule in group["rules"]]
    for questions in (alerts, board_questions()):
        named = metrics_in(questions)
        assert len(named) > 10
        assert named - existing == set()


def test_promtool_finds_no_fault_in_the_metrics(shared_serve: Site) -> None:
    text = metrics_of(shared_serve)
    done = subprocess.run(
        [promtool(), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def metrics_of(site: Site) -> str:
    """The page that Prometheus scrapes."""
    headers = {"Host": "acme.localhost", "Authorization": f"Bearer {METRICS_TOKEN}"}
    page = httpx.get(f"http://127.0.0.1:{site.server.port}/metrics", headers=headers, trust_env=False)
    assert page.status_code == 200, page.text
    return page.text


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
    # A start without a database ends within a second or two: systemd would give up after five of them.
    assert "StartLimitIntervalSec=0" in text.partition("[Service]")[0]


def test_the_image_is_not_roots_and_copies_what_is_there() -> None:
    text = (DEPLOY / "docker" / "Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    sources = [each for line in copied if not line[0].startswith("--") for each in line]
    assert [each for each in sources if not (ROOT / each).exists()] == []
    allowed = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text()
    assert [each for each in sources if f"!{each}\n" not in allowed] == []
    assert re.search(r"(?m)^USER [1-9]\d+$", text)
    # The pages' copy of the JavaScript client is a link to another folder.
    links = [each for source in sources for each in (ROOT / source).rglob("*") if each.is_symlink()]
    copies = [ROOT / source for source in sources]
    assert links
    assert [each for each in links if not any(each.resolve().is_relative_to(copy) for copy in copies)] == []


def test_compose_waits_for_what_it_needs() -> None:
    services = yaml.safe_load((DEPLOY / "docker" / "compose.yml").read_text())["services"]
    assert set(services) == {"postgres", "valkey", "migrate", "web"}
    for name in ("migrate", "web"):
        assert set(services[name]["depends_on"]) <= set(services)
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
