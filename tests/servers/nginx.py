"""The nginx of deploy/ as a process of its own: only its ports and paths are this machine's."""

import contextlib
import os
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.missing import give_up
from tests.prepare import find_nginx
from tests.servers.certificate import make_certificate
from tests.servers.databases import REPOSITORY
from tests.servers.ports import free_port
from tests.servers.process import HOST

CONFIGURATION = REPOSITORY / "deploy" / "nginx" / "rockstar.conf"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 10.0
MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/main.error.log;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log {folder}/main.access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/rockstar.conf;
}}
"""


@dataclass
class Nginx:
    """A running one."""

    folder: Path
    secure_port: int
    plain_port: int

    def logs(self) -> dict[str, str]:
        """Return the written texts, by file."""
        return {path.name: path.read_text() for path in self.folder.glob("*.log")}


def documented(folder: Path, upstream: int) -> tuple[str, int, int]:
    """The configuration with this machine's ports and paths, and nothing else changed."""
    secure, plain = free_port(), free_port()
    text = re.sub(r"(?m)^#.*$", "", CONFIGURATION.read_text())
    for pattern, ours in (
        (r"listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;"),
        (r"listen 80;", f"listen 127.0.0.1:{plain};"),
        (r"server 127\.0\.0\.1:8000 ", f"server 127.0.0.1:{upstream} "),
        (r"chat\.example\.com;", f"{HOST};"),
        (r"/etc/letsencrypt/live/chat\.example\.com/", f"{folder}/"),
        (r"/var/log/nginx/", f"{folder}/"),
    ):
        text, count = re.subn(pattern, ours, text)
        assert count, f"{CONFIGURATION} has no {pattern}"
    assert "/var/" not in text
    assert "/etc/" not in text
    return text, secure, plain


@contextlib.contextmanager
def running(folder: Path, upstream: int, change: Callable[[str], str] = lambda text: text) -> Iterator[Nginx]:
    """Run the documented nginx before a server on the port `upstream`, changed by `change`."""
    path = find_nginx()
    if path is None:
        give_up("No nginx was found: install it (Debian: nginx-light), or name it in $NGINX.")
    make_certificate(folder, f"DNS:{HOST}")
    text, secure, plain = documented(folder, upstream)
    (folder / "rockstar.conf").write_text(change(text))
    main = folder / "nginx.conf"
    # Root's workers are another user, who must be able to write here.
    user = "user root;\n" if os.geteuid() == 0 else ""
    main.write_text(user + MAIN.format(folder=folder))
    process = subprocess.Popen(
        [path, "-p", str(folder), "-c", str(main), "-e", str(folder / "start.error.log")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ends_s = time.monotonic() + START_TIMEOUT_S
        while not (folder / "nginx.pid").exists():
            assert process.poll() is None, (folder / "start.error.log").read_text()
            assert time.monotonic() < ends_s, "nginx does not start"
            time.sleep(0.05)
        yield Nginx(folder, secure, plain)
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def trusting() -> ssl.SSLContext:
    """Return a context that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
