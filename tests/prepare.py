"""Before the suite: find a Chromium for the browser tests, or get one. Says in one line what it has.

Standard library only; `make test` calls it. Without a browser the browser tests are skipped with the reason,
or fail with it where the environment says CI.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_TIMEOUT_S = 600
LAST_LINES = 3


def find_chromium() -> str | None:
    """The path of a Chromium: $CHROMIUM, one on PATH, or playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named and Path(named).is_file():
        return named
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    return _find_playwrights()


def main() -> None:
    """Find it or install it, and say so."""
    path = find_chromium()
    if path:
        _say(f"Browser tests use {path}.")
        return
    reason = _install()
    path = find_chromium()
    if path:
        _say(f"Browser tests use {path} (installed just now).")
    else:
        _say(f"No Chromium: the browser tests cannot run. {reason} Install one, or name it in $CHROMIUM.")


def _find_playwrights() -> str | None:
    base = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    folders = (
        [Path(base)]
        if base
        else [Path.home() / ".cache/ms-playwright", Path.home() / "Library/Caches/ms-playwright"]
    )
    patterns = (
        "chromium-*/chrome-linux*/chrome",
        "chromium-*/chrome-mac*/Chromium.app/Contents/MacOS/Chromium",
    )
    for folder in folders:
        for pattern in patterns:
            found = sorted(folder.glob(pattern))
            if found:
                return str(found[-1])
    return None


def _install() -> str:
    """Try what this machine allows; returns what went wrong, in a sentence."""
    if os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get"):
        _say("Installing Debian's chromium for the browser tests ...")
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        fault = _run(["apt-get", "update", "-qq"], env) or _run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
            env,
        )
        if fault is None:
            return ""
    _say("Installing playwright's chromium for the browser tests ...")
    return _run([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ)) or ""


def _run(command: list[str], env: dict[str, str]) -> str | None:
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`{' '.join(command[:3])}` failed: {type(error).__name__}."
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:]
    return f"`{' '.join(command[:3])}` exited with {done.returncode}: {' '.join(lines)}."


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
