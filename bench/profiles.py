"""py-spy's view of our server while it works, as text: which functions the time goes to."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bench.cores import LOAD_CORE
from bench.servers.process import REPOSITORY, on_core

SAMPLES_PER_S = 200
LINES = 40
PLACES = (REPOSITORY / ".venv-bench" / "bin" / "py-spy", Path(sys.executable).parent / "py-spy")


class Profiler:
    """Records a profile for each work and writes it as text beside the results."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = next((str(place) for place in PLACES if place.exists()), None) or shutil.which(
            "py-spy"
        )
        if self._program is None:
            sys.exit("py-spy is missing: `make bench-profile` installs it.")
        folder.mkdir(parents=True, exist_ok=True)

    def record(self, work: str, contender: str, pid: int, seconds: float) -> None:
        """Watch a process for so long, and write what was seen."""
        assert self._program is not None
        name = f"{work}-{contender.replace(' ', '-')}"
        raw = self._folder / f"{name}.raw"
        command = [self._program, "record", "--pid", str(pid), "--format", "raw", "--output", str(raw)]
        command += ["--duration", str(max(int(seconds), 1)), "--rate", str(SAMPLES_PER_S), "--nonblocking"]
        with on_core(LOAD_CORE):
            subprocess.run(command, check=True, capture_output=True, timeout=seconds + 30)
        (self._folder / f"{name}.txt").write_text(summary(raw.read_text()))
        raw.unlink()


def summary(folded: str) -> str:
    """The functions by their own time and by the time of all they call, from folded stacks."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame for frame in stack.split(";") if frame]
        if not frames:
            # A thread that was just being made or ended.
            continue
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    total = own.total() or 1
    parts = [f"{total} samples at {SAMPLES_PER_S} a second; idle threads are not in them."]
    for title, counted in (("own time", own), ("with what it calls", whole)):
        parts += ["", title]
        parts += [f"{count / total:7.1%}  {frame}" for frame, count in counted.most_common(LINES)]
    return "\n".join(parts) + "\n"
