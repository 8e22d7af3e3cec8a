"""Which worlds are run: those of the commit, and all that ever failed."""

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
FAILED_SEEDS = HERE / "failed_seeds.txt"
# Where there is no commit to take it from.
FALLBACK_SEED = 20_260_101


def commit_seed() -> int:
    """Another one for each commit, the same for all runs of it."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return FALLBACK_SEED
    return int(asked.stdout[:8], 16)


def failed_seeds() -> list[int]:
    """The first word of each line; the rest says what was found with it."""
    lines = FAILED_SEEDS.read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]
