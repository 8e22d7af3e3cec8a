"""`manage.py serve`: the production server."""

import asyncio
import errno
import logging
import os
from argparse import ArgumentParser
from socket import socket
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from realtime.core.addresses import TrustedProxies
from realtime.core.hosts import PORT_MAX
from realtime.node.database_probe import serving_fault
from realtime.node.node import current_node
from realtime.server.listening import open_sockets
from realtime.server.open_files import allow_files, files_advice, files_allowed, files_needed
from realtime.server.server import serve
from realtime.server.static import collect_static
from realtime.topics.engine.ports import BrokerRefusedError, EngineUnavailableError

logger = logging.getLogger(__name__)

# Seconds that the start waits for a broker that says nothing. Each worker tries it out later.
BROKER_SILENCE_S = 0.3
# A worker uses one core, and about 70 MB before its first connection. Beyond this, `--workers` is a mistake.
WORKERS_PER_CORE_MAX = 8


_ADVICE = {
    errno.EADDRINUSE: " End the program that uses the port, or choose another port.",
    errno.EACCES: " Choose a port above 1023, and put a proxy in front.",
    errno.EADDRNOTAVAIL: " Choose an address of this machine.",
}


class Command(BaseCommand):
    """Serve HTTP and WebSockets with uvicorn."""

    help = "Serve HTTP and WebSockets with uvicorn, one process for each worker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the address, the number of workers and the trusted proxies."""
        parser.add_argument(
            "--host",
            default="127.0.0.1",
            help="address to listen on (default 127.0.0.1); `::` is every address of IPv6 and IPv4",
        )
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000)")
        parser.add_argument(
            "--workers", type=int, default=1, help="processes (default 1); more need REDIS_URL"
        )
        parser.add_argument(
            "--trusted-proxies",
            help="addresses and networks, comma-separated, whose X-Forwarded-* headers are trusted "
            "(default: REALTIME_TRUSTED_PROXIES)",
        )

    def check(self, *args: Any, **options: Any) -> None:
        """Run the system checks: an error ends the start, and each warning is a line of the log."""
        told = [each for each in checks.run_checks() if not each.is_silenced()]
        if any(each.is_serious() for each in told):
            super().check(*args, **options)
        for each in told:
            logger.warning("%s (%s)", f"{each.msg} {each.hint or ''}".strip(), each.id)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the options and the database, print the address and serve."""
        host, port, workers = options["host"], options["port"], options["workers"]
        if not 0 < port <= PORT_MAX:
            raise CommandError(f"--port: expected 1 to {PORT_MAX}, received {port}.")
        most_workers = WORKERS_PER_CORE_MAX * (os.cpu_count() or 1)
        if not 0 < workers <= most_workers:
            raise CommandError(
                f"--workers: expected 1 to {most_workers} ({WORKERS_PER_CORE_MAX} for each core), received {workers}."
            )
        proxies = _trusted_proxies(options["trusted_proxies"])
        if fault := serving_fault():
            raise CommandError(fault)
        self._check_broker()
        sockets = _listen(host, port)
        self._warn(workers)
        self._collect_static()
        application = django_settings.ASGI_APPLICATION.rsplit(".", 1)
        shown = _shown(host)
        self.stdout.write(
            f"Serving on http://{shown}:{port}/ with {workers} worker(s). Press Ctrl+C to stop."
        )
        self.stdout.flush()
        serve(
            ":".join(application),
            sockets=sockets,
            workers=workers,
            trusted_proxies=proxies,
        )

    def _check_broker(self) -> None:
        """Refuse a broker that cannot be used. One that cannot be reached is tried again by each worker."""
        url = current_node().settings.REDIS_URL
        if not url:
            return
        try:
            from realtime.topics.engine.broker_check import check_broker, reason  # noqa: PLC0415 an extra

            warnings = asyncio.run(check_broker(url, silence_s=BROKER_SILENCE_S))
        except ImportError as error:
            raise CommandError(f'REDIS_URL needs the extra "redis" of this package: {error}.') from None
        except BrokerRefusedError as error:
            raise CommandError(f"REDIS_URL: {error}") from None
        except EngineUnavailableError as error:
            warnings = [
                f"The broker of REDIS_URL cannot be reached yet: {reason(error)}. "
                "The server starts; /readyz tells when it can."
            ]
        for warning in warnings:
            logger.warning(warning)

    def _collect_static(self) -> None:
        """Collect static files. Without DEBUG, pages need their hashed names before the first request."""
        if django_settings.DEBUG or not apps.is_installed("django.contrib.staticfiles"):
            return
        if not django_settings.STATIC_ROOT:
            logger.warning(
                "STATIC_ROOT is not set, so no static files are collected or served: pages have no styles. "
                "Set it to a folder."
            )
            return
        try:
            collect_static()
        except PermissionError as error:
            raise CommandError(
                f"The static files cannot be collected into {django_settings.STATIC_ROOT}: this user may not write "
                f"{error.filename}. Make the folder, with all in it, the property of the user that serves (chown -R)."
            ) from error
        except (OSError, ImproperlyConfigured) as error:
            raise CommandError(
                f"The static files cannot be collected into {django_settings.STATIC_ROOT}: {error}."
            ) from error

    def _warn(self, workers: int) -> None:
        needed = files_needed(current_node().settings.MAX_CONNECTIONS)
        allow_files(needed)
        advice = files_advice(needed)
        if advice and not django_settings.DEBUG:
            logger.warning("A process may open %d files only. %s", files_allowed(), advice)
        if workers > 1 and not current_node().settings.REDIS_URL:
            logger.warning("Without REDIS_URL the workers share nothing: a publication stays in one of them.")
        if django_settings.DEBUG:
            logger.warning("DEBUG is on: for development only. Leave it out everywhere else.")
        else:
            logger.info(
                "DEBUG is off: only the hosts of tenants answer, plain localhost does not. "
                "For development set DEBUG=1."
            )


def _trusted_proxies(given: str | None) -> TrustedProxies | None:
    try:
        return None if given is None else TrustedProxies(given.split(","))
    except ValueError as error:
        raise CommandError(f"--trusted-proxies: {error}") from None


def _listen(host: str, port: int) -> list[socket]:
    try:
        return open_sockets(host, port)
    except (OSError, UnicodeError) as error:
        advice = _ADVICE.get(getattr(error, "errno", None) or 0, "")
        raise CommandError(f"--host {host} --port {port}: cannot listen there: {error}.{advice}") from None


def _shown(host: str) -> str:
    if host in {"127.0.0.1", "0.0.0.0", "::", "::1"}:  # noqa: S104 only compared
        return "localhost"
    return f"[{host}]" if ":" in host else host
