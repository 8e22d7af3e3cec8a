"""The recording of publications in a test (`realtime.testing.published`), which replaces sending them."""

from typing import Protocol

from realtime.core.history import Draft
from realtime.core.position import Position
from realtime.core.topics import TopicKey


class Recording(Protocol):
    """Takes publications that were checked and encoded."""

    def add(self, key: TopicKey, draft: Draft) -> Position:
        """Record a publication; return its position."""
        ...

    def add_on_commit(self, key: TopicKey, draft: Draft, using: str | None) -> Position | None:
        """Record it with the commit of the transaction of `using`, and return None; without one, as `add`."""
        ...


class _Current:
    recording: Recording | None = None


def current_recording() -> Recording | None:
    """Return the recording that is under way; None outside of tests."""
    return _Current.recording


def record(recording: Recording | None) -> None:
    """Begin a recording, or end the one that is under way (None)."""
    _Current.recording = recording
