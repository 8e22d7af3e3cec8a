"""Histories in Redis or Valkey: one stream and one hash for each topic. Each
call is one script and one round trip.

Reading creates nothing, except the key of the store's epoch if `begin` could not. A failover or restart begins new
epochs, and positions stay good up to where theirs ended. Each topic has a bound in
bytes. The totals for tenants and for the whole store are bounded by the server (`maxmemory`), because many
processes share it. If the server evicts keys, new epochs begin, and no offset is given twice. A key that is
deleted by hand is not noticed.

A user with restricted rights needs the scripting, hash, stream, bitmap and key commands, `TIME` and `INFO`;
`broker_check` tries them.
"""

import logging
import secrets
from asyncio import gather
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Any, cast

import msgspec

from realtime.conf import default_of
from realtime.core.history import ENTRY_OVERHEAD_BYTES, Change, Draft, Publication, Publisher
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.broker import Broker, Script
from realtime.topics.engine.carried import decode_body, encode_body
from realtime.topics.engine.names import TopicNames
from realtime.topics.engine.ports import (
    IDEMPOTENCY_TTL_S,
    POSITIONS_PER_CALL,
    Added,
    Ask,
    EngineUnavailableError,
    Page,
)
from realtime.topics.engine.redis_scripts import ADD, LATEST, PAGES, POSITIONS, REWRITE

logger = logging.getLogger(__name__)

# Epoch and offset are kept longer than the publications, so that a topic unused for a while continues to
# count.
POSITION_TTL_S = 7 * 86_400
# Bits of the filter of topics that have begun: 1 MiB. With 100,000 topics it takes one of 20,000 new names for one
# that was forgotten, with a million one of 40; that topic begins under an epoch of its own, and its subscribers
# load it again.
FILTER_BITS = 2**23
# Publications that a rewrite looks at: more than any topic keeps.
REWRITTEN_MAX = 100_000
# The most reads of a page while its partition moves.
MOVES_MAX = 4
# As the limit of a page: return the position only.
POSITION_ONLY = -1


_ADD, _REWRITE = Script(ADD, is_read=False), Script(REWRITE, is_read=False)
_POSITIONS, _PAGES, _LATEST = Script(POSITIONS), Script(PAGES), Script(LATEST)


