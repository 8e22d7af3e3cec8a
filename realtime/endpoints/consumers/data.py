"""Named database queries: pages of rows, then live changes if the query is watched."""

from typing import Annotated, Any

import msgspec

from realtime.endpoints import wire
from realtime.endpoints.consumers.base import JsonConsumer
from realtime.endpoints.consumers.core_verbs import CORE_VERBS
from realtime.endpoints.parameters import parameters_from
from realtime.endpoints.queries import LiveQuery
from realtime.endpoints.shared import endpoints_of
from realtime.endpoints.verbs import Call, Verb
from realtime.protocol.codec import encode_reply
from realtime.protocol.envelope import Reply
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.outbox import PreparedMessage

PAGE_DEFAULT_ROWS = 100
PAGE_MAX_ROWS = 500

Item = dict[str, Any]


class Query(msgspec.Struct, frozen=True):
    """Payload of `query`."""

    query: str
    params: dict[str, Any] = {}
    page_size: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX_ROWS)] = PAGE_DEFAULT_ROWS
    watch: bool = False


class Unwatch(msgspec.Struct, frozen=True):
    """Payload of `unwatch`."""

    query_id: str


async def on_query(call: Call["DataConsumer"], payload: Query) -> None:
    """Send all rows in pages, each with the request's id. If watched, changes follow."""
    query = endpoints_of(call.consumer.scope).registry.queries.get(payload.query)
    if query is None:
        raise RequestError(ErrorCode.NOT_FOUND, "No query has this name.", details={"field": "payload.query"})
    query.require(call.identity)
    parameters = parameters_from(query.parameters, payload.params, "payload.params")
    call.consumer.queries_asked += 1
    query_id = f"q{call.consumer.queries_asked}"
    if payload.watch:
        await _watched(call, query, parameters, payload.page_size, query_id)
    else:
        await _paged(call, query, parameters, payload.page_size, query_id)


async def on_unwatch(call: Call["DataConsumer"], payload: Unwatch) -> Reply:
    """Stop sending the changes of a query."""
    if not endpoints_of(call.consumer.scope).watches.unwatch(call.connection, payload.query_id):
        raise RequestError(ErrorCode.NOT_FOUND, "No query with this id is watched here.")
    return Reply("unwatched", {"query_id": payload.query_id})


def data_flat_form(message: Item) -> Item:
    """Turn the original guide's `{"category": "books"}` into the query `items` with these parameters."""
    if "type" in message or "category" not in message:
        return message
    params = {key: value for key, value in message.items() if key != "id"}
    return {"id": message.get("id"), "type": "query", "payload": {"query": "items", "params": params}}


class DataConsumer(JsonConsumer):
    """Registered queries for signed-in users."""

    # How many queries the connection has asked; numbers the next one.
    queries_asked = 0

    verbs = {
        **CORE_VERBS,
        # It sends its pages itself: their items are checked one by one.
        "query": Verb(Query, on_query, is_slow=True, reply="rows", returns=wire.Rows),
        "unwatch": Verb(Unwatch, on_unwatch, reply="unwatched", returns=wire.QueryName),
    }
    flat_form = staticmethod(data_flat_form)


async def _paged(call: Call, query: LiveQuery, parameters: msgspec.Struct, size: int, query_id: str) -> None:
    after: Any = None
    has_more = True
    while has_more:
        items, after = await call.in_db(query.page, call.tenant, call.identity, parameters, after, size)
        has_more = after is not None
        await call.connection.outbox.send(_rows(call, query_id, items, has_more=has_more))


async def _watched(
    call: Call[DataConsumer], query: LiveQuery, parameters: msgspec.Struct, size: int, query_id: str
) -> None:
    connection = call.connection
    watches = endpoints_of(call.consumer.scope).watches
    items = await watches.watch(connection, query_id, query, parameters)
    try:
        pages = [
            _rows(call, query_id, items[at : at + size], has_more=at + size < len(items))
            for at in range(0, max(len(items), 1), size)
        ]
    except Exception:
        # The client gets no name of a query that it could unwatch.
        watches.unwatch(connection, query_id)
        raise
    # All pages are queued without an await, so that no change is sent before its rows.
    for page in pages:
        connection.outbox.put(page)


def _rows(call: Call, query_id: str, items: list[Item], *, has_more: bool) -> PreparedMessage:
    page = {"query_id": query_id, "items": items, "more": has_more}
    return PreparedMessage(encode_reply(call.request.id, "rows", page))
