"""Chooses the epoch under which a topic begins, so that no offset is used twice under one epoch."""

import hashlib
from collections.abc import Callable, Iterator

# A Bloom filter of 64 KiB. When it is full, 3 of 1,000 other names match by chance.
FILTER_BITS = 2**19
FILTER_HASHES = 4
MAX_FORGOTTEN = 32_768


class Epochs:
    """The epochs of one tenant's topics. `fresh` returns a new one at each call.

    Topics begin under one common epoch, so that its offset 0 is a valid position before the first
    publication. A topic that was forgotten must begin under another epoch, without an effect on other topics.
    So the names of forgotten topics are kept in a Bloom filter. Names found in it begin under a second epoch,
    which changes when a topic that used it is forgotten too. When the filter is full it is
    emptied, and both epochs change.
    """

    def __init__(self, epoch: str, fresh: Callable[[], str]) -> None:
        self._fresh = fresh
        self._epoch = epoch
        self._again = ""
        self._filter = bytearray()
        self._forgotten = 0

    def beginning(self, topic: str) -> str:
        """The epoch of a topic that is not known now, before its first publication and at it."""
        return self._again if self._forgotten and self._was_forgotten(topic) else self._epoch

    def forget(self, topic: str, epoch: str) -> None:
        """Record that a topic, which was at an offset above 0 of `epoch`, was forgotten."""
        if epoch == self._again or not self._again:
            self._again = self._fresh()
        if epoch != self._epoch:
            return
        if self._forgotten >= MAX_FORGOTTEN:
            self._epoch, self._again = self._fresh(), self._fresh()
            self._forgotten = 0
            return
        self._mark(topic)

    def _was_forgotten(self, topic: str) -> bool:
        return all(self._filter[bit >> 3] & 1 << (bit & 7) for bit in self._bits(topic))

    def _mark(self, topic: str) -> None:
        if not self._forgotten:
            self._filter = bytearray(FILTER_BITS // 8)
        self._forgotten += 1
        for bit in self._bits(topic):
            self._filter[bit >> 3] |= 1 << (bit & 7)

    def _bits(self, topic: str) -> Iterator[int]:
        name = topic.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, digest_size=4 * FILTER_HASHES, key=self._epoch.encode()[:64]).digest()
        for at in range(0, len(digest), 4):
            yield int.from_bytes(digest[at : at + 4], "little") % FILTER_BITS
