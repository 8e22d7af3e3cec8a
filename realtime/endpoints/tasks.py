"""Background work of an app: one task for each process that serves, from its start to its end.

@node_task("shop.prices")
async def keep_prices(node: Node) -> None:
    while True: ...
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured

from realtime.node.node import Node

Work = Callable[[Node], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class NodeTask:
    """A declared task. It runs on the loop; database work goes through `node.background`."""

    name: str
    run: Work


def node_task(name: str) -> Callable[[Work], NodeTask]:
    """Declare a coroutine function that every node runs. If it fails, that is logged and it ends."""

    def declare(work: Work) -> NodeTask:
        if not iscoroutinefunction(work):
            raise ImproperlyConfigured(f"The task {name!r} is no coroutine function: make it `async def`.")
        return NodeTask(name, work)

    return declare
