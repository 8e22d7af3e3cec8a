"""Named queries: pages of rows, then the changes somebody else makes."""

from uuid import uuid4

import pytest

from tests.e2e.talk import Message, Talk, assert_error, assert_reply
from tests.e2e.visitor import Visitor

PATH = "/ws/data/"
ITEM = """
from accounts.models import Tenant
from demo.models import Item
tenant = Tenant.objects.get(slug=slug)
"""
INSERT = ITEM + "result = Item.objects.create(tenant=tenant, name=name, category=category, price=1).pk"
UPDATE = ITEM + "item = Item.objects.get(pk=pk); item.name = name; item.save()"
MOVE = ITEM + "item = Item.objects.get(pk=pk); item.category = category; item.save()"
DELETE = ITEM + "Item.objects.get(pk=pk).delete()"


async def rows(talk: Talk, payload: Message) -> list[Message]:
    """All pages of a query."""
    await talk.send("query", payload, id="q")
    pages = [assert_reply(await talk.reply_to("q"), "rows")]
    while pages[-1]["more"]:
        pages.append(assert_reply(await talk.reply_to("q"), "rows"))
    return pages


def items_of(pages: list[Message]) -> list[Message]:
    return [item for page in pages for item in page["items"]]


@pytest.mark.parametrize("category", ["books", "games"])
async def test_the_demo_query(acme: Visitor, category: str) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        pages = await rows(talk, {"query": "items", "params": {"category": category}})
    assert all(page.keys() == {"query_id", "items", "more"} for page in pages)
    assert len({page["query_id"] for page in pages}) == 1
    items = items_of(pages)
    assert items
    assert all(item.keys() >= {"id", "name", "category"} for item in items)
    assert {item["category"] for item in items} == {category}


