"""Stream sources: generators whose next value is sent at every interval.

@stream_source("countdown")
def countdown(feed: Feed) -> Iterator[int]:
    yield from range(10, 0, -1)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from realtime.core.identity import Identity, Tenant
from realtime.node.node import Node


@dataclass(frozen=True, slots=True)
class Feed:
    """What a source is told about the stream that it produces."""

    node: Node
    tenant: Tenant
    identity: Identity | None


Generate = Callable[[Feed], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class StreamSource:
    """A declared source. The generator runs on the loop, so it must yield each value without blocking."""

    name: str
    generate: Generate


def stream_source(name: str) -> Callable[[Generate], StreamSource]:
    """Declare the decorated generator as the source `name`. The stream stops when the generator ends."""

    def declare(generate: Generate) -> StreamSource:
        return StreamSource(name, generate)

    return declare
