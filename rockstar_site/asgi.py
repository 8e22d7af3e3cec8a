"""The ASGI application: runs on `manage.py serve`, on `runserver` and on any other ASGI server."""

import os
from typing import cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rockstar_site.settings")
django_application = get_asgi_application()

from realtime.asgi import build_application  # noqa: E402
from realtime.node import node as runtime  # noqa: E402 needs the app registry
from realtime.sockets.types import Application  # noqa: E402

application = build_application(runtime.current(), cast("Application", django_application))
