"""What a message needs besides the database's locks: the names in its text, and its HTML.

All this is made before the transaction, in which rooms are locked: hard Markdown takes tens of milliseconds.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from chat import sql, wire
from chat.rendering.markdown import HERE, ROOM, names_mentioned, render
from chat.rows import grouped
from chat.text import TEXT_MAX_CHARS, trimmed
from realtime import Tenant, UserId, current_node

# Members whom `@room` or `@here` mentions; if there are more, the name is only text.
ROOM_MENTIONS_MAX = 500
# Users whom one message mentions by name; further names are only text.
MENTIONS_MAX = 50
# Seconds that a database thread waits for the event loop to say who is present.
PRESENT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Composed:
    """The names in a text, and its HTML.

    `people` are the members of the room, by name, for whom the names stand in the HTML. `groups` are the users for whom
    `room` and `here` stand in it: nobody else than the sender, or too many, and the name is text. Some may have left when
    the message is stored.
    """

    names: frozenset[str]
    html: str
    people: Mapping[str, int]
    groups: Mapping[str, Collection[int]]

    @property
    def named(self) -> set[int]:
        """The users who may be mentioned."""
        return set(self.people.values()).union(*self.groups.values())

    def settled(
        self,
        text: str,
        author_id: UserId | None,
        is_member: Callable[[int], bool],
        *,
        here: Collection[int] | None = None,
    ) -> tuple[str, list[int]]:
        """Return the HTML and the sorted ids of the members that are mentioned, without the author.

        `here` are the users for whom `@here` stands, if they are not those present.
        """
        if not self.names:
            return self.html, []
        people = {name: each for name, each in self.people.items() if is_member(each)}
        ids = {people[name] for name in sorted(self.names)[:MENTIONS_MAX] if name in people}
        groups: dict[str, set[int]] = {}
        for name, users in (self.groups if here is None else {**self.groups, HERE: here}).items():
            if others := set(filter(is_member, users)) - {author_id}:
                groups[name] = others
        is_same = people == self.people and groups.keys() == self.groups.keys()
        html = self.html if is_same else _html(text, people, groups)
        return html, sorted(ids.union(*groups.values()) - {author_id})


def composed(texts: Sequence[tuple[Tenant, int, UserId, str]]) -> list[Composed]:
    """Compose texts: (tenant, room, sender, text).

    A query if any may mention somebody, and one for each room of which all are mentioned.
    """
    # A text that is too long is refused later.
    clean = [text if len(text := trimmed(given)) <= TEXT_MAX_CHARS else "" for *_, given in texts]
    names = [frozenset(names_mentioned(text)) for text in clean]
    named = {room_id for (_, room_id, *_), each in zip(texts, names, strict=True) if each}
    called = {name for each in names for name in sorted(each)[:MENTIONS_MAX]}
    asked = {room_id for (_, room_id, *_), each in zip(texts, names, strict=True) if ROOM in each}
    all_of = [sql.members_of(room_id, ROOM_MENTIONS_MAX + 1) for room_id in asked]
    rows, *inside = sql.run(sql.members_named(named, called), *all_of) if named else [[]]
    members = grouped((room_id, (user_id, name)) for room_id, user_id, name in rows)
    everyone = grouped((room_id, user_id) for rows in inside for room_id, user_id in rows)
    found: list[Composed] = []
    for (tenant, room_id, user_id, _), text, mentions in zip(texts, clean, names, strict=True):
        # Of names that differ in case the one that is written so, or else the oldest, comes last and stays.
        alike = sorted(members[room_id], key=lambda each: (f"@{each[1]}" in text, -each[0]))
        people = {name.lower(): member_id for member_id, name in alike if name.lower() in mentions}
        groups: dict[str, Collection[int]] = {}
        if ROOM in mentions and len(everyone[room_id]) <= ROOM_MENTIONS_MAX:
            groups[ROOM] = everyone[room_id]
        if HERE in mentions:
            groups[HERE] = present_in(tenant, room_id)
        groups = {name: users for name, users in groups.items() if set(users) - {user_id}}
        found.append(Composed(mentions, _html(text, people, groups), people, groups))
    return found


def present_in(tenant: Tenant, room_id: int) -> frozenset[int]:
    """Return the users who follow a room at this moment; nobody if they are more than ROOM_MENTIONS_MAX.

    A process that serves no sockets knows of nobody.
    """
    node = current_node()
    if not node.serves_here:
        return frozenset()
    topic = wire.room_topic(room_id)

    async def ask() -> frozenset[int]:
        if await node.present_count(topic, tenant=tenant.slug) > ROOM_MENTIONS_MAX:
            return frozenset()
        return frozenset(map(int, await node.present(topic, tenant=tenant.slug, limit=ROOM_MENTIONS_MAX)))

    return node.submit(ask()).result(PRESENT_TIMEOUT_S)


def _html(text: str, people: Mapping[str, int], groups: Mapping[str, Collection[int]]) -> str:
    return render(text, people, groups) if text else ""
