"""Declared routes, one line each.

routes = [
    websocket("ws/secure/", SecureConsumer, scopes={"chat:read", "chat:write"}),
    *host("globex.localhost", websocket("ws/vault/", VaultConsumer, middleware=[AuditLog])),
]
"""

import inspect
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from asgiref.sync import markcoroutinefunction
from channels.consumer import AsyncConsumer
from django.core.exceptions import ImproperlyConfigured
from django.urls.resolvers import RoutePattern

from realtime.core.identity import Identity
from realtime.core.scopes import has_scopes
from realtime.endpoints.consumers.base import RealtimeConsumer
from realtime.endpoints.consumers.plain import PlainConsumer
from realtime.endpoints.declarations import check_coroutine, check_name, check_scopes, mistake
from realtime.endpoints.verbs import Verb
from realtime.protocol.errors import forbidden, unauthenticated
from realtime.sockets.types import Application, Middleware, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Route:
    """The path of a consumer and who may connect. `path` has both slashes; `host` None means every host.

    `pool_size` is the most open connections of the route in this process (0: no limit for the route).
    """

    path: str
    consumer: type[RealtimeConsumer]
    app: Application
    host: str | None = None
    scopes: frozenset[str] = frozenset()
    is_signed_in: bool = False
    is_staff: bool = False
    needs_session: bool = False
    pool_size: int = 0
    # Of a path with parameters.
    pattern: RoutePattern | None = field(default=None, repr=False, compare=False)

    def arguments(self, path: str) -> dict[str, Any] | None:
        """Return the values of the parameters in `path`, which ends with a slash; None if it is not this route's."""
        found = self.pattern.match(path.lstrip("/")) if self.pattern is not None else None
        return None if found is None else found[2]

    @property
    def is_open(self) -> bool:
        """True if anyone may connect, signed in or not."""
        return not (self.scopes or self.is_signed_in or self.is_staff or self.needs_session)

    def require(self, identity: Identity | None) -> None:
        """Raise Refusal(401 | 403) if `identity` may not connect here."""
        if identity is None and (self.is_signed_in or self.is_staff or self.scopes):
            raise unauthenticated()
        if self.is_staff and (identity is None or identity.is_staff is not True):
            raise forbidden("permission_denied", "This is for staff only.")
        if not has_scopes(identity, self.scopes):
            raise forbidden("permission_denied", f"This needs the scopes {', '.join(sorted(self.scopes))}.")


def websocket(
    path: str,
    consumer: Any,
    *,
    scopes: Iterable[str] = (),
    signed_in: bool = False,
    staff: bool = False,
    session: bool = False,
    pool_size: int = 0,
    middleware: Sequence[Middleware] = (),
    **settings: Any,
) -> Route:
    """Declare a route at `path` (slashes around it are optional). The first middleware is the outermost.

    `consumer` is a RealtimeConsumer or a consumer of Channels, with or without `as_asgi()`. `path` may have
    parameters as in Django's `path()`: `ws/room/<slug:room>/`. They are in `scope["url_route"]["kwargs"]`.
    `settings` go to the consumer's constructor. `session=True` requires a Django session, signed in or not.

    Raises ImproperlyConfigured for a mistake in the route or its consumer.
    """
    kind, settings = _consumer_of(consumer, settings)
    _check_consumer(kind, settings)
    app = _application(kind, settings)
    for wrap in reversed(middleware):
        app = _wrapped(wrap, app, path)
    route = path.strip("/") + "/"
    return Route(
        path=f"/{route}",
        consumer=kind,
        app=app,
        pattern=RoutePattern(route, is_endpoint=True) if "<" in route else None,
        scopes=check_scopes(scopes, kind),
        is_signed_in=signed_in,
        is_staff=staff,
        needs_session=session,
        pool_size=pool_size,
    )


