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

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from typing import Any, cast

import msgspec
from redis.exceptions import ReadOnlyError, RedisError

from realtime.conf import default_of
from realtime.core.broker_url import parse_broker_url
from realtime.core.history import ENTRY_OVERHEAD_BYTES, Change, Draft, Publication, Publisher
from realtime.core.identity import UserId
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.ports import (
    IDEMPOTENCY_TTL_S,
    POSITIONS_PER_CALL,
    Added,
    Ask,
    EngineUnavailableError,
    Page,
)
from realtime.topics.engine.redis_client import make_client
from realtime.topics.engine.redis_scripts import ADD, LATEST, PAGES, POSITIONS, REWRITE

logger = logging.getLogger(__name__)

COMMAND_DEADLINE_S = 2.0
# Epoch and offset are kept longer than the publications, so that a topic unused for a while continues to
# count.
POSITION_TTL_S = 7 * 86_400
# Bits of the filter of topics that have begun: 1 MiB. With 100,000 topics it takes one of 20,000 new names for one
# that was forgotten, with a million one of 40; that topic begins under an epoch of its own, and its subscribers
# load it again.
FILTER_BITS = 2**23
# Publications that a rewrite looks at: more than any topic keeps.
REWRITTEN_MAX = 100_000
# As the limit of a page: return the position only.
POSITION_ONLY = -1


class _Body(msgspec.Struct, array_like=True, frozen=True):
    data: msgspec.Raw
    publisher: tuple[UserId, str] | None
    time: str


