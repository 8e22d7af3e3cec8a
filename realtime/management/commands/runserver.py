"""`manage.py runserver`: Daphne's development server, with this site's heartbeat."""

from typing import Any

from daphne.management.commands.runserver import Command as DaphneCommand

from realtime.conf import load_settings
from realtime.server.daphne import DaphneServer

# Daphne has no switch for its heartbeat; this many seconds are as good as never.
NEVER_S = 10**6


class Command(DaphneCommand):  # type: ignore[misc] # Daphne has no types
    """As Daphne's, with what it offers no options for."""

    @staticmethod
    def server_cls(**options: Any) -> DaphneServer:
        """Daphne's server, set up as `serve` is."""
        settings = load_settings()
        options |= {
            "ping_interval": settings.PING_INTERVAL_S or NEVER_S,
            "ping_timeout": settings.PING_TIMEOUT_S or NEVER_S,
        }
        return DaphneServer(**options)
