"""Errors that clients are answered with are kept in groups, with verb, exception and the connection to look for."""

import asyncio
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from realtime import (
    CORE_VERBS,
    Call,
    JsonConsumer,
    NoPayload,
    RealtimeConsumer,
    Reply,
    RpcConsumer,
    Verb,
    rpc_method,
)
from realtime.core.error_groups import ErrorGroup
from realtime.node.node import Node
from realtime.protocol.errors import forbidden
from realtime.sockets.metrics import HANDSHAKE
from tests.realtime.site import site_of


@rpc_method("divide")
def divide(call: Call, *, by: int) -> dict[str, Any]:
    return {"result": 1 // by}


@rpc_method("wait")
async def wait(call: Call) -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def on_guarded(call: Call, payload: NoPayload) -> Reply:
    raise PermissionDenied("Not yours.")


class Guarded(JsonConsumer):
    verbs = {**CORE_VERBS, "guarded": Verb(NoPayload, on_guarded)}


class Broken(RealtimeConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        raise LookupError("the inside")


def groups(node: Node) -> dict[str, ErrorGroup]:
    return {each.code: each for each in node.metrics.last_errors.groups()}


async def test_failures_of_methods_and_verbs_have_their_names() -> None:
    async with site_of(methods=[divide, wait], CALL_TIMEOUT_S=0.4) as site:
        rpc = await site.connect(RpcConsumer)
        connection_id = (await rpc.assert_push("welcome"))["connection_id"]
        for _ in range(2):
            await rpc.error("divide", {"by": 0})
        await rpc.error("wait")
        guarded = await site.connect(Guarded)
        await guarded.error("guarded")
        found = groups(site.node)
    internal = found["internal"]
    assert (internal.verb, internal.exception, internal.count) == ("divide", "ZeroDivisionError", 2)
    assert (internal.tenant, internal.route) == ("acme", "/ws/site/")
    assert internal.connection_id == connection_id
    assert 0 < internal.first_s <= internal.last_s
    assert (found["timeout"].verb, found["timeout"].exception) == ("wait", "")
    denied = found["permission_denied"]
    assert (denied.verb, denied.exception) == ("guarded", "django.core.exceptions.PermissionDenied")


@pytest.mark.parametrize("text", ["no JSON", '{"type": "made.up.1"}', '{"type": "made.up.2"}'])
async def test_a_client_cannot_name_a_group(text: str) -> None:
    async with site_of() as site:
        client = await site.connect(Guarded)
        await client.send_text(text)
        while (await client.receive())["type"] != "error":
            pass
        [group] = site.node.metrics.last_errors.groups()
    assert group.verb == ""


async def test_a_raw_endpoint_that_fails_and_a_refusal_are_there() -> None:
    async with site_of() as site:
        client = await site.connect(Broken)
        await client.send_text("hello")
        await client.receive()
        scope = {"type": "websocket", "connection_id": "c7"}
        site.node.observer.refused(scope, forbidden("origin_denied", "No."))
        found = groups(site.node)
    assert (found["internal"].verb, found["internal"].exception) == ("", "LookupError")
    refused = found["origin_denied"]
    assert (refused.verb, refused.tenant, refused.connection_id) == (HANDSHAKE, "-", "c7")
