"""The names of keys and channels at a broker. All of a topic have one hash tag: they lie in one partition."""

import hashlib
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from realtime.core.partitions import tags
from realtime.core.topics import TopicKey

# Topics, and groups of the bus, whose names are remembered.
REMEMBERED = 16_384
_TOPIC = "topic."


class TopicNames(NamedTuple):
    """The names of a topic that the scripts need: its partition, hash, stream and channel."""

    partition: int
    meta: str
    stream: str
    channel: str


class Names:
    """The names below `prefix`, for a broker that has so many partitions."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self.partitions = partitions
        self._prefix = prefix
        self._tags = tags(partitions)
        self.topic = lru_cache(REMEMBERED)(self._topic)
        self.channel = lru_cache(REMEMBERED)(self._channel)

    def shared(self, partition: int) -> tuple[str, str]:
        """The keys that all topics of a partition share: `store` and `begun` of the scripts."""
        base = f"{self._prefix}:h:{{{self._tags[partition]}}}"
        return f"{base}:epoch", f"{base}:begun"

    def used(self, names: TopicNames, publisher: object, idempotency_key: str) -> str:
        """The key that remembers an idempotency key."""
        # With quotes around a text: the ids 7 and "7" are two users, and a text may hold the separator.
        return f"{names.meta.removesuffix(':meta')}:used:{_digest(f'{publisher!r}:{idempotency_key}')}"

    def attempts(self, key: str) -> tuple[int, str]:
        """The partition and the key of the attempts that are counted for `key`."""
        partition = crc32(key.encode("utf-8", "surrogatepass")) % self.partitions
        return partition, f"{self._prefix}:h:{{{self._tags[partition]}}}:attempts:{_digest(key)}"

    def _topic(self, key: TopicKey) -> TopicNames:
        group = group_name(key)
        partition, channel = self._channel(group)
        base = f"{self._prefix}:h:{{{self._tags[partition]}}}:{key.tenant}:{group.removeprefix(_TOPIC)}"
        return TopicNames(partition, f"{base}:meta", f"{base}:stream", channel)

    def _channel(self, group: str) -> tuple[int, str]:
        """The partition and the channel of a bus group."""
        partition = crc32(group.encode()) % self.partitions
        return partition, f"{self._prefix}:b:{{{self._tags[partition]}}}:{group}"


@lru_cache(REMEMBERED)
def group_name(key: TopicKey) -> str:
    """The bus group of a topic: an ASCII name of fixed length, whatever the topic's name holds."""
    return _TOPIC + _digest(f"{key.tenant}\0{key.topic}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
