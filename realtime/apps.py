"""The Django app."""

from django.apps import AppConfig
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
