"""The histories of one tenant's topics, under common bounds; other tenants are not affected."""

from collections import OrderedDict

from realtime.core.epochs import Epochs
from realtime.core.history import Entry, Position, Publication, TopicHistory
from realtime.core.used_keys import UsedKeys


class TenantHistory:
    """Topics by name. Times are monotonic seconds; a bound of 0 is switched off.

    Publications are dropped one at a time, each in constant time: the oldest of their topic (too many, too
    old, too many bytes), or the oldest of the tenant. Forgetting a whole topic ends its epoch.
    """

    def __init__(self, epochs: Epochs, used_keys: UsedKeys, *, topic_bytes: int) -> None:
        self.used_keys = used_keys
        self.size_bytes = 0
        self._epochs = epochs
        self._topic_bytes = topic_bytes
        # The least recently used first.
        self._topics: OrderedDict[str, TopicHistory] = OrderedDict()
        # The topics that hold publications, in the order in which `sweep` visits them.
        self._filled: OrderedDict[str, TopicHistory] = OrderedDict()
        # Every publication by its number, oldest first: the oldest of all is the oldest of its topic too.
        self._order: OrderedDict[int, TopicHistory] = OrderedDict()
        self._number = 0

    def __len__(self) -> int:
        return len(self._topics)

    @property
    def publications(self) -> int:
        """The number of stored publications."""
        return len(self._order)

    def topic(self, name: str) -> TopicHistory:
        """The topic to publish to; it is made if it is not known."""
        topic = self._topics.get(name)
        if topic is None:
            epoch = self._epochs.beginning(name)
            topic = self._topics[name] = TopicHistory(name, epoch, max_bytes=self._topic_bytes)
        return topic

    def add(self, topic: TopicHistory, publication: Publication, now_s: float) -> None:
        """Store the next publication of a topic that `topic` returned."""
        self._topics.move_to_end(topic.name)
        self._number += 1
        topic.add(Entry(publication, now_s, self._number))
        self._order[self._number] = topic
        self._filled.setdefault(topic.name, topic)
        self.size_bytes += publication.size_bytes
        while topic.has_excess(now_s):
            self._drop_oldest_of(topic)

    def position(self, name: str) -> Position:
        """The topic's current position."""
        topic = self._topics.get(name)
        if topic is None:
            return Position(self._epochs.beginning(name), 0)
        self._topics.move_to_end(name)
        return topic.position

    def readable(self, name: str, now_s: float) -> TopicHistory | None:
        """The topic to read from, after dropping what is too old; None if it is not known."""
        topic = self._topics.get(name)
        if topic is not None:
            self._topics.move_to_end(name)
            while topic.has_excess(now_s):
                self._drop_oldest_of(topic)
        return topic

    def drop_oldest(self) -> None:
        """Drop the tenant's oldest publication, which must exist."""
        self._drop_oldest_of(next(iter(self._order.values())))

    def forget_topic(self) -> None:
        """Forget the least recently used topic, which must exist."""
        name, topic = self._topics.popitem(last=False)
        while len(topic):
            self._drop_oldest_of(topic)
        self._epochs.forget(name, topic.epoch)

    def sweep(self, now_s: float, work: int) -> int:
        """Drop what is too old, topics and keys in turn; returns the steps taken, about `2
        * work` at most."""
        done = 0
        for _ in range(min(work, len(self._filled))):
            name, topic = next(iter(self._filled.items()))
            self._filled.move_to_end(name)
            done += 1
            while done < work and topic.has_excess(now_s):
                self._drop_oldest_of(topic)
                done += 1
            if done >= work:
                break
        return done + self.used_keys.sweep(now_s, work)

    def _drop_oldest_of(self, topic: TopicHistory) -> None:
        entry = topic.take_oldest()
        del self._order[entry.number]
        self.size_bytes -= entry.publication.size_bytes
        if not len(topic):
            del self._filled[topic.name]
