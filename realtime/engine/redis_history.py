"""Histories in Redis or Valkey: one stream and one hash a topic; each call is one script, one round trip.

A user with restricted rights needs the scripting, hash, stream and key commands, `TIME` and `INFO`.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from realtime.core.history import Position, Publication, Publisher, fingerprint
from realtime.engine.ports import (
    IDEMPOTENCY_TTL_S,
    Added,
    Draft,
    EngineUnavailableError,
    Page,
    Retention,
    TopicKey,
)
from realtime.protocol.errors import ErrorCode, RequestError

COMMAND_DEADLINE_S = 2.0
MAX_CONNECTIONS = 16
# Epoch and offset outlive the publications, so that a topic nobody used for a while goes on counting.
POSITION_TTL_S = 30 * 86_400

# An epoch ends with the memory of the server: when its keys are gone, and with its process too. Its successor
# may have begun from an older state, and would give out the same offsets a second time.
_BEGIN = """
local function begin(meta, stream, fresh_epoch, position_ttl_s)
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local known = redis.call('HMGET', meta, 'epoch', 'run', 'top')
  if known[1] and known[2] == run then
    return known[1], tonumber(known[3])
  end
  redis.call('DEL', meta, stream)
  redis.call('HSET', meta, 'epoch', fresh_epoch, 'run', run, 'top', 0, 'ttl_ms', 0)
  redis.call('EXPIRE', meta, position_ttl_s)
  return fresh_epoch, 0
end
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function is_live(entry, meta)
  return now_ms() - tonumber(entry[2][2]) < tonumber(redis.call('HGET', meta, 'ttl_ms'))
end
local meta, stream = KEYS[1], KEYS[2]
local epoch, top
"""

_ADD = (
    _BEGIN
    + """
local fresh_epoch, position_ttl_s, size, ttl_ms, body, print, print_ttl_ms = unpack(ARGV)
local used = KEYS[3]
if print ~= '' then
  local before = redis.call('HMGET', used, 'print', 'epoch', 'offset')
  if before[1] then
    return {before[1] == print and 'repeated' or 'conflict', before[2], tonumber(before[3])}
  end
end
epoch = begin(meta, stream, fresh_epoch, position_ttl_s)
top = redis.call('HINCRBY', meta, 'top', 1)
redis.call('HSET', meta, 'ttl_ms', ttl_ms)
redis.call('EXPIRE', meta, position_ttl_s)
if tonumber(size) > 0 and tonumber(ttl_ms) > 0 then
  redis.call('XADD', stream, 'MAXLEN', '=', size, top .. '-0', 'ms', now_ms(), 'body', body)
  redis.call('PEXPIRE', stream, ttl_ms)
else
  redis.call('DEL', stream)
end
if print ~= '' then
  redis.call('HSET', used, 'print', print, 'epoch', epoch, 'offset', top)
  redis.call('PEXPIRE', used, print_ttl_ms)
end
return {'added', epoch, top}
"""
)

_POSITION = (
    _BEGIN
    + """
epoch, top = begin(meta, stream, ARGV[1], ARGV[2])
return {epoch, top}
"""
)

_SINCE = (
    _BEGIN
    + """
local asked_epoch, offset, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
epoch, top = begin(meta, stream, ARGV[1], ARGV[2])
if asked_epoch ~= epoch or offset < 0 or offset > top then
  return {epoch, top, false}
end
if offset == top then
  return {epoch, top, {}}
end
local first = (offset + 1) .. '-0'
local entries = redis.call('XRANGE', stream, first, '+', 'COUNT', math.max(limit, 1))
if #entries == 0 or entries[1][1] ~= first or not is_live(entries[1], meta) then
  return {epoch, top, false}
end
return {epoch, top, entries}
"""
)

_LATEST = (
    _BEGIN
    + """
