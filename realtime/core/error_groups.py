"""The last errors of a process in groups: errors with the same code, verb, exception, tenant and route are one group.

A flood of one error fills one group, so that it does not push the others out.
"""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

# Groups of a process, and of the list that operators see. The one that was seen least recently goes first.
GROUPS_MAX = 500

Kind = tuple[str, str, str, str, str]


class ErrorGroup(msgspec.Struct, array_like=True):
    """Errors of one kind. Times are Unix time in seconds.

    `verb` is the type of the request ("" if it is not known), `exception` the class of what was raised, if it was
    not raised as an answer to the client. `connection_id` is that of the last one: it is in the log lines.
    """

    code: str
    verb: str
    exception: str
    tenant: str
    route: str
    count: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    connection_id: str = ""

    @property
    def kind(self) -> Kind:
        """Return the fields that all errors of the group share."""
        return self.code, self.verb, self.exception, self.tenant, self.route

    def add(self, other: "ErrorGroup") -> None:
        """Add a group of the same kind, of another node."""
        self.count += other.count
        self.first_s = min(self.first_s, other.first_s)
        if other.last_s > self.last_s:
            self.last_s, self.connection_id = other.last_s, other.connection_id


class ErrorGroups:
    """The errors of one process, in at most `groups_max` groups."""

    def __init__(self, groups_max: int = GROUPS_MAX) -> None:
        self._groups_max = groups_max
        # The group that was seen least recently comes first.
        self._groups: OrderedDict[Kind, ErrorGroup] = OrderedDict()

    def add(self, kind: Kind, connection_id: str, now_s: float) -> None:
        """Count an error."""
        group = self._groups.get(kind)
        if group is None:
            group = self._groups[kind] = ErrorGroup(*kind, first_s=now_s)
            if len(self._groups) > self._groups_max:
                self._groups.popitem(last=False)
        else:
            self._groups.move_to_end(kind)
        group.count += 1
        group.last_s, group.connection_id = now_s, connection_id

    def groups(self, tenant: str | None = None) -> list[ErrorGroup]:
        """Return the groups of a tenant or of all (None), the one that was seen last first."""
        return [each for each in reversed(self._groups.values()) if tenant in {None, each.tenant}]


def merged(groups: Iterable[ErrorGroup], limit: int = GROUPS_MAX) -> list[ErrorGroup]:
    """Return the groups of several nodes as one list, the one that was seen last first."""
    by_kind: dict[Kind, ErrorGroup] = {}
    for group in groups:
        known = by_kind.setdefault(group.kind, group)
        if known is not group:
            known.add(group)
    return sorted(by_kind.values(), key=lambda group: group.last_s, reverse=True)[:limit]
