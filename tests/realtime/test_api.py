"""The public face: data is encoded by the call that publishes it."""

from typing import Any

import msgspec
import pytest

from realtime import api
from realtime.core.history import Position
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.ports import Draft

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Draft]:
    drafts: list[Draft] = []

    def publish(tenant: str, topic: str, draft: Draft) -> Position:
        drafts.append(draft)
        return Position("e", len(drafts))

    monkeypatch.setattr(api, "_publish", publish)
    return drafts


def test_in_a_transaction_the_data_is_that_of_the_call(
    published: list[Draft], django_capture_on_commit_callbacks: Any
) -> None:
    order = {"state": "new"}
    with django_capture_on_commit_callbacks(execute=True):
        assert api.publish("news", order, tenant="acme") is None
        order["state"] = "changed afterwards"
        assert published == []
    assert [msgspec.json.decode(draft.data) for draft in published] == [{"state": "new"}]


@pytest.mark.parametrize("data", [{"at": object()}, {"at": float("nan")}, {"at": "\ud800"}])
def test_what_json_cannot_hold_fails_the_call_and_not_the_commit(
    published: list[Draft], django_capture_on_commit_callbacks: Any, data: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks, pytest.raises(RequestError) as caught:
        api.publish("news", data, tenant="acme")
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert caught.value.details == {"field": "payload.data.at"}
    assert published == callbacks == []
