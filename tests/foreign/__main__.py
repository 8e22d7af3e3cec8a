"""`make foreign`: the generated project's suite on every interpreter found, with Django 5.2 and the newest that installs.

The package is built, and installed from its wheel into a new environment for each combination.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fixtures.installed import build_wheel
from tests.fixtures.shop import make_shop, run_suite

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
DJANGOS = ("django>=5.2,<5.3", "django")
# The requirements of the project besides the package.
PROJECT = ("djangorestframework", "pytest", "pytest-django", "pytest-asyncio")


def main() -> int:
    """Run all combinations; 1 if one has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.foreign", description=__doc__)
    parser.add_argument(
        "--python", action="append", help="an interpreter (default: all of 3.11 to 3.14 found)"
    )
    parser.add_argument("--django", action="append", help="a requirement (default: 5.2, and the newest)")
    options = parser.parse_args()
    pythons = options.python or list(_found())
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder) / "dist")
        for number, python in enumerate(pythons):
            for django in options.django or DJANGOS:
                failed += not _try(Path(folder) / f"{number}-{len(django)}", python, django, wheel)
    return 1 if failed else 0


def _found() -> Iterator[str]:
    """Yield the interpreters on the path, and those of pyenv."""
    homes = [*os.environ["PATH"].split(os.pathsep), *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
    for version in VERSIONS:
        for home in homes:
            python = Path(home) / f"python{version}"
            if python.exists() and _said([str(python), "-V"]).startswith(f"Python {version}."):
                yield str(python)
                break


def _try(folder: Path, python: str, django: str, wheel: Path) -> bool:
    """Run one combination, and print a line about it."""
    begun_s = time.monotonic()
    own = str(folder / "venv" / "bin" / "python")
    try:
        subprocess.run(
            [python, "-m", "venv", "--without-pip", str(folder / "venv")], check=True, capture_output=True
        )
        install = ["-m", "uv", "pip", "install", "-q", "--python", own, str(wheel), django, *PROJECT]
        subprocess.run([sys.executable, *install], check=True, capture_output=True, text=True)
        make_shop(folder / "shop", own)
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        said = run_suite(folder / "shop", own, env)
        is_green, result = True, re.findall(r"\d+ passed[^\n]*", said)[-1]
    except subprocess.CalledProcessError as error:
        is_green, result = False, f"cannot be installed: {str(error.stderr).strip()[-300:]}"
    except AssertionError as error:
        is_green, result = False, str(error)
    versions = f"{_said([own, '-V'])}, Django {_said([own, '-m', 'django', '--version'])}"
    sys.stdout.write(f"{versions}: {result} ({time.monotonic() - begun_s:.0f} s)\n")
    sys.stdout.flush()
    return is_green


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
