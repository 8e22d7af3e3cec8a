"""Before the suite: find a Chromium, an nginx, a promtool and npm packages for the tests, or get them. Says in a line
each what it has.

Standard library only; `make test` calls it. Without them the tests that need them are skipped with the reason, or fail
with it where the environment says CI.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_TIMEOUT_S = 600
LAST_LINES = 3
# The packages that tests of the JavaScript client use: compilers, React, Vue, the parser of AsyncAPI.
NPM_FOLDER = Path(__file__).resolve().parents[1] / "clients" / "js"


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


def find_nginx() -> str | None:
    """The path of an nginx: $NGINX, or one on PATH or where Debian has it."""
    named = os.environ.get("NGINX")
    if named and Path(named).is_file():
        return named
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def find_promtool() -> str | None:
    """The path of Prometheus' promtool: $PROMTOOL, or one on PATH."""
    named = os.environ.get("PROMTOOL")
    if named and Path(named).is_file():
        return named
    return shutil.which("promtool")


def main() -> None:
    """Find them or install them, and say so."""
    _prepare_chromium()
    _prepare("nginx", find_nginx, package="nginx", used_by="The test of deploy/nginx")
    _prepare("promtool", find_promtool, package="prometheus", used_by="The tests of metrics and alert rules")
    _prepare_npm_packages()


def _prepare_npm_packages() -> None:
    lock, installed = NPM_FOLDER / "package-lock.json", NPM_FOLDER / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        _say("Installing the npm packages of clients/js ...")
        bin_folder = Path(sys.executable).parent
        npm = shutil.which("npm", path=f"{bin_folder}{os.pathsep}{os.environ['PATH']}") or "npm"
        # npm is a script that finds Node on the path.
        env = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
        command = [npm, "ci", "--ignore-scripts", "--loglevel=error", "--prefix", str(NPM_FOLDER)]
        if reason := _run(command, env):
            _say(f"No npm packages: tests of types, hooks and sizes are skipped. {reason}")
            return
    _say("The tests of the JavaScript client use clients/js/node_modules.")


def _prepare_chromium() -> None:
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


def _prepare(name: str, find: Callable[[], str | None], *, package: str, used_by: str) -> None:
    path, reason = find(), ""
    if path is None and _is_debian_root():
        _say(f"Installing Debian's {package} ...")
        reason = _install_from_debian(package) or ""
        path = find()
    if path:
        _say(f"{used_by}: {path}.")
    else:
        _say(f"No {name}. {used_by} cannot run. {reason} Install it, or name it in ${name.upper()}.")


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
    if _is_debian_root():
        _say("Installing Debian's chromium for the browser tests ...")
        if _install_from_debian("chromium", "fonts-dejavu-core") is None:
            return ""
    _say("Installing playwright's chromium for the browser tests ...")
    return _run([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ)) or ""


def _is_debian_root() -> bool:
    return os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install_from_debian(*packages: str) -> str | None:
    # With this runlevel a package starts no service.
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    return _run(["apt-get", "update", "-qq"], env) or _run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env
    )


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
