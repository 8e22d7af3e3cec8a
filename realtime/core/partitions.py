"""Partitions: every key and channel belongs to one, and all of a partition lie on one server of a cluster.

A cluster divides names into 16,384 slots by a checksum of what stands in braces, the hash tag. Each partition has a
tag of its own. The tags of 128 partitions are spread over the slots evenly, and so over the servers.
"""

from binascii import crc_hqx
from functools import lru_cache

SLOTS = 16_384
CLUSTER_PARTITIONS = 128


def slot_of(name: bytes) -> int:
    """Return the slot of a name without a hash tag, or of the hash tag itself (Redis Cluster specification: CRC-16)."""
    return crc_hqx(name, 0) % SLOTS


@lru_cache
def tags(partitions: int) -> tuple[str, ...]:
    """Return the hash tag of each partition, short, and each in its own stretch of the slots.

    `partitions` is a power of two, up to SLOTS.
    """
    width = SLOTS // partitions
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        tag = str(number)
        found.setdefault(slot_of(tag.encode()) // width, tag)
        number += 1
    return tuple(found[at] for at in range(partitions))
