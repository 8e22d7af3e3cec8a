"""`manage.py runserver`: Daphne's development server, with this site's heartbeat."""

from typing import Any

from daphne.management.commands.runserver import Command as DaphneCommand

from realtime.conf import load_settings
from realtime.server.daphne import DaphneServer

# Daphne cannot switch its heartbeat off. With this many seconds it never happens.
NEVER_S = 10**6


class Command(DaphneCommand):  # type: ignore[misc] # Daphne has no types
    """Daphne's command, with settings that it has no options for."""

    @staticmethod
    def server_cls(**options: Any) -> DaphneServer:
        """Return Daphne's server with the settings that `serve` uses."""
        settings = load_settings()
        options |= {
            "ping_interval": settings.PING_INTERVAL_S or NEVER_S,
            "ping_timeout": settings.PING_TIMEOUT_S or NEVER_S,
        }
        return DaphneServer(**options)
