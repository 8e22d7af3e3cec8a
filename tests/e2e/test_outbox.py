"""A publication in a transaction of another process arrives, with a broker and without one."""

import asyncio
import uuid

import pytest

from tests.e2e.visitor import Visitor

PATH = "/ws/pubsub/"

pytestmark = pytest.mark.kinds("serve", "scaled")

_PUBLISH = """
from django.db import transaction
from realtime import publish
with transaction.atomic():
    publish(topic, 1, tenant="acme")
    try:
        with transaction.atomic():
            publish(topic, "rolled back", tenant="acme")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    publish(topic, 2, tenant="acme")
"""
_SEND = """
import uuid
from accounts.models import Tenant as TenantRow, User
from chat import services
from chat.batches import MessageDraft
from chat.messages.sending import messages_send
from chat.payloads import RoomCreate
from realtime import Publisher, Tenant
row = TenantRow.objects.get(slug="acme")
user = User.objects.get(username="alice")
author = Publisher(user.pk, user.username)
tenant = Tenant(row.pk, row.slug, row.name)
room, _ = services.room_create(tenant, author, RoomCreate(name))
# As a process does that is killed before it announces them.
messages_send([MessageDraft(room.id, uuid.uuid4(), text, tenant=tenant, author=author) for text in ("one", "two")])
result = room.id
"""


async def test_a_transaction_of_another_process_is_published(acme: Visitor) -> None:
    topic = uuid.uuid4().hex
    async with acme.open_json(PATH) as talk:
        await talk.ask("subscribe", {"topic": topic})
        await asyncio.to_thread(acme.site.orm.run, _PUBLISH, topic=topic)
        assert [(await talk.push("publication"))["data"] for _ in range(2)] == [1, 2]


async def test_messages_that_another_process_left_unannounced_are_announced(acme: Visitor) -> None:
    async with acme.open_json("/ws/chat/", "alice") as alice:
        room_id = await asyncio.to_thread(acme.site.orm.run, _SEND, name=f"room {uuid.uuid4().hex[:8]}")
        reply = await alice.ask("subscribe", {"topic": f"room:{room_id}", "recover": None})
        seqs: list[int] = []
        if reply["offset"]:
            history = await alice.ask("history", {"topic": f"room:{room_id}"})
            seqs = [
                each["data"]["message"]["seq"]
                for each in history["publications"]
                if "message" in each["data"]
            ]
        while len(seqs) < 2:
            data = (await alice.push("publication"))["data"]
            seqs += [data["message"]["seq"]] if data["event"] == "message" else []
        assert seqs == [1, 2]
