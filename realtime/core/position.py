"""The position of a client, a node or a topic."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a topic: `offset` publications have been made since `epoch` began."""

    epoch: str
    offset: int