epoch, top = begin(meta, stream, ARGV[1], ARGV[2])
local entries = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', math.max(tonumber(ARGV[3]), 1))
local live = {}
for _, entry in ipairs(entries) do
  if not is_live(entry, meta) then
    break
  end
  live[#live + 1] = entry
end
return {epoch, top, live}
"""
)


class _Body(msgspec.Struct, array_like=True, frozen=True):
    data: Any
    publisher: tuple[int, str] | None
    time: str


class _Keys(NamedTuple):
    meta: str
    stream: str
    used: str


class RedisHistory:
    """Histories shared by every process on the same server; `url` as `redis://host:port/number`.

    A call that takes longer than `deadline_s` raises EngineUnavailableError and may have been carried out.
    Calls are never repeated by themselves, so that no publication is stored twice.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "rockstar",
        deadline_s: float = COMMAND_DEADLINE_S,
        idempotency_ttl_s: float = IDEMPOTENCY_TTL_S,
    ) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=deadline_s,
            socket_timeout=deadline_s,
            socket_connect_timeout=deadline_s,
            retry=Retry(NoBackoff(), 0),
            # While these are on, redis-py 8 does not notice that an idle connection was closed meanwhile.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._redis = Redis.from_pool(pool)
        self._prefix = prefix
        self._deadline_s = deadline_s
        self._idempotency_ttl_ms = round(idempotency_ttl_s * 1000)
        self._add = self._redis.register_script(_ADD)
        self._position = self._redis.register_script(_POSITION)
        self._since = self._redis.register_script(_SINCE)
        self._latest = self._redis.register_script(_LATEST)

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """As `History.add`."""
        is_once = draft.idempotency_key is not None
        arguments = (
            retention.size,
            round(retention.ttl_s * 1000),
            _encode(draft),
            fingerprint(draft.data) if is_once else "",
            self._idempotency_ttl_ms,
        )
        outcome, epoch, offset = await self._run(self._add, self._keys(key, draft), *arguments)
        if outcome == b"conflict":
            raise RequestError(ErrorCode.CONFLICT, "This idempotency key was used with other data.")
        position = Position(epoch.decode(), offset)
        if outcome == b"repeated":
            return Added(position, None)
        return Added(position, Publication(key.topic, offset, draft.data, draft.publisher, draft.time))

    async def position(self, key: TopicKey) -> Position:
        """As `History.position`."""
        epoch, top = await self._run(self._position, self._keys(key))
        return Position(epoch.decode(), top)

    async def since(self, key: TopicKey, position: Position, limit: int) -> Page:
        """As `History.since`."""
        arguments = (position.epoch, position.offset, limit)
        epoch, top, entries = await self._run(self._since, self._keys(key), *arguments)
        current = Position(epoch.decode(), top)
        return Page(current, None if entries is None else _publications(key.topic, entries[: max(limit, 0)]))

    async def latest(self, key: TopicKey, limit: int) -> Page:
        """As `History.latest`."""
        epoch, top, entries = await self._run(self._latest, self._keys(key), limit)
        newest = entries[: max(limit, 0)]
        return Page(Position(epoch.decode(), top), _publications(key.topic, newest[::-1]))

    async def close(self) -> None:
        """As `History.close`."""
        await self._redis.aclose(close_connection_pool=True)

    def _keys(self, key: TopicKey, draft: Draft | None = None) -> _Keys:
        # In braces: a cluster keeps all keys of a topic on one node.
        base = f"{self._prefix}:h:{{{key.tenant}:{_digest(key.topic)}}}"
        use = ""
        if draft is not None and draft.idempotency_key is not None:
            publisher = draft.publisher.id if draft.publisher else ""
            use = _digest(f"{publisher}:{draft.idempotency_key}")
        return _Keys(f"{base}:meta", f"{base}:stream", f"{base}:used:{use}")

    async def _run(self, script: Any, keys: _Keys, *arguments: str | bytes | int) -> Any:
        fresh_epoch = secrets.token_hex(4)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await script(keys=keys, args=(fresh_epoch, POSITION_TTL_S, *arguments))
        except ReadOnlyError as error:
            # These connections lead to what has become a replica: the next call connects anew.
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            raise EngineUnavailableError("The history's server takes no writes now.") from error
        except (RedisError, OSError) as error:
            # TimeoutError is an OSError.
            raise EngineUnavailableError("The history's server cannot be reached.") from error


def _encode(draft: Draft) -> bytes:
    publisher = (draft.publisher.id, draft.publisher.username) if draft.publisher else None
    return msgspec.json.encode(_Body(draft.data, publisher, draft.time))


def _publications(topic: str, entries: Sequence[Any]) -> list[Publication]:
    return [_publication(topic, entry_id, fields) for entry_id, fields in entries]


def _publication(topic: str, entry_id: bytes, fields: Sequence[bytes]) -> Publication:
    body = msgspec.json.decode(fields[3], type=_Body)
    publisher = Publisher(*body.publisher) if body.publisher else None
    return Publication(topic, int(entry_id.partition(b"-")[0]), body.data, publisher, body.time)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
