"""When each topic of a hub is compared with its history: one in use often, one that has long been quiet seldom.

Quiet topics are kept in the order in which they were compared, so that finding those that are due costs nothing for
the others: there may be 100,000.
"""

from collections.abc import Iterable

from realtime.core.topics import TopicKey
from realtime.topics.local_topic import LocalTopic

# Seconds between two comparisons of a topic in use, and of one on which nothing was published for QUIET_S.
ACTIVE_S = 5.0
QUIET_S = 60.0


class Comparisons:
    """Used only on the event loop of its hub. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._active: dict[TopicKey, LocalTopic] = {}
        # The one that was compared the longest time ago comes first.
        self._quiet: dict[TopicKey, LocalTopic] = {}

    def add(self, local: LocalTopic) -> None:
        """Compare this topic from now on. One without a history has nothing to be compared with."""
        if local.retention.size:
            self._active[local.key] = local

    def remove(self, local: LocalTopic) -> None:
        """Compare it no more."""
        self._active.pop(local.key, None)
        self._quiet.pop(local.key, None)

    def used(self, local: LocalTopic, now_s: float) -> None:
        """Something was published to the topic, or it must be compared again soon."""
        local.active_s = now_s
        if local.is_quiet:
            local.is_quiet = False
            if self._quiet.pop(local.key, None) is local:
                self._active[local.key] = local

    def compared(self, local: LocalTopic, now_s: float) -> None:
        """The topic was compared just now."""
        local.compared_s = now_s
        kept = self._quiet if local.is_quiet else self._active
        if now_s - local.active_s > QUIET_S and kept.pop(local.key, None) is local:
            local.is_quiet = True
            self._quiet[local.key] = local

    def due(self, now_s: float) -> list[LocalTopic]:
        """Return the topics whose time has come."""
        due = [each for each in self._active.values() if each.is_open and now_s - each.compared_s >= ACTIVE_S]
        due += _first_due(self._quiet.values(), now_s)
        return due


def _first_due(quiet: Iterable[LocalTopic], now_s: float) -> Iterable[LocalTopic]:
    for each in quiet:
        if now_s - each.compared_s < QUIET_S:
            return
        yield each
