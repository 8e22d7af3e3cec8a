"""Attempts that are counted at the broker, for all processes: one hash for each key, in the partition of that key.

The rules are those of `core.attempts`, by the clock of the server.
"""

from realtime.core.attempts import AttemptRule, Verdict
from realtime.topics.engine.broker import Broker, Script
from realtime.topics.engine.broker_connection import Place

# KEYS the attempts of a key; ARGV token limit window_ms
_TAKE = Script(
    """
local key, token, limit, window = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fields = redis.call('HGETALL', key)
local count, failed, oldest, mine = 0, 0, now, false
for at = 1, #fields, 2 do
  local has_failed, since = string.match(fields[at + 1], '^(%d) (%d+)$')
  since = tonumber(since)
  if since + window <= now then
    redis.call('HDEL', key, fields[at])
  else
    count = count + 1
    mine = mine or fields[at] == token
    if has_failed == '1' then
      failed = failed + 1
      if since < oldest then oldest = since end
    end
  end
end
if mine or count < limit then
  if not mine then
    redis.call('HSET', key, token, '0 ' .. string.format('%d', now))
    redis.call('PEXPIRE', key, window)
  end
  return {1, 0, 0}
end
return {0, failed, failed > 0 and oldest + window - now or 0}
""",
    is_read=False,
)
# KEYS the attempts of a key; ARGV token window_ms
_FAIL = Script(
    """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], '1 ' .. string.format('%d', now))
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""",
    is_read=False,
)


class BrokerAttempts:
    """Used on the event loop of its broker. Calls raise EngineUnavailableError; to repeat one does no harm."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def place(self, key: str) -> Place | None:
        """The server that counts this key; callable from any thread."""
        return self._broker.map.owner(self._broker.names.attempts(key)[0])

    async def take(self, rule: AttemptRule, key: str, token: str) -> Verdict:
        """As `AttemptTable.take`."""
        partition, name = self._broker.names.attempts(key)
        arguments = (token, rule.limit, round(rule.window_s * 1000))
        may_begin, failed, wait_ms = await self._broker.run(
            _TAKE, partition, [name], arguments, is_repeatable=True
        )
        return Verdict(bool(may_begin), failed, wait_ms / 1000)

    async def fail(self, rule: AttemptRule, key: str, token: str) -> None:
        """As `AttemptTable.fail`."""
        partition, name = self._broker.names.attempts(key)
        arguments = (token, round(rule.window_s * 1000))
        await self._broker.run(_FAIL, partition, [name], arguments, is_repeatable=True)

    async def free(self, key: str, token: str) -> None:
        """As `AttemptTable.free`."""
        partition, name = self._broker.names.attempts(key)
        await self._broker.call(partition, "HDEL", name, token, is_repeatable=True)
