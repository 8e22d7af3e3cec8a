"""Fails on any circle of modules in the repository, imports for types only counted too. `make check` runs it."""

import sys
from graphlib import CycleError, TopologicalSorter

import grimp

sys.path.insert(0, "")
PACKAGES = ("realtime", "accounts", "chat", "demo", "rockstar_site", "bench")


def main() -> None:
    """Say the first circle there is, and exit with 1."""
    graph = grimp.build_graph(*PACKAGES, include_external_packages=False, cache_dir=None)
    # A package's face is no step of a circle: what it hands on is imported from where it is.
    imports = {
        module: {each for each in graph.find_modules_directly_imported_by(module) if each != "realtime"}
        for module in graph.modules
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        sys.exit("Modules import each other in a circle: " + " -> ".join(error.args[1]))
    sys.stdout.write(f"No circle among {len(imports)} modules.\n")


if __name__ == "__main__":
    main()
