"""Partitions and their hash tags."""

from collections import Counter

import pytest

from realtime.core.partitions import SLOTS, slot_of, tags


@pytest.mark.parametrize(("name", "slot"), [(b"123456789", 12739), (b"foo", 12182), (b"", 0)])
def test_slots_are_those_of_a_cluster(name: bytes, slot: int) -> None:
    assert slot_of(name) == slot


@pytest.mark.parametrize("partitions", [1, 2, 128])
def test_each_tag_lies_in_a_stretch_of_its_own(partitions: int) -> None:
    width = SLOTS // partitions
    assert [slot_of(tag.encode()) // width for tag in tags(partitions)] == list(range(partitions))


def test_three_primaries_get_equal_shares() -> None:
    owners = Counter(slot_of(tag.encode()) * 3 // SLOTS for tag in tags(128))
    assert sorted(owners.values()) == [42, 43, 43]
