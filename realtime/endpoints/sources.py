"""The built-in stream sources."""

import random
from collections.abc import Iterator
from time import time_ns
from typing import TypedDict

from realtime.endpoints.streams import Feed, stream_source
from realtime.protocol.codec import time_text


@stream_source("random_walk")
def random_walk(feed: Feed) -> Iterator[float]:
    """A number that goes up and down around 100."""
    value = 100.0
    while True:
        yield round(value, 2)
        value += random.uniform(-1, 1) + (100.0 - value) * 0.01  # noqa: S311 not a secret


@stream_source("clock")
def clock(feed: Feed) -> Iterator[str]:
    """The server's time of day."""
    while True:
        yield time_text(time_ns())


class Load(TypedDict):
    """How busy a node is. `loop_lag_ms` is how late its event loop runs."""

    connections: int
    loop_lag_ms: float


@stream_source("server")
def server(feed: Feed) -> Iterator[Load]:
    """The tenant's connections on this node, and how late the event loop runs."""
    while True:
        totals = feed.node.metrics.snapshot(feed.tenant.slug)["totals"]
        yield {
            "connections": totals["active_connections"],
            "loop_lag_ms": feed.node.loop_lag.snapshot()["last_ms"],
        }
