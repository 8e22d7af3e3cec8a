"""`manage.py runserver`: Daphne's development server with this site's heartbeat, if Daphne is installed."""

from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.core.management.base import CommandError

from realtime.conf import load_settings

if TYPE_CHECKING:
    from django.contrib.staticfiles.management.commands.runserver import Command as Runserver

    IS_DAPHNE = True
else:
    try:
        from daphne.management.commands.runserver import Command as Runserver

        IS_DAPHNE = True
    except ImportError:
        from django.contrib.staticfiles.management.commands.runserver import Command as Runserver

        IS_DAPHNE = False

# Daphne cannot switch its heartbeat off. With this many seconds it never happens.
NEVER_S = 10**6


class Command(Runserver):
    """Daphne's command, with settings that it has no options for. Without Daphne it is Django's, and says so."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve."""
        if not IS_DAPHNE:
            self.stderr.write(
                "Daphne is not installed: this server has no WebSockets. Use `manage.py serve`, or install "
                '"rockstar-realtime[daphne]".'
            )
        elif not getattr(django_settings, "ASGI_APPLICATION", None):
            raise CommandError('Set ASGI_APPLICATION = "realtime.asgi.application" in your settings.')
        super().handle(*args, **options)


def _daphne_server(**options: Any) -> Any:
    """Daphne's server with the settings that `serve` uses."""
    from realtime.server.daphne import DaphneServer  # noqa: PLC0415 an extra

    settings = load_settings()
    options |= {
        "ping_interval": settings.PING_INTERVAL_S or NEVER_S,
        "ping_timeout": settings.PING_TIMEOUT_S or NEVER_S,
    }
    return DaphneServer(**options)


if IS_DAPHNE:
    # Django's command has a class of its own here.
    Command.server_cls = staticmethod(_daphne_server)  # type: ignore[assignment]
