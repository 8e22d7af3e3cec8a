"""The state that the endpoints of a process share: routes, declarations, deadlines, large messages, publications in flight,
watched queries."""

from functools import cached_property

from django.utils.module_loading import import_string

from realtime.endpoints.calls import Deadlines
from realtime.endpoints.large_messages import LargeMessages
from realtime.endpoints.publishing import PublishingBytes
from realtime.endpoints.registry import Registry
from realtime.endpoints.routing import Router
from realtime.endpoints.watches import Watches
from realtime.node.node import Node
from realtime.sockets.types import Scope


def endpoints_of(scope: Scope) -> "Endpoints":
    """Return the shared state of this process's endpoints, from the scope of a connection."""
    endpoints: Endpoints = scope["endpoints"]
    return endpoints


class Endpoints:
    """Built once, by `realtime.asgi`; consumers reach it through the scope."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.router = Router(import_string(f"{node.settings.ROUTES}.routes"))
        found = Registry.discover()
        self.registry = found.checked() if node.checks_contracts else found
        node.on_start += [task.run for task in self.registry.tasks.values()]
        self.deadlines = Deadlines(node.settings.CALL_TIMEOUT_S)
        self.large_messages = LargeMessages()
        self.publishing_bytes = PublishingBytes(node.settings.PUBLISHING_BYTES)

    @cached_property
    def watches(self) -> Watches:
        """The watched queries. Created at first use, because the node's database threads must exist."""
        watches = Watches(self.node.database, self.node.spawn, self.node.settings)
        self.node.on_stop.append(watches.stop)
        return watches