class RedisHistory:
    """Histories shared by every process that uses the same broker. `close` closes the broker.

    A topic holds at most `topic_bytes` of `Publication.size_bytes` (0: no bound); the oldest publications are
    dropped. An `add` without an idempotency key that may have been carried out is not repeated, so that no
    publication is stored twice. `fresh_epoch` returns a new name of 16 hexadecimal digits at each call.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        topic_bytes: int = default_of("HISTORY_BYTES_PER_TOPIC"),
        idempotency_ttl_s: float = IDEMPOTENCY_TTL_S,
        fresh_epoch: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._broker = broker
        self._names = broker.names
        self._topic_bytes = topic_bytes
        self._idempotency_ttl_ms = round(idempotency_ttl_s * 1000)
        self._fresh_epoch = fresh_epoch

    @property
    def broker(self) -> Broker:
        """The broker that it uses."""
        return self._broker

    async def begin(self) -> None:
        """Make the store's epochs, the only keys that reading needs. If the server is unreachable, the first
        read makes them."""
        with suppress(EngineUnavailableError):
            for partition in range(self._names.partitions):
                await self._run(_POSITIONS, partition, [])

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """As `History.add`."""
        names = self._names.topic(key)
        keys = [names.meta, names.stream, *self._used_keys(key, draft)]
        arguments = self._arguments(draft, retention, names)
        answer = await self._run(
            _ADD, names.partition, keys, *arguments, is_repeatable=draft.idempotency_key is not None
        )
        outcome, epoch, top = answer.split()
        if outcome == b"conflict":
            raise RequestError(ErrorCode.CONFLICT, "This idempotency key was used with other data.")
        position = Position(epoch.decode(), int(top))
        if outcome == b"repeated":
            return Added(position, None)
        publication = Publication(key.topic, position.offset, draft.data, draft.publisher, draft.time)
        return Added(position, publication)

    def _arguments(self, draft: Draft, retention: Retention, names: TopicNames) -> list[str | bytes | int]:
        most_bytes = (len(draft.data) + ENTRY_OVERHEAD_BYTES) * retention.size
        is_small = not self._topic_bytes or most_bytes <= self._topic_bytes
        arguments: list[str | bytes | int] = [
            max(retention.size, 0),
            max(round(retention.ttl_s * 1000), 0),
            self._topic_bytes,
            int(is_small),
            len(draft.data),
            encode_body(draft),
            names.channel,
            self._broker.id,
        ]
        if draft.idempotency_key is not None:
            ttl_ms = max(self._idempotency_ttl_ms, round(draft.key_ttl_s * 1000))
            arguments += [draft.fingerprint, ttl_ms]
        return arguments

    async def position(self, key: TopicKey) -> Position:
        """As `History.position`."""
        (position,) = await self.positions([key])
        return position

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        """As `History.positions`: one call for each partition of each POSITIONS_PER_CALL of them."""
        names = [self._names.topic(key) for key in keys]
        positions: dict[int, Position] = {}
        # So that most calls are about one partition.
        ordered = sorted(range(len(keys)), key=lambda at: names[at].partition)
        for first in range(0, len(ordered), POSITIONS_PER_CALL):
            calls = _by_partition(ordered[first : first + POSITIONS_PER_CALL], names)
            for call in await gather(*(self._positions(*call, names) for call in calls.items())):
                positions |= call
        return [positions[at] for at in range(len(keys))]

    async def _positions(
        self, partition: int, places: Sequence[int], names: Sequence[TopicNames]
    ) -> dict[int, Position]:
        answer = await self._run(_POSITIONS, partition, [names[at].meta for at in places])
        found = zip(places, answer[::2], answer[1::2], strict=True)
        return {at: Position(epoch.decode(), top) for at, epoch, top in found}

    async def since(self, key: TopicKey, position: Position, limit: int, max_bytes: int) -> Page:
        """As `History.since`."""
        (page,) = await self.pages([Ask(key, position, limit, max_bytes)])
        return page

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        """As `History.pages`, in one call for each partition."""
        names = [self._names.topic(ask.key) for ask in asks]
        pages: dict[int, Page] = {}
        calls = _by_partition(range(len(asks)), names)
        for call in await gather(*(self._pages(*call, asks, names) for call in calls.items())):
            pages |= call
        return [pages[at] for at in range(len(asks))]

    async def _pages(
        self, partition: int, places: Sequence[int], asks: Sequence[Ask], names: Sequence[TopicNames]
    ) -> dict[int, Page]:
        pages: dict[int, Page] = {}
        for _ in range(MOVES_MAX):
            asked = self._broker.map.owner(partition)
            pages |= await self._read(partition, places, asks, names)
            places = [at for at in places if pages[at].publications is None]
            # A primary that was replaced has another history. Clients need not load again because of that.
            if not places or not await self._broker.has_moved(partition, asked):
                break
        return pages

    async def _read(
        self, partition: int, places: Sequence[int], asks: Sequence[Ask], names: Sequence[TopicNames]
    ) -> dict[int, Page]:
        keys = [key for at in places for key in (names[at].meta, names[at].stream)]
        arguments: list[str | int] = []
        for at in places:
            ask = asks[at]
            if ask.since is None:
                arguments += [POSITION_ONLY, 0, "", 0]
            else:
                arguments += [max(ask.limit, 0), ask.max_bytes, ask.since.epoch, ask.since.offset]
        answers = await self._run(_PAGES, partition, keys, *arguments)
        return {at: _page(asks[at], *answer) for at, answer in zip(places, answers, strict=True)}

    async def latest(self, key: TopicKey, limit: int, max_bytes: int) -> Page:
        """As `History.latest`."""
        names = self._names.topic(key)
        keys = [names.meta, names.stream]
        epoch, top, entries = await self._run(_LATEST, names.partition, keys, limit, max_bytes)
        newest = [_publication(key, *entry) for entry in entries[: max(limit, 0)]]
        # Entries that are older than one that cannot be read are not contiguous with the rest.
        readable = list(takewhile(lambda each: each is not None, newest))
        return Page(Position(epoch.decode(), top), cast("list[Publication]", readable[::-1]))

    async def rewrite(self, key: TopicKey, change: Change) -> None:
        """As `History.rewrite`: reads the topic, and writes the changed entries in one script."""
        page = await self.latest(key, REWRITTEN_MAX, 0)
        arguments: list[str | bytes | int] = []
        for each in page.publications or []:
            new = change(bytes(each.data))
            if new is not None:
                draft = Draft(msgspec.Raw(new), each.publisher, each.time)
                arguments += [each.offset, len(new), encode_body(draft)]
        if arguments:
            names = self._names.topic(key)
            common = (page.position.epoch, ENTRY_OVERHEAD_BYTES)
            keys = [names.meta, names.stream]
            await self._run(_REWRITE, names.partition, keys, *common, *arguments, is_repeatable=True)

    def sweep(self, now_s: float) -> None:
        """As `History.sweep`: does nothing, because the server drops what is too old."""

    async def close(self) -> None:
        """As `History.close`."""
        await self._broker.close()

    def probe_keys(self, key: TopicKey, used: int) -> list[str]:
        """Return all keys of a history that has one topic only, and `used` idempotency keys "0", "1"… of the user 1."""
        drafts = [
            Draft(msgspec.Raw(b""), Publisher(1, ""), "", idempotency_key=str(number))
            for number in range(used)
        ]
        used_keys = [name for draft in drafts for name in self._used_keys(key, draft)]
        names = self._names.topic(key)
        return [*self._names.shared(names.partition), names.meta, names.stream, *used_keys]

    def _used_keys(self, key: TopicKey, draft: Draft) -> list[str]:
        if draft.idempotency_key is None:
            return []
        publisher = draft.publisher.id if draft.publisher else None
        return [self._names.used(self._names.topic(key), publisher, draft.idempotency_key)]

    async def _run(
        self,
        script: Script,
        partition: int,
        keys: Sequence[str],
        *arguments: str | bytes | int,
        is_repeatable: bool = False,
    ) -> Any:
        common = (self._fresh_epoch(), FILTER_BITS // self._names.partitions, POSITION_TTL_S)
        return await self._broker.run(
            script,
            partition,
            (*self._names.shared(partition), *keys),
            (*common, *arguments),
            is_repeatable=is_repeatable,
        )


def _by_partition(places: Iterable[int], names: Sequence[TopicNames]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for at in places:
        found.setdefault(names[at].partition, []).append(at)
    return found


def _page(ask: Ask, epoch: bytes, top: int, entries: Sequence[Any] | None) -> Page:
    position = Position(epoch.decode(), top)
    if entries is None:
        return Page(position, None)
    publications = [_publication(ask.key, *entry) for entry in entries[: max(ask.limit, 0)]]
    if None in publications:
        # Treated as gone: a client that needs the entry is told, and the topic goes on after it.
        return Page(position, None)
    return Page(position, cast("list[Publication]", publications))


def _publication(key: TopicKey, entry_id: bytes, fields: Sequence[bytes]) -> Publication | None:
    """Return the publication of an entry; None, with a line in the log, if it is no entry of ours."""
    try:
        return decode_body(key.topic, int(entry_id.partition(b"-")[0]), fields[3])
    except (ValueError, IndexError, RecursionError) as error:
        logger.warning(
            "Entry %s of topic %r of %s cannot be read: %r", entry_id, key.topic, key.tenant, error
        )
    return None
