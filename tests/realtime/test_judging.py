"""A connection's rights are judged again: which of its subscriptions end."""

import asyncio

import pytest

from realtime.core.identity import Identity
from realtime.core.topics import TopicRule, TopicRules
from realtime.node.joining import Joined, Joiner, JoinRequest
from realtime.protocol.errors import ErrorCode, RequestError
from tests.realtime.followers import Follower, Node

ROOM = "room:1"


@pytest.fixture
async def node() -> Node:
    return Node()


async def test_what_cannot_be_judged_when_rights_shrink_ends_and_may_come_back(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is busy: the subscription with a gate in it ends, the other one stays."""
    follower = Follower()
    await node.join(follower, ROOM)
    await node.join(follower)

    async def busy(*args: object) -> None:
        raise RequestError(ErrorCode.TIMEOUT, "The database is busy.")

    monkeypatch.setattr(node.database, "run_for", busy)
    monkeypatch.setattr(node.database, "run", busy, raising=False)
    with pytest.raises(RequestError):
        await node.joiner.judge_again(follower)  # type: ignore[arg-type] # a fake
    assert set(follower.subscriptions) == {ROOM, "news"}
    await node.joiner.judge_again(follower, is_strict=True)  # type: ignore[arg-type] # a fake
    assert set(follower.subscriptions) == {"news"}
    assert follower.pushed[-1][1]["code"] == ErrorCode.UNRECOVERABLE_POSITION
    monkeypatch.undo()
    assert isinstance(await node.ask(follower, ROOM), Joined)


async def test_what_is_not_judged_in_time_ends_too(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `refresh` ends after a time, also if the database hangs; the rights that it gave up do not come back."""
    follower = Follower()
    await node.join(follower, ROOM)
    await node.join(follower)

    async def hangs(*args: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(node.database, "run_for", hangs)
    for is_strict, left in ((False, {ROOM, "news"}), (True, {"news"})):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await node.joiner.judge_again(follower, is_strict=is_strict)  # type: ignore[arg-type] # a fake
        assert set(follower.subscriptions) == left


async def test_a_gate_that_fails_when_rights_are_judged_again_has_not_allowed(node: Node) -> None:
    is_broken = False

    def gate(who: Identity | None, topic: str) -> bool:
        return 1 / 0 == 0 if is_broken else True

    joiner = Joiner(node.hub, TopicRules({"": TopicRule(subscribe=gate)}), node.database, 0)  # type: ignore[arg-type] # a fake
    follower = Follower()
    await joiner.join(follower, [JoinRequest("news", None, False), JoinRequest("sport", None, False)])  # type: ignore[arg-type] # a fake
    is_broken = True
    await joiner.judge_again(follower)  # type: ignore[arg-type] # a fake
    assert follower.subscriptions == {}
    assert [payload["code"] for _, payload in follower.pushed] == ["unrecoverable_position"] * 2
