"""What was really published, beside what a history says of it."""

from collections import defaultdict

import msgspec

from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import History

EVERYTHING = 10_000


class Truth:
    """Publishes and reads, and fails where a position names two places or a page is not what came after it."""

    def __init__(self) -> None:
        self.logs: dict[TopicKey, list[int]] = defaultdict(list)
        # Every position that was ever given out, with how many publications there had been.
        self.given: dict[TopicKey, dict[Position, int]] = defaultdict(dict)
        self.recovered = 0
        self.refused = 0
        self._number = 0

    async def publish(
        self, history: History, key: TopicKey, retention: Retention, *, padding_bytes: int = 0
    ) -> None:
        """One more publication, unlike all others."""
        self._number += 1
        data = [self._number, "x" * padding_bytes]
        added = await history.add(key, make_draft(key.topic, data, time=""), retention)
        assert added.position not in self.given[key], "an offset was given twice under one epoch"
        self.logs[key].append(self._number)
        self._saw(key, added.position)

    async def look(self, history: History, key: TopicKey) -> None:
        """Ask where the topic is, in both ways."""
        self._saw(key, await history.position(key))
        (position,) = await history.positions([key])
        self._saw(key, position)

    async def recover(self, history: History, key: TopicKey, position: Position) -> None:
        """A reader comes back who was at `position` once."""
        page = await history.since(key, position, EVERYTHING, 0)
        self._saw(key, page.position)
        if page.publications is None:
            self.refused += 1
            return
        self.recovered += 1
        numbers = [msgspec.json.decode(each.data)[0] for each in page.publications]
        assert numbers == self.logs[key][self.given[key][position] :], "a page that says it is whole is not"

    def _saw(self, key: TopicKey, position: Position) -> None:
        count = len(self.logs[key])
        assert self.given[key].setdefault(position, count) == count, "a position names two places"
