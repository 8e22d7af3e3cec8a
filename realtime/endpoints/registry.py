"""The declarations of apps: RPC methods, stream sources, live queries, background tasks.

Decorators in an app's `realtime` module make these objects. They are collected when the endpoints are built.
"""

import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar

from django.apps import apps
from django.utils.module_loading import autodiscover_modules

from realtime.endpoints import sources
from realtime.endpoints.declarations import mistake, place_of
from realtime.endpoints.queries import LiveQuery
from realtime.endpoints.rpc import RpcMethod
from realtime.endpoints.streams import StreamSource
from realtime.endpoints.tasks import NodeTask

T = TypeVar("T", RpcMethod, StreamSource, LiveQuery, NodeTask)
# The module of an app with its declarations (as `admin.py` for the admin), and its old name.
MODULE = "realtime"
OLD_MODULE = "live"
# The verbs of `/ws/rpc/` that no method may replace.
RESERVED_METHODS = frozenset({"cancel", "ping", "refresh", "rpc.methods"})


class Registry:
    """All declared methods, sources, queries and tasks, by name."""

    def __init__(
        self,
        methods: list[RpcMethod],
        sources: list[StreamSource],
        queries: list[LiveQuery],
        tasks: Sequence[NodeTask] = (),
    ) -> None:
        self.methods = _by_name(methods)
        if reserved := sorted(RESERVED_METHODS & set(self.methods)):
            raise mistake(
                self.methods[reserved[0]].function,
                f"the name {reserved[0]!r} is taken by a verb of every endpoint.",
            )
        self.sources = _by_name(sources)
        self.queries = _by_name(queries)
        self.tasks = _by_name(list(tasks))

    def checked(self) -> "Registry":
        """Return the same, with every reply, value and item checked against its contract."""
        return Registry(
            [each.checked() for each in self.methods.values()],
            [each.checked() for each in self.sources.values()],
            [each.checked() for each in self.queries.values()],
            list(self.tasks.values()),
        )

    @classmethod
    def discover(cls) -> "Registry":
        """Collect from the `realtime` module of every installed app that has one."""
        modules = list(_modules())
        return cls(
            _declared(modules, RpcMethod),
            _declared(modules, StreamSource),
            _declared(modules, LiveQuery),
            _declared(modules, NodeTask),
        )


def _modules() -> Iterator[ModuleType]:
    yield sources
    autodiscover_modules(MODULE)
    for config in apps.get_app_configs():
        if module := sys.modules.get(f"{config.name}.{MODULE}"):
            yield module
        # In `realtime` itself the old name is an old import path of another module.
        old = f"{config.name}.{OLD_MODULE}"
        if config.name != "realtime" and find_spec(old) is not None:
            message = f"{old} is called {MODULE}.py now; the old name is found for one release."
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            yield import_module(old)


def _declared(modules: list[ModuleType], kind: type[T]) -> list[T]:
    found: list[Any] = [
        value for module in modules for value in vars(module).values() if isinstance(value, kind)
    ]
    return found


def _by_name(declared: list[T]) -> dict[str, T]:
    table: dict[str, T] = {}
    for each in declared:
        first = table.setdefault(each.name, each)
        if first is not each:
            text = f"the name {each.name!r} is taken by {place_of(_function(first))}."
            raise mistake(_function(each), text)
    return table


def _function(declared: RpcMethod | StreamSource | LiveQuery | NodeTask) -> object:
    match declared:
        case RpcMethod(function=function):
            return function
        case StreamSource(generate=generate):
            return generate
        case LiveQuery(select=select):
            return select
        case NodeTask(run=run):
            return run
