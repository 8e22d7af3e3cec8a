"""Tries the engine's commands on its broker, so that a missing right is found before the first publication."""

import asyncio
import re
import secrets

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError

from realtime.core.broker_rules import judge_broker
from realtime.core.broker_url import parse_broker_url
from realtime.core.history import Publisher
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.errors import RealtimeError
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import BrokerRefusedError, EngineUnavailableError
from realtime.topics.engine.redis_client import make_client
from realtime.topics.engine.redis_history import COMMAND_DEADLINE_S, RedisHistory

PROBE = TopicKey("probe", "probe")
# Parts of an error's text if a right is missing, inside a script or because a command was renamed.
_NOT_ALLOWED = ("ACL failure", "NOPERM", "no permissions", "unknown command", "Unknown Redis command")


async def check_broker(url: str, *, deadline_s: float = COMMAND_DEADLINE_S) -> list[str]:
    """Try a broker out; return warnings. It leaves nothing behind.

    Raises BrokerRefusedError, or EngineUnavailableError if the broker cannot be reached, or cannot
    answer now, within `deadline_s` seconds.
    """
    client = make_client(parse_broker_url(url), deadline_s=deadline_s)
    try:
        async with asyncio.timeout(deadline_s):
            server, memory = await client.redis.info("server"), await client.redis.info("memory")
            verdict = judge_broker(server, memory)
            if verdict.refusals:
                raise BrokerRefusedError(" ".join(verdict.refusals))
            await _try_history(url, client.redis, deadline_s)
            await _try_channels(client.redis, parse_broker_url(url).prefix)
    except (RedisError, OSError, EngineUnavailableError) as error:
        raise _meaning(error) from error
    finally:
        await client.close()
    return verdict.warnings


async def _try_history(url: str, redis: Redis, deadline_s: float) -> None:
    # Below the prefix of all histories, because a user may have rights only there.
    prefix = f"{parse_broker_url(url).prefix}:h:probe-{secrets.token_hex(4)}"
    history = RedisHistory(url, prefix=prefix, deadline_s=deadline_s)
    try:
        for number in range(2):
            # The second one drops the first.
            draft = make_draft(PROBE.topic, number, Publisher(1, ""), time="", idempotency_key=str(number))
            added = await history.add(PROBE, draft, Retention(1, 1))
        await history.since(PROBE, added.position, 1, 0)
        await history.latest(PROBE, 1, 0)
        await history.positions([PROBE])
    finally:
        await history.close()
        await redis.delete(*history.probe_keys(PROBE, 2))


async def _try_channels(redis: Redis, prefix: str) -> None:
    """Publish and subscribe to names like those of the channel layer: of groups, and one of each process."""
    async with redis.pubsub() as pubsub:
        for name in (f"{prefix}__group__probe", f"{prefix}specific.probe"):
            await redis.publish(name, b"")
            await pubsub.subscribe(name)
            # Sending the command does not show that it is allowed; its answer does.
            await pubsub.get_message(timeout=COMMAND_DEADLINE_S)
        await pubsub.unsubscribe()


def _meaning(error: Exception) -> RealtimeError:
    cause = error.__cause__ if isinstance(error, EngineUnavailableError) and error.__cause__ else error
    text = str(cause)
    if isinstance(cause, NoPermissionError) or any(sign in text for sign in _NOT_ALLOWED):
        # Not the name of the user: /readyz is for everybody.
        text = re.sub(r"[Uu]ser \S+ has", "user has", text).rstrip(".")
        return BrokerRefusedError(f"The broker's user lacks a right: {text}. docs/production.md names all.")
    if isinstance(cause, AuthenticationError | AuthorizationError):
        return BrokerRefusedError("The broker does not accept the user and password of REDIS_URL.")
    return EngineUnavailableError("The broker cannot be reached.")
