"""Tools for the tests of a project that uses this package. Nothing here needs pytest.

with published() as publications:
    order_ship(order)
assert publications == [Published("orders:7", {"state": "shipped"})]

async with site():
    async with connect("/ws/pubsub/", user=ann) as socket:
        await socket.request("subscribe", {"topic": "orders:7"})
        await apublish("orders:7", {"state": "shipped"})
        await socket.assert_push("publication", {"data": {"state": "shipped"}})
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.testing.clock import Clock as Clock
    from realtime.testing.recorded import Publications as Publications
    from realtime.testing.recorded import Published as Published
    from realtime.testing.recorded import published as published
    from realtime.testing.simulation import simulate as simulate
    from realtime.testing.sites import TestSite as TestSite
    from realtime.testing.sites import connect as connect
    from realtime.testing.sites import lose_bus as lose_bus
    from realtime.testing.sites import site as site
    from realtime.testing.sites import two_nodes as two_nodes
    from realtime.testing.sockets import TestSocket as TestSocket
    from realtime.testing.worlds import World as World

# The same names as above, imported at first use: a test module may be read before settings are there.
_HOMES = {
    "Clock": "clock",
    "Publications": "recorded",
    "Published": "recorded",
    "TestSite": "sites",
    "TestSocket": "sockets",
    "World": "worlds",
    "connect": "sites",
    "lose_bus": "sites",
    "published": "recorded",
    "simulate": "simulation",
    "site": "sites",
    "two_nodes": "sites",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 made from the table


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'realtime.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"realtime.testing.{home}"), name)
    return value
