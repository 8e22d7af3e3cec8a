"""The ASGI application, for `manage.py serve`, `runserver` and any other ASGI server."""

import os
from typing import cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rockstar_site.settings")
django_application = get_asgi_application()

from realtime import Application, build_application, current_node  # noqa: E402 needs the app registry

application = build_application(current_node(), cast("Application", django_application))
