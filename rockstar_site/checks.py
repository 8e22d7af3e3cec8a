"""The system check of the site: variables that nothing reads. Django runs it once, before a command or a server starts."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning  # noqa: A004 Django's name


def check_variables(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of all variables with a mistake in their names, in one message: a wrong name is no reason not to start."""
    if not settings.ENV.unknown:
        return []
    told = [
        f"{name} (did you mean {' or '.join(nearest)}?)" if nearest else name
        for name, nearest in settings.ENV.unknown.items()
    ]
    text = f"Environment variables that are not known, and have no effect: {', '.join(told)}."
    return [Warning(text, hint=".env.example has all that are known.", id="rockstar.W001")]
