"""The ASGI application of this package, and its parts.

A project with no part of its own names `realtime.asgi.application` in ASGI_APPLICATION; others call
`build_application`.
"""

import json
import os
from importlib import import_module
from typing import Any, cast

from channels.routing import ProtocolTypeRouter
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.urls import Resolver404, resolve

from realtime.conf import APP_MISSING
from realtime.endpoints.asyncapi import SiteDocument
from realtime.endpoints.shared import Endpoints
from realtime.middleware.http_requests import HttpRequests
from realtime.middleware.identity import Authorize, Identify
from realtime.middleware.limits import ConnectionLimits, UserLimit
from realtime.middleware.origin import OriginCheck
from realtime.middleware.pages import PageTurns
from realtime.middleware.refusals import Refusals
from realtime.middleware.route import RouteMiddleware, run_route
from realtime.middleware.tenant import HttpRefusals, TenantMiddleware, UpgradeRequired
from realtime.node.node import Node, current_node
from realtime.server.collector import calm_collector
from realtime.server.drain import drain_on_sigterm
from realtime.sockets.types import Application, Receive, Scope, Send

DESCRIPTION = "/api/asyncapi/"


def build_application(node: Node, http: Application) -> ProtocolTypeRouter:
    """Return the whole site: `http` (Django) behind TenantMiddleware, and the WebSocket application."""
    endpoints = Endpoints(node)
    if node.settings.PAGES:
        http = PageTurns(http, node.settings)
    return ProtocolTypeRouter(
        {
            "http": HttpRequests(
                HttpRefusals(TenantMiddleware(UpgradeRequired(http, endpoints), endpoints)), node.metrics
            ),
            "websocket": build_websocket(endpoints),
            "lifespan": Lifespan(node),
        }
    )


def __getattr__(name: str) -> Any:
    # Made when it is asked for: a project that builds its own application imports this module too.
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()["application"] = _default_application()
    return value


def _default_application() -> ProtocolTypeRouter:
    """Django and the sockets, as the settings say."""
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise ImproperlyConfigured("Set DJANGO_SETTINGS_MODULE to the settings module of your project.")
    http = get_asgi_application()
    if not apps.is_installed("realtime"):
        # No check runs for an app that is not there.
        raise ImproperlyConfigured(APP_MISSING)
    if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        # As `runserver` does. In production a proxy or a middleware of the project serves them.
        http = ASGIStaticFilesHandler(http)
    node = current_node()
    return build_application(node, Description(cast("Application", http), node))


class Description:
    """Answers `/api/asyncapi/` if the project's URLs do not have it (`realtime.rest.asyncapi_urls`)."""

    def __init__(self, app: Application, node: Node) -> None:
        self._app = app
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET for the description; pass on everything else."""
        is_asked = scope["type"] == "http" and scope["path"].rstrip("/") == DESCRIPTION.rstrip("/")
        if not is_asked or scope["method"] not in {"GET", "HEAD"} or _has_url(DESCRIPTION):
            await self._app(scope, receive, send)
            return
        named = scope["host"]
        host = named.name if named.port is None else f"{named.name}:{named.port}"
        is_secure = self._node.settings.HTTPS or scope.get("scheme") == "https"
        settings = self._node.settings
        document = self._node.shared(SiteDocument, lambda: SiteDocument(settings)).of(
            host, is_secure=is_secure
        )
        body = json.dumps(document).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _import_pages() -> None:
    """Import the URLs and views of the project.

    The first page would do it otherwise: it would hold up the sockets, and the code on the disk may be newer by then.
    """
    if urls := getattr(settings, "ROOT_URLCONF", ""):
        import_module(urls)


def _has_url(path: str) -> bool:
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


def build_websocket(endpoints: Endpoints) -> Application:
    """Return the WebSocket application. Each middleware adds values to the scope for the inner ones."""
    node = endpoints.node
    # From the inside out. Together with uvicorn's keys the scope has 21. A 22nd would make Python enlarge the
    # dict, which lives as long as the socket.
    app: Application = UserLimit(run_route, node)
    app = Authorize(app, node)
    app = Identify(app, node)
    app = ConnectionLimits(app, node)
    app = OriginCheck(app, node)
    app = RouteMiddleware(app, endpoints)
    app = TenantMiddleware(app, endpoints)
    return Refusals(app, node)


class Lifespan:
    """Starts and stops the node with the server, if the server supports the lifespan protocol."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the events of the lifespan protocol."""
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                _import_pages()
                await self._node.ensure_started()
                await self._node.meet()
                calm_collector()
                drain_on_sigterm(self._node.drain)
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._node.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return
