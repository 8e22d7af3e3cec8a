"""Which epoch a topic begins under. That no position is ever given twice: tests/engine/test_epochs.py."""

from itertools import count

import pytest

from realtime.core import epochs
from realtime.core.epochs import Epochs


def made() -> Epochs:
    numbers = count()
    return Epochs("store", lambda: f"fresh{next(numbers)}")


def test_topics_begin_under_the_stores_epoch() -> None:
    assert {made().beginning(name) for name in ("a", "ü", "x" * 255)} == {"store"}


def test_a_forgotten_topic_begins_under_another_each_time() -> None:
    all_epochs = made()
    seen = ["store"]
    for _ in range(10):
        all_epochs.forget("a", seen[-1])
        assert all_epochs.beginning("a") not in seen
        seen.append(all_epochs.beginning("a"))


def test_who_waits_on_other_topics_does_not_notice() -> None:
    all_epochs = made()
    for number in range(5000):
        all_epochs.forget(f"spam{number}", all_epochs.beginning(f"spam{number}"))
    names = [f"room:{number}" for number in range(2000)]
    assert sum(all_epochs.beginning(name) != "store" for name in names) <= 1


def test_a_full_filter_begins_all_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "MAX_FORGOTTEN", 3)
    all_epochs = made()
    for name in ("a", "b", "c"):
        all_epochs.forget(name, "store")
    assert all_epochs.beginning("other") == "store"
    before = all_epochs.beginning("a")
    all_epochs.forget("d", "store")
    now = {all_epochs.beginning(name) for name in ("a", "b", "c", "d", "other")}
    assert len(now) == 1
    assert not now & {"store", before}
