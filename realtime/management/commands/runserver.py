"""`manage.py runserver`: Daphne's development server if Daphne is installed, otherwise the server of `serve`.

Both start again after a change of the code, and both serve WebSockets.
"""

from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.management.base import CommandError
from django.core.management.commands.runserver import Command as DjangoCommand
from django.utils import autoreload
from django.utils.module_loading import import_string

from realtime.conf import load_settings
from realtime.node.database_probe import own_tables_fault
from realtime.server.listening import open_sockets
from realtime.server.server import serve_here
from realtime.sockets.types import Application

if TYPE_CHECKING:
    Base = DjangoCommand
else:
    try:
        from daphne.management.commands.runserver import Command as Base
    except ImportError:
        Base = DjangoCommand

HAS_DAPHNE = Base is not DjangoCommand
# Daphne cannot switch its heartbeat off. With this many seconds it never happens.
NEVER_S = 10**6


class Command(Base):
    """Serves in the thread of Django's autoreloader."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve."""
        if not getattr(django_settings, "ASGI_APPLICATION", None):
            raise CommandError('Set ASGI_APPLICATION = "realtime.asgi.application" in your settings.')
        if fault := own_tables_fault():
            raise CommandError(fault)
        super().handle(*args, **options)


def daphne_server(**options: Any) -> Any:
    """Daphne's server with the settings that `serve` uses."""
    from realtime.server.daphne import DaphneServer  # noqa: PLC0415 an extra

    settings = load_settings()
    options |= {
        "ping_interval": settings.PING_INTERVAL_S or NEVER_S,
        "ping_timeout": settings.PING_TIMEOUT_S or NEVER_S,
    }
    return DaphneServer(**options)


def inner_run(self: Any, *args: Any, **options: Any) -> None:
    """Check the project and serve it with uvicorn, without Daphne."""
    autoreload.raise_last_exception()
    if not options["skip_checks"]:
        self.check(**self.get_check_kwargs(options), display_num_errors=True)
    self.check_migrations()
    try:
        sockets = open_sockets(self.addr.strip("[]"), int(self.port))
    except (OSError, UnicodeError) as error:
        raise CommandError(f"Cannot listen on {self.addr}:{self.port}: {error}") from None
    self.stdout.write(f"Serving on http://{self.addr}:{self.port}/ for development. Ctrl+C ends it.")
    serve_here(_application(), sockets=sockets)


def _application() -> Application:
    found = import_string(django_settings.ASGI_APPLICATION)
    if apps.is_installed("django.contrib.staticfiles"):
        found = ASGIStaticFilesHandler(found)
    return cast("Application", found)


if HAS_DAPHNE:
    # Django's command has a class of its own here.
    Command.server_cls = staticmethod(daphne_server)  # type: ignore[assignment]
else:
    Command.inner_run = inner_run  # type: ignore[method-assign]
