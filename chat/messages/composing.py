"""What a message needs besides the database's locks: the names in its text, and its HTML.

All this is made before the transaction, in which rooms are locked: hard Markdown takes tens of milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chat import sql, wire
from chat.batches import MessageDraft
from chat.rendering.markdown import HERE, names_mentioned, render
from chat.rows import grouped
from chat.text import TEXT_MAX_CHARS, trimmed
from realtime import Tenant, current_node

# Members whom `@room` or `@here` mentions; if there are more, the name is only text.
ROOM_MENTIONS_MAX = 500
# Users whom one message mentions by name; further names are only text.
MENTIONS_MAX = 50
# Seconds that a database thread waits for the event loop to say who is present.
PRESENT_TIMEOUT_S = 5.0

# User ids by name in lower case.
People = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Composed:
    """The names in a text, and its HTML.

    `people` are the members of the room for whom the names stand in the HTML. `present` are the users who follow the
    room, if the text says `@here`. Some may have left when the message is stored.
    """

    names: frozenset[str]
    html: str
    people: People
    present: frozenset[int] = frozenset()

    def html_of(self, text: str, people: People) -> str:
        """Return the HTML of the text; made again if only these `people` are left."""
        return self.html if self.people == people else render(text, people)


def composed(tenant: Tenant, room_id: int, text: str) -> Composed:
    """Compose one text."""
    return _composed([(tenant, room_id, text)])[0]


def composed_drafts(drafts: Sequence[MessageDraft]) -> list[Composed]:
    """Compose the texts of a batch. One query, if any of them may mention somebody."""
    return _composed([(draft.tenant, draft.room_id, draft.text) for draft in drafts])


def present_in(tenant: Tenant, room_id: int) -> frozenset[int]:
    """Return the users who follow a room at this moment. A process that serves no sockets knows of nobody."""
    node = current_node()
    if not node.serves_here:
        return frozenset()
    topic = wire.room_topic(room_id)
    asked = node.submit(node.present(topic, tenant=tenant.slug, limit=ROOM_MENTIONS_MAX))
    return frozenset(map(int, asked.result(PRESENT_TIMEOUT_S)))


def _composed(texts: Sequence[tuple[Tenant, int, str]]) -> list[Composed]:
    # A text that is too long is refused later.
    clean = [text if len(text := trimmed(given)) <= TEXT_MAX_CHARS else "" for _, _, given in texts]
    names = [frozenset(names_mentioned(text)) for text in clean]
    named = {room_id for (_, room_id, _), each in zip(texts, names, strict=True) if each}
    called = {name for each in names for name in sorted(each)[:MENTIONS_MAX]}
    rows = sql.run(sql.members_named(named, called))[0] if named else ()
    people = grouped((room_id, (name, user_id)) for room_id, user_id, name in rows)
    return [
        _compose(tenant, room_id, text, mentions, people[room_id])
        for (tenant, room_id, _), text, mentions in zip(texts, clean, names, strict=True)
    ]


def _compose(
    tenant: Tenant, room_id: int, text: str, names: frozenset[str], found: Sequence[tuple[str, int]]
) -> Composed:
    people = {name: user_id for name, user_id in found if name in names}
    present = present_in(tenant, room_id) if HERE in names else frozenset()
    return Composed(names, render(text, people) if text else "", people, present)
