"""What apps offer over sockets: RPC methods, stream sources, live queries.

Each is an object made by a decorator in an app's `live` module; the runtime collects them when it is built.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from realtime.endpoints.queries import LiveQuery
from realtime.endpoints.rpc import RpcMethod
from realtime.endpoints.streams import StreamSource

T = TypeVar("T", RpcMethod, StreamSource, LiveQuery)
LIVE_MODULE = "live"


class Registry:
    """Everything that was declared, by name."""

    def __init__(
        self, methods: list[RpcMethod], sources: list[StreamSource], queries: list[LiveQuery]
    ) -> None:
        self.methods = _by_name(methods)
        self.sources = _by_name(sources)
        self.queries = _by_name(queries)

    @classmethod
    def discover(cls) -> "Registry":
        """Collect from the `live` module of every installed app that has one."""
        modules = list(_live_modules())
        return cls(
            _declared(modules, RpcMethod), _declared(modules, StreamSource), _declared(modules, LiveQuery)
        )


def _live_modules() -> Iterator[ModuleType]:
    for config in apps.get_app_configs():
        name = f"{config.name}.{LIVE_MODULE}"
        if find_spec(name) is not None:
            yield import_module(name)


def _declared(modules: list[ModuleType], kind: type[T]) -> list[T]:
    found: list[Any] = [
        value for module in modules for value in vars(module).values() if isinstance(value, kind)
    ]
    return found


def _by_name(declared: list[T]) -> dict[str, T]:
    table: dict[str, T] = {}
    for each in declared:
        if table.setdefault(each.name, each) is not each:
            raise ImproperlyConfigured(f"Two {type(each).__name__}s have the name {each.name}.")
    return table