@pytest.mark.kinds("serve", "scaled")
async def test_pages_have_their_size_and_hold_everything_once(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        whole = items_of(await rows(talk, {"query": "items", "params": {"category": "books"}}))
        pages = await rows(talk, {"query": "items", "params": {"category": "books"}, "page_size": 5})
    assert all(len(page["items"]) == 5 for page in pages[:-1])
    assert 0 <= len(pages[-1]["items"]) <= 5
    assert len(pages) > 1
    assert [page["more"] for page in pages] == [True] * (len(pages) - 1) + [False]
    assert [item["id"] for item in items_of(pages)] == [item["id"] for item in whole]


async def test_a_query_without_rows(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        pages = await rows(talk, {"query": "items", "params": {"category": "nothing"}})
    assert len(pages) == 1
    assert pages[0]["items"] == []
    assert pages[0]["more"] is False


async def test_each_tenant_has_its_own_rows(acme: Visitor, globex: Visitor) -> None:
    query = {"query": "items", "params": {"category": "books"}}
    async with acme.open_json(PATH, "alice") as alice, globex.open_json(PATH, "carol") as carol:
        ours = {item["id"] for item in items_of(await rows(alice, query))}
        theirs = {item["id"] for item in items_of(await rows(carol, query))}
    assert ours
    assert theirs
    assert not ours & theirs


async def test_the_flat_form(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        await talk.send_frame('{"category": "books"}')
        page = await talk.first(lambda message: message["type"] == "rows")
        assert page["payload"]["items"][0]["category"] == "books"
        await talk.send_frame('{"id": "flat", "category": "games"}')
        assert assert_reply(await talk.reply_to("flat"), "rows")["items"][0]["category"] == "games"


@pytest.mark.kinds("serve", "scaled")
async def test_changes_made_elsewhere_are_pushed(acme: Visitor) -> None:
    category = uuid4().hex
    async with acme.open_json(PATH, "alice") as talk:
        query = {"query": "items", "params": {"category": category}, "watch": True}
        query_id = (await rows(talk, query))[0]["query_id"]
        orm = acme.site.orm
        pk = orm.run(INSERT, slug="acme", name="first", category=category)
        inserted = await talk.push("change")
        assert (inserted["query_id"], inserted["op"]) == (query_id, "insert")
        assert (inserted["item"]["id"], inserted["item"]["name"]) == (pk, "first")
        orm.run(UPDATE, slug="acme", pk=pk, name="second")
        updated = await talk.push("change")
        assert (updated["op"], updated["item"]["name"]) == ("update", "second")
        orm.run(DELETE, slug="acme", pk=pk)
        removed = await talk.push("change")
        assert (removed["op"], removed["item"]["id"]) == ("remove", pk)


@pytest.mark.kinds("serve", "scaled")
async def test_a_row_that_moves_out_of_the_query_is_removed(acme: Visitor) -> None:
    category = uuid4().hex
    pk = acme.site.orm.run(INSERT, slug="acme", name="mover", category=category)
    async with acme.open_json(PATH, "alice") as talk:
        await rows(talk, {"query": "items", "params": {"category": category}, "watch": True})
        acme.site.orm.run(MOVE, slug="acme", pk=pk, category="elsewhere")
        change = await talk.push("change")
        assert (change["op"], change["item"]["id"]) == ("remove", pk)
    acme.site.orm.run(DELETE, slug="acme", pk=pk)


async def test_changes_of_another_tenant_or_category_are_not_pushed(acme: Visitor) -> None:
    category = uuid4().hex
    async with acme.open_json(PATH, "alice") as talk:
        await rows(talk, {"query": "items", "params": {"category": category}, "watch": True})
        orm = acme.site.orm
        orm.run(INSERT, slug="globex", name="theirs", category=category)
        orm.run(INSERT, slug="acme", name="other", category=f"{category}-other"[:50])
        orm.run(INSERT, slug="acme", name="ours", category=category)
        assert (await talk.push("change"))["item"]["name"] == "ours"
        assert await talk.settle() == []


async def test_unwatch_ends_the_changes(acme: Visitor) -> None:
    category = uuid4().hex
    async with acme.open_json(PATH, "alice") as talk, acme.open_json(PATH, "bob") as other:
        query = {"query": "items", "params": {"category": category}, "watch": True}
        query_id = (await rows(talk, query))[0]["query_id"]
        await rows(other, query)
        assert await talk.ask("unwatch", {"query_id": query_id}) == {"query_id": query_id}
        acme.site.orm.run(INSERT, slug="acme", name="unseen", category=category)
        await other.push("change")
        assert await talk.settle() == []


async def test_unwatching_what_is_not_watched(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        assert_error(await talk.request("unwatch", {"query_id": "nothing"}), "not_found")


async def test_an_unknown_query(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        assert_error(await talk.request("query", {"query": "users", "params": {}}), "not_found")


WRONG: list[tuple[Message, str]] = [
    ({}, "query"),
    ({"query": 7, "params": {}}, "query"),
    ({"query": "items", "params": {}}, "category"),
    ({"query": "items", "params": {"category": 7}}, "category"),
    ({"query": "items", "params": []}, "params"),
    ({"query": "items", "params": {"category": "books"}, "page_size": 0}, "page_size"),
    ({"query": "items", "params": {"category": "books"}, "page_size": "x"}, "page_size"),
    ({"query": "items", "params": {"category": "books"}, "page_size": 10**9}, "page_size"),
    ({"query": "items", "params": {"category": "books"}, "watch": "x"}, "watch"),
]


async def test_wrong_parameters_name_their_field(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        for payload, field in WRONG:
            with subtests.test(payload=payload):
                error = assert_error(await talk.request("query", payload), "invalid_message")
                assert field in error["details"]["field"], error


@pytest.mark.kinds("serve", "scaled")
@pytest.mark.parametrize("category", ["' OR 1=1 --", "books'; DROP TABLE demo_item; --", "%", "\x00"])
async def test_no_sql_crosses_the_wire(acme: Visitor, category: str) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        reply = await talk.request("query", {"query": "items", "params": {"category": category}})
        if reply["type"] == "rows":
            assert reply["payload"]["items"] == []
        else:
            assert_error(reply, "invalid_message")
        assert items_of(await rows(talk, {"query": "items", "params": {"category": "books"}}))


BULK = ITEM + "result = Item.objects.filter(category=category).update(name='in bulk')"
RAW = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("UPDATE demo_item SET name = 'raw' WHERE category = %s", [category])
"""
MANY = (
    ITEM
    + """
Item.objects.bulk_create(
    Item(tenant=tenant, name=f"item {number}", category=category, price=1) for number in range(count)
)
"""
)
CLEAR = ITEM + "Item.objects.filter(category=category).delete()"


@pytest.mark.kinds("serve", "scaled")
async def test_changes_in_bulk_and_by_raw_sql_are_pushed_soon(acme: Visitor) -> None:
    category = uuid4().hex
    acme.site.orm.run(INSERT, slug="acme", name="first", category=category)
    async with acme.open_json(PATH, "alice") as talk:
        await rows(talk, {"query": "items", "params": {"category": category}, "watch": True})
        for change, name in ((BULK, "in bulk"), (RAW, "raw")):
            acme.site.orm.run(change, slug="acme", category=category)
            changed = await talk.push("change", 3.0)
            assert (changed["op"], changed["item"]["name"]) == ("update", name)
    acme.site.orm.run(CLEAR, slug="acme", category=category)


@pytest.mark.kinds("serve", "scaled")
async def test_a_watch_that_outgrows_its_bound_is_ended_and_said_so(acme: Visitor) -> None:
    category = uuid4().hex
    async with acme.open_json(PATH, "alice") as talk:
        query = {"query": "items", "params": {"category": category}, "watch": True}
        query_id = (await rows(talk, query))[0]["query_id"]
        acme.site.orm.run(MANY, slug="acme", category=category, count=5001)
        ended = await talk.push("unwatched")
        assert (ended["query_id"], ended["code"]) == (query_id, "limit_exceeded")
        assert ended["reason"]
        assert_error(await talk.request("unwatch", {"query_id": query_id}), "not_found")
        assert_error(await talk.request("query", query), "limit_exceeded")
    acme.site.orm.run(CLEAR, slug="acme", category=category)
    acme.server.check_log()


async def test_watching_is_bounded_while_rows_are_read(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        for number in range(19):
            await rows(talk, {"query": "items", "params": {"category": f"none-{number}"}, "watch": True})
        for number in range(6):
            payload = {"query": "items", "params": {"category": f"more-{number}"}, "watch": True}
            await talk.send("query", payload, id=f"n{number}")
        replies = [await talk.reply_to(f"n{number}") for number in range(6)]
        assert sorted(reply["type"] for reply in replies) == ["error"] * 5 + ["rows"]
