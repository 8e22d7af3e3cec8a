"""Tries the engine's commands on its broker, so that a missing right is found before the first publication."""

import asyncio
import re
import secrets
from typing import Any

from realtime.core.broker_rules import judge_broker
from realtime.core.broker_url import parse_broker_url
from realtime.core.history import Publisher
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.errors import RealtimeError
from realtime.topics.engine.broker import DEADLINE_S, Broker
from realtime.topics.engine.broker_connection import ConnectionLostError, Place, ReplyError
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.names import group_name
from realtime.topics.engine.ports import BrokerRefusedError, EngineUnavailableError
from realtime.topics.engine.redis_history import RedisHistory

# Names that are tried to find one on each server. A server owns some of 128 partitions, or all.
PROBES_MAX = 10_000
# Parts of an error's text if a right is missing, inside a script or because a command was renamed.
_NOT_ALLOWED = (
    "ACL failure",
    "NOPERM",
    "no permissions",
    # Redis 7.0 does not name what is missing.
    "The user executing the script can't",
    "unknown command",
    "Unknown Redis command",
)
# Parts of an error's text if REDIS_URL names something that the broker does not have, and what to do.
_NOT_THERE = {
    "DB index is out of range": "The broker has no database with the number in REDIS_URL: write a lower one, as 0.",
    "cluster support disabled": "The broker is no cluster: write REDIS_URL as redis://host:6379/0.",
}
# First words of the errors for a wrong password, or none.
_NOT_KNOWN = frozenset({"WRONGPASS", "NOAUTH"})


async def check_broker(
    url: str, *, deadline_s: float = DEADLINE_S, silence_s: float = DEADLINE_S
) -> list[str]:
    """Try a broker out; return warnings. It leaves nothing behind.

    The whole check may take `deadline_s` seconds; finding the servers, each connection and each answer `silence_s`
    seconds. Raises BrokerRefusedError, or EngineUnavailableError if the broker cannot be reached, or cannot answer in
    this time.
    """
    # Below the prefix of all histories, because a user may have rights only there.
    prefix = f"{parse_broker_url(url).prefix}:h:probe-{secrets.token_hex(4)}"
    broker = Broker(url, prefix=prefix, deadline_s=silence_s)
    warnings: dict[str, None] = {}
    try:
        async with asyncio.timeout(deadline_s):
            async with asyncio.timeout(silence_s):
                await broker.map.look()
            for place in sorted(broker.map.places):
                warnings |= dict.fromkeys(await _check_server(broker, place))
    except (OSError, EngineUnavailableError) as error:
        raise _meaning(error) from error
    finally:
        await broker.close()
    return list(warnings)


async def _check_server(broker: Broker, place: Place) -> list[str]:
    key = _probe_at(broker, place)
    partition = broker.names.topic(key).partition
    server, memory = await _info(broker, partition, "server"), await _info(broker, partition, "memory")
    verdict = judge_broker(server, memory)
    if verdict.refusals:
        raise BrokerRefusedError(" ".join(verdict.refusals))
    await _try_history(broker, key)
    await _try_channels(broker, key, place)
    return verdict.warnings


def _probe_at(broker: Broker, place: Place) -> TopicKey:
    """Return a topic that lies on this server."""
    keys = (TopicKey("probe", f"probe {number}") for number in range(PROBES_MAX))
    found = (key for key in keys if broker.map.owner(broker.names.topic(key).partition) == place)
    if (key := next(found, None)) is None:
        raise EngineUnavailableError("A server of the cluster owns no partition.")
    return key


async def _info(broker: Broker, partition: int, section: str) -> dict[str, str]:
    answer = await broker.call(partition, "INFO", section, is_read=True)
    text = answer.decode() if isinstance(answer, bytes) else str(answer)
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value for name, colon, value in pairs if colon}


async def _try_history(broker: Broker, key: TopicKey) -> None:
    # So few bytes that they are counted, which takes more commands.
    history = RedisHistory(broker, topic_bytes=1)
    try:
        for number in range(2):
            draft = make_draft(key.topic, number, Publisher(1, ""), time="", idempotency_key=str(number))
            added = await history.add(key, draft, Retention(1, 1))
        await history.since(key, Position(added.position.epoch, 1), 1, 0)
        await history.latest(key, 1, 0)
        await history.positions([key])
    finally:
        await broker.call(broker.names.topic(key).partition, "DEL", *history.probe_keys(key, 2))


async def _try_channels(broker: Broker, key: TopicKey, place: Place) -> None:
    partition, channel = broker.names.channel(group_name(key))
    await broker.call(partition, "SPUBLISH", channel, b"")
    connection = await broker.connect(place, _ignore)
    try:
        for command in (b"SSUBSCRIBE", b"SUNSUBSCRIBE"):
            await connection.confirmed(command, [channel.encode()], _ignore)
    finally:
        connection.close()
        await connection.closed()


def reason(error: BaseException) -> str:
    """Return why a broker could not be reached, from the first cause, for the log of the operator."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ConnectionLostError | TimeoutError):
        return "no broker answers there"
    return (str(error).partition("\n")[0] or type(error).__name__).rstrip(".")


def _ignore(_push: Any) -> None:
    return


def _meaning(error: Exception) -> RealtimeError:
    text = str(error)
    if any(sign in text for sign in _NOT_ALLOWED):
        # Not the name of the user: /readyz is for everybody.
        text = re.sub(r"[Uu]ser \S+ has", "user has", text).rstrip(".")
        return BrokerRefusedError(f"The broker's user lacks a right: {text}. docs/production.md names all.")
    if isinstance(error, ReplyError) and error.code in _NOT_KNOWN:
        return BrokerRefusedError("The broker does not accept the user and password of REDIS_URL.")
    for sign, advice in _NOT_THERE.items():
        if sign in text or sign in str(error.__cause__):
            return BrokerRefusedError(advice)
    return EngineUnavailableError("The broker cannot be reached.")
