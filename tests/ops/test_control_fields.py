"""Names of topics in the control endpoints: as on the wire, white space is part of them."""

import pytest
from rest_framework.serializers import Serializer

from realtime.rest.control.reads import ConnectionsQuery, HistoryQuery, TopicNamed, TopicsQuery
from realtime.rest.control.serializers import PublishValues

NAMES = [" ", " x ", "\u00a0x", "\u2028", "\u200bx"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("serializer", "field"),
    [
        (HistoryQuery, "topic"),
        (TopicNamed, "topic"),
        (ConnectionsQuery, "topic"),
        (TopicsQuery, "q"),
        (PublishValues, "topic"),
    ],
)
def test_white_space_is_part_of_a_name(serializer: type[Serializer[None]], field: str, name: str) -> None:
    asked = serializer(data={field: name, "data": 1})
    assert asked.is_valid(), asked.errors
    assert asked.validated_data[field] == name


@pytest.mark.parametrize("serializer", [HistoryQuery, TopicNamed, PublishValues])
@pytest.mark.parametrize("name", ["", "a\n", "x" * 256])
def test_names_that_no_topic_has_are_refused(serializer: type[Serializer[None]], name: str) -> None:
    asked = serializer(data={"topic": name, "data": 1})
    assert not asked.is_valid()
    assert list(asked.errors) == ["topic"]
