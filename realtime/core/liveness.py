"""Which nodes are alive, judged by their beats. Times are monotonic seconds."""

from dataclasses import dataclass

from realtime.core.figures import Figures

SILENT_BEATS = 3


@dataclass(frozen=True, slots=True)
class NodeState:
    """The last report of a node about itself. `started` is ISO 8601 in UTC."""

    node: str
    started: str
    figures: Figures


@dataclass(slots=True)
class _Heard:
    state: NodeState
    heard_s: float
    # Heard before this node was deaf, and not since.
    is_old: bool = False


class Nodes:
    """The nodes, which beat every `beat_s` seconds. A node that is silent for three beats is gone.

    A node must also hear its own beats. If it does not, because it was suspended or the broker is
    unreachable, it cannot hear the others either, so it drops none of them.
    """

    def __init__(self, own: str, beat_s: float) -> None:
        self._own = own
        self._beat_s = beat_s
        self._heard: dict[str, _Heard] = {}

    def heard(self, state: NodeState, now_s: float) -> bool:
        """Record a beat; True if the node was not known."""
        known = self._heard.get(state.node)
        if state.node == self._own and known is not None and self._is_deaf(now_s):
            # The beats of the others were lost in the same time.
            for other in self._heard.values():
                other.heard_s = now_s
                other.is_old = True
        self._heard[state.node] = _Heard(state, now_s)
        return known is None

    def knows(self, node: str) -> bool:
        """Whether `node` is known and has not been dropped."""
        return node in self._heard

    def forget(self, node: str) -> tuple[NodeState, float] | None:
        """Forget a node that has stopped; returns its last state and the time of it, or None if it was not
        known."""
        heard = self._heard.pop(node, None)
        return (heard.state, heard.heard_s) if heard is not None else None

    def drop_silent(self, now_s: float) -> list[tuple[NodeState, float]]:
        """Forget the other nodes that have been silent too long; returns each with the time
        of its last beat."""
        if self._is_deaf(now_s):
            return []
        limit_s = self._beat_s * SILENT_BEATS
        silent = [
            (heard.state, heard.heard_s) for heard in self._heard.values() if now_s - heard.heard_s > limit_s
        ]
        for state, _ in silent:
            del self._heard[state.node]
        return silent

    def states(self) -> list[NodeState]:
        """All nodes that are alive, including this one, ordered by id."""
        return [heard.state for _, heard in sorted(self._heard.items())]

    def current(self, now_s: float) -> set[str]:
        """Return the nodes whose last beat has just come: none while this node hears nothing, not even itself."""
        return (
            set()
            if self._is_deaf(now_s)
            else {node for node, heard in list(self._heard.items()) if not heard.is_old}
        )

    def ages_s(self, now_s: float) -> dict[str, float]:
        """Return the seconds since the last beat of each node."""
        return {node: now_s - heard.heard_s for node, heard in self._heard.items()}

    def _is_deaf(self, now_s: float) -> bool:
        own = self._heard.get(self._own)
        return own is None or now_s - own.heard_s > self._beat_s * 2
