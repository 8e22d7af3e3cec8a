"""The Django app."""

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.core.checks import register


class RealtimeConfig(AppConfig):
    """Registers the checks of `manage.py check`."""

    name = "realtime"
    # Without it, a site with another default would create a migration for this app.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Called by Django once, when all apps are loaded."""
        from realtime import checks  # noqa: PLC0415 settings must be ready first

        register(checks.check_layer)
        register(checks.check_gates)
        register(checks.check_publish_errors)
        register(checks.check_declarations)
        register(checks.check_deployment, deploy=True)
        self._watch_users()

    @staticmethod
    def _watch_users() -> None:
        from realtime.conf import given_settings  # noqa: PLC0415 as above

        # An identity of the site's own tells what ended by itself.
        if "IDENTITY" in given_settings() or not apps.is_installed("django.contrib.auth"):
            return
        from realtime.defaults import signals  # noqa: PLC0415 needs the models

        signals.connect(get_user_model())
