"""The Django app."""

from collections.abc import Mapping
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.core.checks import register
from django.db.backends.signals import connection_created


class RealtimeConfig(AppConfig):
    """Registers the checks of `manage.py check`, and what makes a database that only reads an OperationalError."""

    name = "realtime"
    # Without it, a site with another default would create a migration for this app.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Called by Django once, when all apps are loaded."""
        from realtime import checks, setup_checks  # noqa: PLC0415 settings must be ready first
        from realtime.node.database_faults import tell_read_only  # noqa: PLC0415 as above

        register(checks.check_layer)
        register(checks.check_gates)
        register(checks.check_publish_errors)
        register(checks.check_declarations)
        register(checks.check_routes)
        register(checks.check_deployment, deploy=True)
        for check in setup_checks.ALL:
            register(check)
        self._watch_users()
        connection_created.connect(tell_read_only, dispatch_uid="realtime_read_only")

    @staticmethod
    def _watch_users() -> None:
        from realtime.conf import given_settings  # noqa: PLC0415 as above

        given: Any = given_settings()
        # A site's own identity class reports by itself which sessions have ended.
        is_own = isinstance(given, Mapping) and "IDENTITY" in given
        if is_own or not apps.is_installed("django.contrib.auth"):
            return
        from realtime.defaults import signals  # noqa: PLC0415 needs the models

        signals.connect(get_user_model())
