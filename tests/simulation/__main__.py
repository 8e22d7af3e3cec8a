"""`python -m tests.simulation`: see `--help`, and README.md beside this file."""

from tests.simulation import determinism

if __name__ == "__main__":
    determinism.require_fixed_hashes()
    determinism.install()
    from tests.simulation.cli import main

    raise SystemExit(main())