class RedisHistory:
    """Histories shared by every process that uses the same broker; `url` as `parse_broker_url` reads it.
    `prefix` begins every key; by default it is that of the URL.

    A topic holds at most `topic_bytes` of `Publication.size_bytes` (0: no bound); the oldest publications are
    dropped. A call that takes longer than `deadline_s` seconds raises EngineUnavailableError and may have
    been carried out. Calls are not retried, so that no publication is stored twice.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str | None = None,
        topic_bytes: int = default_of("HISTORY_BYTES_PER_TOPIC"),
        deadline_s: float = COMMAND_DEADLINE_S,
        idempotency_ttl_s: float = IDEMPOTENCY_TTL_S,
    ) -> None:
        address = parse_broker_url(url)
        self.client = make_client(address, deadline_s=deadline_s)
        self._redis = self.client.redis
        self._prefix = address.prefix if prefix is None else prefix
        # Those that all topics share, `store` and `begun` of the scripts.
        self._shared_keys = (f"{self._prefix}:h:epoch", f"{self._prefix}:h:begun")
        self._topic_bytes = topic_bytes
        self._deadline_s = deadline_s
        self._idempotency_ttl_ms = round(idempotency_ttl_s * 1000)
        self._add = self._redis.register_script(ADD)
        self._positions = self._redis.register_script(POSITIONS)
        self._pages = self._redis.register_script(PAGES)
        self._latest = self._redis.register_script(LATEST)
        self._rewrite = self._redis.register_script(REWRITE)

    async def begin(self) -> None:
        """Make the store's epoch, the only key that reading needs. If the server is unreachable, the first
        read makes it."""
        with suppress(EngineUnavailableError):
            await self._run(self._positions, [])

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """As `History.add`."""
        publication = Publication(key.topic, 0, draft.data, draft.publisher, draft.time)
        arguments = (
            retention.size,
            round(retention.ttl_s * 1000),
            self._topic_bytes,
            ENTRY_OVERHEAD_BYTES,
            len(draft.data),
            _encode(draft),
            draft.fingerprint,
            max(self._idempotency_ttl_ms, round(draft.key_ttl_s * 1000)),
        )
        keys = [*self._keys(key), *self._used_keys(key, draft)]
        outcome, epoch, offset = await self._run(self._add, keys, *arguments)
        if outcome == b"conflict":
            raise RequestError(ErrorCode.CONFLICT, "This idempotency key was used with other data.")
        position = Position(epoch.decode(), offset)
        if outcome == b"repeated":
            return Added(position, None)
        return Added(position, replace(publication, offset=offset))

    async def position(self, key: TopicKey) -> Position:
        """As `History.position`."""
        (position,) = await self.positions([key])
        return position

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        """As `History.positions`."""
        positions: list[Position] = []
        for at in range(0, len(keys), POSITIONS_PER_CALL):
            metas = [self._keys(key)[0] for key in keys[at : at + POSITIONS_PER_CALL]]
            answer = await self._run(self._positions, metas)
            pairs = zip(answer[::2], answer[1::2], strict=True)
            positions += [Position(epoch.decode(), top) for epoch, top in pairs]
        return positions

    async def since(self, key: TopicKey, position: Position, limit: int, max_bytes: int) -> Page:
        """As `History.since`."""
        (page,) = await self.pages([Ask(key, position, limit, max_bytes)])
        return page

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        """As `History.pages`, in one call."""
        keys = [key for ask in asks for key in self._keys(ask.key)]
        arguments: list[str | int] = []
        for ask in asks:
            if ask.since is None:
                arguments += [POSITION_ONLY, 0, "", 0]
            else:
                arguments += [max(ask.limit, 0), ask.max_bytes, ask.since.epoch, ask.since.offset]
        answers = await self._run(self._pages, keys, *arguments)
        return [_page(ask, *answer) for ask, answer in zip(asks, answers, strict=True)]

    async def latest(self, key: TopicKey, limit: int, max_bytes: int) -> Page:
        """As `History.latest`."""
        epoch, top, entries = await self._run(self._latest, self._keys(key), limit, max_bytes)
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
                arguments += [each.offset, len(new), _encode(draft)]
        if arguments:
            keys = self._keys(key)
            await self._run(self._rewrite, keys, page.position.epoch, ENTRY_OVERHEAD_BYTES, *arguments)

    def sweep(self, now_s: float) -> None:
        """As `History.sweep`: does nothing, because the server drops what is too old."""

    async def close(self) -> None:
        """As `History.close`."""
        await self.client.close()

    def probe_keys(self, key: TopicKey, used: int) -> list[str]:
        """Return all keys of a history that has one topic only, and `used` idempotency keys "0", "1"… of the user 1."""
        drafts = [
            Draft(msgspec.Raw(b""), Publisher(1, ""), "", idempotency_key=str(number))
            for number in range(used)
        ]
        used_keys = [name for draft in drafts for name in self._used_keys(key, draft)]
        return [*self._shared_keys, *self._keys(key), *used_keys]

    def _keys(self, key: TopicKey) -> tuple[str, str]:
        """The keys of a topic's hash (`meta`) and stream."""
        base = self._base(key)
        return f"{base}:meta", f"{base}:stream"

    def _used_keys(self, key: TopicKey, draft: Draft) -> list[str]:
        if draft.idempotency_key is None:
            return []
        publisher = draft.publisher.id if draft.publisher else None
        # With quotes around a text: the ids 7 and "7" are two users, and a text may hold the separator.
        return [f"{self._base(key)}:used:{_digest(f'{publisher!r}:{draft.idempotency_key}')}"]

    def _base(self, key: TopicKey) -> str:
        # The braces are a hash tag: a Redis cluster keeps all keys of a topic on one of its nodes.
        return f"{self._prefix}:h:{{{key.tenant}:{_digest(key.topic)}}}"

    async def _run(self, script: Any, keys: Sequence[str], *arguments: str | bytes | int) -> Any:
        common = (secrets.token_hex(8), FILTER_BITS, POSITION_TTL_S)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await script(keys=(*self._shared_keys, *keys), args=(*common, *arguments))
        except ReadOnlyError as error:
            # The server has become a replica: close the idle connections, so
            # that the next call connects again.
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            raise EngineUnavailableError("The history's server accepts no writes now.") from error
        except (RedisError, OSError) as error:
            # TimeoutError is an OSError.
            raise EngineUnavailableError("The history's server cannot be reached.") from error


def _encode(draft: Draft) -> bytes:
    publisher = (draft.publisher.id, draft.publisher.username) if draft.publisher else None
    return msgspec.json.encode(_Body(draft.data, publisher, draft.time))


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
        offset = int(entry_id.partition(b"-")[0])
        body = msgspec.json.decode(fields[3], type=_Body)
    except (ValueError, IndexError, RecursionError) as error:
        logger.warning(
            "Entry %s of topic %r of %s cannot be read: %r", entry_id, key.topic, key.tenant, error
        )
        return None
    publisher = Publisher(*body.publisher) if body.publisher else None
    # A copy, because the decoded value keeps the whole reply in memory.
    return Publication(key.topic, offset, body.data.copy(), publisher, body.time)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
