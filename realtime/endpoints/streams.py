"""Stream sources: generators whose next value is sent at every interval.

@stream_source("countdown")
def countdown(feed: Feed) -> Iterator[int]:
    yield from range(10, 0, -1)
"""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar, get_args, get_origin

from realtime.core.contracts import Contract
from realtime.core.identity import Identity, Tenant
from realtime.core.slots import owner_of
from realtime.endpoints.declarations import check_arguments, check_name, made_contract, returned_type
from realtime.node.node import Node

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Feed:
    """The facts about a stream that its source receives."""

    node: Node
    tenant: Tenant
    identity: Identity | None
    # Of the client, without the port; "" if the server does not know it.
    address: str = ""

    async def in_db(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a database thread and return its result. Raises the errors of `Database.run_for`."""
        owner = owner_of(self.tenant, self.identity, self.address)
        return await self.node.database.run_for(owner, work, *args, **kwargs)


Generate = Callable[[Feed], Iterator[Any] | AsyncIterator[Any]]


@dataclass(frozen=True, slots=True)
class StreamSource:
    """A declared source. The generator runs on the loop: a plain one must yield each value without blocking, an
    `async` one may await."""

    name: str
    generate: Generate
    # The annotated values, if the annotation says what they are.
    contract: Contract | None = None
    is_checked: bool = False

    def checked(self) -> "StreamSource":
        """Return this source, whose values are checked against its contract."""
        return replace(self, is_checked=True)

    def check(self, value: Any) -> None:
        """Raise ContractError for a value that does not fit, if this source is checked."""
        if self.is_checked and self.contract is not None:
            self.contract.check(value)


def stream_source(name: str) -> Callable[[Generate], StreamSource]:
    """Declare the decorated generator, plain or `async`, as the source `name`.

    The stream ends when the generator ends, and its client is told. The annotated values (`Iterator[Price]`) are its
    contract.
    """
    check_name(name, "stream_source")

    def declare(generate: Generate) -> StreamSource:
        check_arguments(generate, "feed")
        what = f"A value of the stream {name} ({generate.__module__}.{generate.__qualname__})"
        return StreamSource(name, generate, made_contract(_yielded(generate), what, "value", generate))

    return declare


def _yielded(generate: Generate) -> Any:
    """Return the type of the values that a generator is annotated to yield; Any if it is not."""
    returned = returned_type(generate)
    origin = get_origin(returned)
    is_iterable = isinstance(origin, type) and issubclass(origin, Iterable | AsyncIterable)
    return get_args(returned)[0] if is_iterable and get_args(returned) else Any


async def values_of(made: Any) -> AsyncGenerator[Any, None]:
    """Yield the values of the result of a source's function; raises TypeError if the result has none.

    Closes the generator of the source at the end, whichever way it ends.
    """
    if isinstance(made, Awaitable):
        made = await made
    if isinstance(made, str | bytes | Mapping) or not isinstance(made, Iterable | AsyncIterable):
        raise TypeError(f"Expected a generator, received {type(made).__name__}.")
    try:
        if isinstance(made, AsyncIterable):
            async for value in made:
                yield value
        else:
            for value in made:
                yield value
    finally:
        if isinstance(made, AsyncGenerator):
            await made.aclose()
        elif isinstance(made, Generator):
            made.close()
