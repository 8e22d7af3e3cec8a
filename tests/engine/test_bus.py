"""The contract of `Bus`, over every engine."""

import asyncio

import pytest

from tests.engine.conftest import Node

Nodes = tuple[Node, Node]


async def settle(sender: Node, *others: Node) -> None:
    """Wait until all that was sent before has arrived: a last message goes the same way."""
    for node in (sender, *others):
        await node.bus.join("settled")
    counts = [len(node.received) for node in (sender, *others)]
    await sender.bus.send("settled", b"", to_self=True)
    for node, count in zip((sender, *others), counts, strict=True):
        while ("settled", b"") not in node.received[count:]:
            await node.receives(len(node.received) + 1)
        node.received.remove(("settled", b""))


async def test_the_other_nodes_of_a_group_receive_and_the_sender_does_not(nodes: Nodes) -> None:
    one, two = nodes
    await one.bus.join("group")
    await two.bus.join("group")
    await one.bus.send("group", b"hello")
    await two.bus.send("group", b"hello back")
    await settle(one, two)
    assert one.received == [("group", b"hello back")]
    assert two.received == [("group", b"hello")]


async def test_the_sender_receives_what_it_asks_for(nodes: Nodes) -> None:
    one, two = nodes
    await one.bus.join("group")
    await two.bus.join("group")
    await one.bus.send("group", b"beat", to_self=True)
    assert await one.receives(1) == [("group", b"beat")]
    assert await two.receives(1) == [("group", b"beat")]


async def test_only_the_groups_joined_are_received(nodes: Nodes) -> None:
    one, two = nodes
    await one.bus.join("a")
    await two.bus.join("b")
    await two.bus.send("a", b"1")
    await one.bus.send("b", b"2")
    await two.bus.send("c", b"3")
    await settle(one, two)
    await settle(two, one)
    assert one.received == [("a", b"1")]
    assert two.received == [("b", b"2")]


async def test_what_is_sent_after_joining_is_received_at_once(nodes: Nodes) -> None:
    one, two = nodes
    for number in range(50):
        await one.bus.join(f"g{number}")
        await two.bus.send(f"g{number}", b"x")
    assert [group for group, _ in await one.receives(50)] == [f"g{number}" for number in range(50)]


async def test_messages_of_a_node_keep_their_order(nodes: Nodes) -> None:
    one, two = nodes
    await one.bus.join("group")
    await two.bus.join("group")
    bodies = [str(number).encode() for number in range(300)]
    for body in bodies[:100]:
        await one.bus.send("group", body)
    await asyncio.gather(*(one.bus.send("group", body) for body in bodies[100:]))
    assert [body for _, body in await two.receives(300)] == bodies
    await settle(one)
    assert one.received == []


async def test_nothing_is_received_after_leaving(nodes: Nodes) -> None:
    one, two = nodes
    await one.bus.join("group")
    await two.bus.join("group")
    await one.bus.leave("group")
    await two.bus.send("group", b"late", to_self=True)
    await settle(two, one)
    assert one.received == []
    assert two.received == [("group", b"late")]


async def test_joining_and_leaving_twice_is_once(nodes: Nodes) -> None:
    one, two = nodes
    await one.bus.leave("group")
    await one.bus.join("group")
    await one.bus.join("group")
    await two.bus.send("group", b"1")
    await settle(two, one)
    assert one.received == [("group", b"1")]
    await one.bus.leave("group")
    await one.bus.leave("group")
    await two.bus.send("group", b"2")
    await settle(two, one)
    assert one.received == [("group", b"1")]


@pytest.mark.parametrize("last", ["join", "leave"])
async def test_the_last_word_holds_however_quickly_it_changes(nodes: Nodes, last: str) -> None:
    one, two = nodes
    words = ["join", "leave"] * 10 + (["join"] if last == "join" else [])
    await asyncio.gather(*(getattr(one.bus, word)("group") for word in words))
    await two.bus.send("group", b"x")
    await settle(two, one)
    assert one.received == ([("group", b"x")] if last == "join" else [])


async def test_a_megabyte_is_carried(nodes: Nodes) -> None:
    one, two = nodes
    body = bytes(range(256)) * 4096
    await two.bus.join("group")
    await one.bus.send("group", body)
    assert await two.receives(1) == [("group", body)]


async def test_group_names_may_have_99_characters(nodes: Nodes) -> None:
    one, two = nodes
    group = "aZ09.-_" + "x" * 92
    await one.bus.join(group)
    await two.bus.send(group, b"")
    assert await one.receives(1) == [(group, b"")]


async def test_a_stopped_bus_receives_nothing_and_may_start_again(nodes: Nodes) -> None:
    one, two = nodes
    await one.bus.join("group")
    await two.bus.join("group")
    await one.bus.stop()
    await two.bus.send("group", b"1", to_self=True)
    await two.receives(1)
    await one.bus.start(one.receive)
    await two.bus.send("group", b"2", to_self=True)
    await two.receives(2)
    await one.bus.join("group")
    await two.bus.send("group", b"3")
    assert await one.receives(1) == [("group", b"3")]
