"""What the watchers of a topic's presence are sent: the changes to the list they have, or a count.

Watchers with the same knowledge share one push. Signed-in watchers get lists of up to LIST_MAX_USERS users.
Above that they get a count, as watchers who are not signed in always do.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from realtime.core.identity import UserId
from realtime.core.presence_table import PresentUser, by_username

# Above this many users, watchers get only their number.
LIST_MAX_USERS = 200
# Counts are pushed at most this often, in seconds.
COUNT_INTERVAL_S = 1.0
# When lists are replaced by a count, up to this many of their users are remembered. Above it they are
# forgotten, as the protocol tells clients to do.
MAX_FORMER_USERS = 1_000

W = TypeVar("W", bound=Hashable)
Users = Mapping[UserId, PresentUser]


@dataclass(frozen=True, slots=True)
class Roster:
    """The users in a topic at one moment, ordered by username. `users` is None above LIST_MAX_USERS."""

    count: int
    users: Users | None


@dataclass(eq=False, slots=True)
class Group(Generic[W]):
    """Watchers with the same knowledge: `users` if they keep a list, `count` if they get counts.

    `version` says which roster the list came from. Watchers that get counts instead of a
    list may still have `users`.
    """

    members: dict[W, None] = field(default_factory=dict)
    users: Users = field(default_factory=dict)
    count: int | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Push(Generic[W]):
    """One push to those of `to` that are still in `group` when it is delivered.

    With a `count` it holds only that. Otherwise it holds the changes from `before` to `after`. With
    `is_whole`, `joined` names all of `after`, for clients that had no list.
    """

    group: Group[W]
    to: list[W]
    before: Users
    after: Users
    count: int | None = None
    is_whole: bool = False

    def payload(self) -> dict[str, Any] | None:
        """The push's payload without the topic; None if nothing has changed."""
        if self.count is not None:
            return {"count": self.count}
        joined = [user for id_, user in self.after.items() if self.is_whole or id_ not in self.before]
        left = by_username(
            user._replace(connections=0) for id_, user in self.before.items() if id_ not in self.after
        )
        if not joined and not left and not self.is_whole:
            return None
        return {"joined": [user._asdict() for user in joined], "left": [user._asdict() for user in left]}


class Watchers(Generic[W]):
    """The watchers of one topic, and what they know. Times are in monotonic seconds."""

    __slots__ = ("_counted", "_counts_due_s", "_fresh", "_group_of", "_listed", "_strangers")

    def __init__(self) -> None:
        self._group_of: dict[W, Group[W]] = {}
        # Watchers who are not signed in; signed-in ones that get counts; signed-in ones with a list.
        self._strangers: Group[W] = Group()
        self._counted: Group[W] = Group()
        self._listed: Group[W] = Group()
        # Groups that got their list after the last push, in order of its version.
        self._fresh: dict[Group[W], None] = {}
        self._counts_due_s = 0.0

    def __len__(self) -> int:
        return len(self._group_of)

    def watch(self, watcher: W, roster: Roster, version: int, *, is_named: bool) -> None:
        """Send `watcher` the changes to `roster`, which the caller is giving to it. May be called again.

        `version` identifies the roster: while it is the same, no user has joined or left.
        `is_named`: it may see names.
        """
        before = self._group_of.get(watcher)
        self.forget(watcher)
        if is_named and roster.users is not None:
            self._add(self._fresh_group(roster.users, version), watcher)
            return
        group = self._counted if is_named else self._strangers
        if group is before or (group.members and group.count != roster.count):
            # An older count may be on its way to the watcher, or members know different
            # counts: send the next to all.
            group.count = None
        elif not group.members:
            # A group of its own: an older count may be on its way to a watcher that left it and comes back.
            group = Group(count=roster.count)
            if is_named:
                self._counted = group
            else:
                self._strangers = group
        self._add(group, watcher)

    def forget(self, watcher: W) -> None:
        """Stop sending to `watcher`."""
        group = self._group_of.pop(watcher, None)
        if group is None:
            return
        del group.members[watcher]
        if not group.members:
            self._fresh.pop(group, None)

    def is_in(self, watcher: W, group: Group[W]) -> bool:
        """Whether `watcher` is still in `group`; it may have left, or have been given a newer roster."""
        return self._group_of.get(watcher) is group

    def pushes(self, roster: Roster, now_s: float) -> list[Push[W]]:
        """The pushes that are due, in order. They are recorded as sent: deliver them before calling again."""
        pushes: list[Push[W]] = []
        is_count_due = now_s >= self._counts_due_s
        if roster.users is not None:
            pushes += self._differences(roster.users)
        elif is_count_due:
            # Only when a count may be sent: until then, watchers can still get changes to their lists.
            self._give_up_lists()
        if is_count_due:
            counts = self._counts(roster)
            if counts:
                self._counts_due_s = now_s + COUNT_INTERVAL_S
            pushes += counts
        return pushes

    def has_more(self, roster: Roster) -> bool:
        """Whether a push is held back until counts may be sent again."""
        if self._strangers.members and self._strangers.count != roster.count:
            return True
        if roster.users is not None:
            return bool(self._counted.members)
        if self._listed.members or self._fresh:
            return True
        return bool(self._counted.members) and self._counted.count != roster.count

    def _differences(self, users: Users) -> list[Push[W]]:
        groups, self._fresh = [self._listed, *self._fresh], {}
        pushes = []
        for group in groups:
            if group.members:
                pushes.append(Push(self._listed, list(group.members), group.users, users))
            if group is not self._listed:
                self._move(group, self._listed)
        self._listed.users = users
        return pushes

    def _give_up_lists(self) -> None:
        if not self._listed.members and not self._fresh:
            return
        former = dict(self._counted.users)
        for group in (self._listed, *self._fresh):
            if group.members:
                former.update(group.users)
                self._counted.count = None
                self._move(group, self._counted)
        self._fresh = {}
        self._listed.users = {}
        self._counted.users = former if len(former) <= MAX_FORMER_USERS else {}

    def _counts(self, roster: Roster) -> list[Push[W]]:
        pushes = []
        counted, strangers = self._counted, self._strangers
        if roster.users is not None:
            if counted.members:
                pushes.append(
                    Push(self._listed, list(counted.members), counted.users, roster.users, is_whole=True)
                )
                self._move(counted, self._listed)
            counted.users = {}
            groups = [strangers]
        else:
            groups = [counted, strangers]
        for group in groups:
            if group.members and group.count != roster.count:
                group.count = roster.count
                pushes.append(Push(group, list(group.members), {}, {}, roster.count))
        return pushes

    def _fresh_group(self, users: Users, version: int) -> Group[W]:
        newest = next(reversed(self._fresh), None)
        if newest is None or newest.version != version:
            newest = Group(users=users, version=version)
            self._fresh[newest] = None
        return newest

    def _add(self, group: Group[W], watcher: W) -> None:
        group.members[watcher] = None
        self._group_of[watcher] = group

    def _move(self, group: Group[W], to: Group[W]) -> None:
        members, group.members = group.members, {}
        for watcher in members:
            self._add(to, watcher)