def _consumer_of(consumer: Any, settings: dict[str, Any]) -> tuple[type[RealtimeConsumer], dict[str, Any]]:
    """Return the class that serves the route, and what its constructor takes."""
    # What `as_asgi()` returns names its class.
    kind = getattr(consumer, "consumer_class", consumer)
    settings = {**getattr(consumer, "consumer_initkwargs", {}), **settings}
    if not (isinstance(kind, type) and issubclass(kind, AsyncConsumer)) or issubclass(kind, RealtimeConsumer):
        return kind, settings
    # The text about it on pages and in descriptions of routes.
    doc = kind.__doc__ or f"The consumer {kind.__name__}."
    return type(kind.__name__, (PlainConsumer,), {"consumer": kind, "__doc__": doc}), settings


def _wrapped(wrap: Middleware, app: Application, path: str) -> Application:
    text = f"as a middleware of {path} it must be a class that is made with the application."
    try:
        wrapped = wrap(app)
    except TypeError as error:
        raise mistake(wrap, text) from error
    if not callable(wrapped):
        raise mistake(wrap, text)
    return wrapped


def _check_consumer(consumer: Any, settings: Mapping[str, Any]) -> None:
    if not (isinstance(consumer, type) and issubclass(consumer, RealtimeConsumer)):
        raise mistake(
            consumer,
            "a route needs a class derived from RealtimeConsumer, JsonConsumer or a consumer of Channels.",
        )
    if issubclass(consumer, PlainConsumer):
        _check_constructor(consumer.consumer, settings)
        return
    for name in ("opened", "welcomed", "disconnect"):
        if hasattr(consumer, name):
            check_coroutine(getattr(consumer, name))
    if consumer.receive is RealtimeConsumer.receive:
        raise mistake(consumer, "it needs a method `receive`.")
    _check_verbs(consumer)
    _check_constructor(consumer, settings)


def _check_verbs(consumer: type[RealtimeConsumer]) -> None:
    for name, verb in getattr(consumer, "verbs", {}).items():
        check_name(name, "verbs")
        if not isinstance(verb, Verb):
            raise mistake(consumer, f"its verb {name!r} must be a Verb, received {verb!r}.")


def _check_constructor(consumer: Any, settings: Mapping[str, Any]) -> None:
    try:
        inspect.signature(consumer).bind(**settings)
    except TypeError as error:
        raise mistake(consumer, f"its constructor does not take what the route gives: {error}.") from error


def _application(consumer: type[RealtimeConsumer], settings: dict[str, Any]) -> Application:
    """Do what `consumer.as_asgi(**settings)` does, but keep no extra coroutine frame for each connection."""

    def application(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return consumer(**settings)(scope, receive, send)

    # asgiref takes a plain function for an ASGI 2 application unless it is marked as a coroutine function.
    return markcoroutinefunction(application)


def host(name: str, *routes: Route) -> list[Route]:
    """Return `routes` bound to one host. There they take precedence over the routes of every host."""
    return [replace(route, host=name.lower()) for route in routes]


class Router:
    """Finds the route of a host and path. Built once. Two routes with the same host and path are an error."""

    def __init__(self, routes: Iterable[Route]) -> None:
        known: dict[tuple[str | None, str], Route] = {}
        for route in routes:
            key = (route.host, route.path)
            if key in known:
                raise ImproperlyConfigured(
                    f"Two WebSocket routes for {route.path} on {route.host or 'every host'}."
                )
            known[key] = route
        self._routes = {key: route for key, route in known.items() if route.pattern is None}
        # Those with parameters, in their order; the routes of a host come first.
        self._patterns = [route for route in known.values() if route.pattern is not None]
        self._patterns.sort(key=lambda route: route.host is None)

    def find(self, hostname: str, path: str) -> Route | None:
        """Return the route at `path`, with or without the final slash.

        A route of the host itself comes first.
        """
        if not path.endswith("/"):
            path += "/"
        found = self._routes.get((hostname, path)) or self._routes.get((None, path))
        return found or self._find_pattern(hostname, path)

    def _find_pattern(self, hostname: str, path: str) -> Route | None:
        for route in self._patterns:
            if route.host in {None, hostname} and route.arguments(path) is not None:
                return route
        return None
