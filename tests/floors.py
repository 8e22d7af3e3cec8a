"""Prints the branch coverage of every module, and exits with 1 if one is below its floor. `make coverage` runs it.

The floors are in coverage_floors.toml, in percent of statements and branches together, as coverage counts them.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from coverage import Coverage

FLOORS = Path(__file__).parent / "coverage_floors.toml"
REPORT = Path("var/coverage/report.json")


def main() -> None:
    """Combine the measurements of all processes, print the table and judge it."""
    floors = tomllib.loads(FLOORS.read_text())
    summaries = _measured()
    unknown = floors["modules"].keys() - summaries.keys()
    below = [name for name, each in summaries.items() if _percent(each) < _floor(floors, name)]
    for name, each in summaries.items():
        mark = "  below its floor" if name in below else ""
        sys.stdout.write(f"{_row(name, each)} {_floor(floors, name):6}{mark}\n")
    if unknown or below:
        sys.exit(
            f"Below their floors: {below or 'none'}. In the file of floors, but not measured: {unknown or 'none'}."
        )


def _measured() -> dict[str, dict[str, Any]]:
    measured = Coverage()
    measured.combine()
    measured.save()
    measured.json_report(outfile=str(REPORT))
    files = json.loads(REPORT.read_text())["files"]
    return {name: files[name]["summary"] for name in sorted(files)}


def _percent(summary: dict[str, Any]) -> float:
    # Rounded down, so that a floor of 100 is 100.
    return int(summary["percent_covered"] * 10) / 10


def _floor(floors: dict[str, Any], name: str) -> float:
    floor: float = floors["modules"].get(name, floors["default"])
    return floor


def _row(name: str, summary: dict[str, Any]) -> str:
    missed = f"{summary['missing_lines']:4} of {summary['num_statements']:4}"
    branches = f"{summary['missing_branches']:4} of {summary['num_branches']:4}"
    return f"{name:52} {missed} {branches} {_percent(summary):6.1f}"


if __name__ == "__main__":
    main()
