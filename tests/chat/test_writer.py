"""The writer of a process: who waits for what, without a database."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError

from chat import wire
from chat.announcing import Announcer
from chat.batches import MessageDraft
from chat.messages.sending import Outcome, Sent
from chat.writer import IDLE_WRITERS_MAX, MessageWriter, MessageWriters, NotStoredError
from realtime.core.history import Publisher
from realtime.core.identity import Tenant
from realtime.protocol.errors import RETRYABLE, ErrorCode, RequestError

ACME, ALICE = Tenant(1, "acme", "Acme"), Publisher(10, "alice")
ROOM = 7
SENT_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Desk:
    """A writer over a database that commits when told to."""

    def __init__(self, *, gather_ms: float = 0, **bounds: int) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.batches: list[list[str]] = []
        self.announced: list[list[str]] = []
        self.commit = asyncio.Event()
        self.announce = asyncio.Event()
        self.announce.set()
        # The room whose announcements wait for `announce`; None: all.
        self.hung_room: int | None = None
        self.announce_fault: Exception | None = None
        self.fault: Exception | None = None
        self.running = 0
        self.writer = MessageWriter(self._store, self._announce, self._spawn, gather_ms=gather_ms, **bounds)

    def send(self, text: str, room_id: int = ROOM) -> "asyncio.Task[wire.Message]":
        return asyncio.create_task(
            self.writer.send(MessageDraft(room_id, uuid.uuid4(), text, tenant=ACME, author=ALICE))
        )

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def _store(self, drafts: Sequence[MessageDraft]) -> list[Outcome]:
        self.running += 1
        assert self.running == 1, "two transactions at once"
        self.batches.append([draft.text for draft in drafts])
        try:
            await self.commit.wait()
        finally:
            self.running -= 1
        if self.fault is not None:
            raise self.fault
        return [self._outcome(draft) for draft in drafts]

    def _outcome(self, draft: MessageDraft) -> Outcome:
        if draft.text.startswith("bad"):
            return RequestError(ErrorCode.NOT_FOUND, draft.text)
        author = wire.Author(1, ALICE.username, ALICE.username)
        view = wire.Message(
            id=1,
            room_id=draft.room_id,
            seq=1,
            rev=1,
            author=author,
            text=draft.text,
            html="",
            sent_at=wire.time_of(SENT_AT),
            edited_at=None,
            deleted=False,
            reply_to=None,
            files=[],
            mentions=[],
            client_msg_id=draft.client_msg_id,
            reactions=[],
        )
        return Sent(view, is_new=not draft.text.startswith("again"))

    async def _announce(self, messages: Sequence[wire.Message]) -> None:
        self.announced.append([each.text for each in messages])
        if self.hung_room in {None, messages[0].room_id}:
            await self.announce.wait()
        if self.announce_fault is not None:
            raise self.announce_fault

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task


async def refusals(sending: Sequence["asyncio.Task[wire.Message]"]) -> list[RequestError]:
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    assert all(isinstance(outcome, RequestError) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, RequestError)]


async def test_what_gathers_during_a_transaction_is_the_next_one() -> None:
    desk = Desk()
    first = desk.send("1")
    await desk.settle()
    rest = [desk.send(text) for text in "2345"]
    await desk.settle()
    assert desk.batches == [["1"]]
    desk.commit.set()
    assert [message.text for message in await asyncio.gather(first, *rest)] == list("12345")
    assert desk.batches == [["1"], ["2", "3", "4", "5"]]


async def test_after_a_group_the_next_gathers_for_a_moment() -> None:
    desk = Desk(gather_ms=1)
    desk.commit.set()

    async def send_twice(sender: str) -> None:
        await desk.send(f"{sender}1")
        await desk.settle()
        await desk.send(f"{sender}2")

    await asyncio.gather(*(send_twice(sender) for sender in "ab"))
    assert desk.batches == [["a1", "b1"], ["a2", "b2"]]


async def test_a_single_sender_never_waits_for_company() -> None:
    desk = Desk(gather_ms=3_600_000)
    desk.commit.set()
    for text in "123":
        await desk.send(text)
    assert desk.batches == [["1"], ["2"], ["3"]]


async def test_nobody_is_answered_before_the_commit() -> None:
    desk = Desk()
    sending = [desk.send(text) for text in "123"]
    await desk.settle()
    assert desk.batches == [["1", "2", "3"]]
    assert not any(task.done() for task in sending)
    desk.commit.set()
    await asyncio.gather(*sending)


async def test_a_batch_is_bounded_and_nothing_overtakes() -> None:
    desk = Desk(batch_max=2)
    desk.commit.set()
    await asyncio.gather(*(desk.send(text) for text in "12345"))
    await desk.settle()
    assert desk.batches == [["1", "2"], ["3", "4"], ["5"]]
    assert [text for batch in desk.announced for text in batch] == list("12345")


async def test_long_texts_are_few_in_a_batch() -> None:
    desk = Desk(batch_max_chars=10)
    sending = [desk.send(text) for text in ("first", "1234567", "890", "x", "12345678901234", "last")]
    desk.commit.set()
    await asyncio.gather(*sending)
    assert desk.batches == [["first"], ["1234567", "890"], ["x"], ["12345678901234"], ["last"]]


async def test_those_who_wait_are_bounded() -> None:
    desk = Desk(waiting_max=2)
    first = desk.send("1")
    await desk.settle()
    waiting = [desk.send(text) for text in "23"]
    (refused,) = await refusals([desk.send("one too many")])
    assert refused.code is ErrorCode.LIMIT_EXCEEDED
    desk.commit.set()
    await asyncio.gather(first, *waiting)
    assert (await desk.send("4")).text == "4"


async def test_one_that_is_refused_fails_alone() -> None:
    desk = Desk()
    desk.commit.set()
    sending = [desk.send(text) for text in ("1", "bad", "3")]
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    assert isinstance(outcomes[1], RequestError)
    assert [task.result().text for task in (sending[0], sending[2])] == ["1", "3"]
    assert desk.announced == [["1", "3"]]


async def test_what_was_stored_before_is_not_announced_again() -> None:
    desk = Desk()
    desk.commit.set()
    await asyncio.gather(desk.send("again 1"), desk.send("2"))
    await desk.send("again 3")
    assert desk.announced == [["2"]]


async def test_a_failed_transaction_acknowledges_nobody(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.fault = OSError("the disk is full")
    desk.commit.set()
    outcomes = await asyncio.gather(*(desk.send(text) for text in "123"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotStoredError] * 3
    assert caplog.text.count("the disk is full") == 1
    assert desk.announced == []
    desk.fault = None
    assert (await desk.send("4")).text == "4"


async def test_a_database_that_is_away_is_one_line_and_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.fault = OperationalError("connection refused")
    desk.commit.set()
    answers = await refusals([desk.send(text) for text in "12"])
    assert [answer.code for answer in answers] == [ErrorCode.TIMEOUT] * 2
    assert answers[0] is not answers[1]
    [line] = caplog.records
    assert "connection refused" in line.getMessage()
    assert line.exc_info is None


async def test_a_busy_database_is_an_answer_of_each_sender_s_own() -> None:
    desk = Desk()
    desk.fault = RequestError(ErrorCode.TIMEOUT, "busy")
    desk.commit.set()
    answers = await refusals([desk.send(text) for text in "12"])
    assert [answer.code for answer in answers] == [ErrorCode.TIMEOUT] * 2
    assert answers[0] is not answers[1]


async def test_who_waits_no_more_is_left_out() -> None:
    desk = Desk()
    first = desk.send("1")
    await desk.settle()
    gone, last = desk.send("2"), desk.send("3")
    await desk.settle()
    gone.cancel()
    desk.commit.set()
    await asyncio.gather(first, last)
    assert desk.batches == [["1"], ["3"]]


async def test_announcing_goes_on_beside_the_next_transaction_in_order() -> None:
    desk = Desk()
    desk.announce.clear()
    desk.commit.set()
    for text in "12":
        # A broker that is slow keeps nobody from hearing that a message is stored.
        assert (await desk.send(text)).text == text
        await desk.settle()
    assert desk.announced == [["1"]]
    desk.announce.set()
    await desk.settle()
    assert desk.announced == [["1"], ["2"]]


async def test_a_room_that_cannot_be_announced_holds_up_no_other_room_and_no_sender() -> None:
    desk = Desk()
    desk.announce.clear()
    desk.hung_room = ROOM
    desk.commit.set()
    for text in ("1", "2", "3"):
        await desk.send(text)
        await desk.send(f"other {text}", ROOM + 1)
        await desk.settle()
    assert desk.announced == [["1"], ["other 1"], ["other 2"], ["other 3"]]
    desk.announce.set()
    await desk.settle()
    # The messages that came meanwhile are announced together.
    assert desk.announced[4:] == [["2", "3"]]
    assert desk.writer.is_idle


async def test_what_waits_behind_a_failed_announcement_is_left_to_the_sweep(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    desk.announce.clear()
    desk.announce_fault = OSError("the broker is away")
    desk.commit.set()
    for text in "123":
        await desk.send(text)
        await desk.settle()
    desk.announce.set()
    await desk.settle()
    assert desk.announced == [["1"]]
    assert caplog.text.count("they are announced later") == 1
    desk.announce_fault = None
    await desk.send("4")
    await desk.settle()
    assert desk.announced == [["1"], ["4"]]


async def test_messages_that_wait_to_be_announced_are_bounded() -> None:
    desk = Desk(batch_max=1)
    desk.writer._announcer = Announcer(desk._announce, desk._spawn, waiting_max=2)
    desk.announce.clear()
    desk.commit.set()
    sending = [desk.send(str(number)) for number in range(5)]
    await desk.settle()
    assert [task.done() for task in sending] == [True, True, False, False, False]
    desk.announce.set()
    assert len(await asyncio.gather(*sending)) == 5


def stop_while_storing(desk: Desk) -> None:
    desk.tasks[0].cancel()


def fail_inside(desk: Desk) -> None:
    desk.fault = asyncio.CancelledError()  # type: ignore[assignment]
    desk.commit.set()


@pytest.mark.parametrize("end", [stop_while_storing, fail_inside])
async def test_at_the_end_everybody_is_answered_and_may_try_again(end: Callable[[Desk], None]) -> None:
    desk = Desk()
    storing = desk.send("1")
    await desk.settle()
    waiting = [desk.send(text) for text in "23"]
    await desk.settle()
    end(desk)
    answers = await refusals([storing, *waiting])
    assert all(RETRYABLE[answer.code] for answer in answers)


async def test_an_end_before_the_beginning_leaves_nobody_waiting() -> None:
    desk = Desk()
    sending = desk.send("1")
    await asyncio.sleep(0)
    desk.tasks[0].cancel()
    (answer,) = await refusals([sending])
    assert RETRYABLE[answer.code]


class Site:
    """The writers of several tenants: each has a desk, made at its first message."""

    def __init__(self) -> None:
        self.desks: list[Desk] = []
        self.writers = MessageWriters(self._make)

    def _make(self, _: Tenant) -> MessageWriter:
        self.desks.append(Desk())
        return self.desks[-1].writer

    def send(self, tenant_id: int, text: str) -> "asyncio.Task[wire.Message]":
        tenant = Tenant(tenant_id, f"t{tenant_id}", "")
        return asyncio.create_task(
            self.writers.send(MessageDraft(ROOM, uuid.uuid4(), text, tenant=tenant, author=ALICE))
        )


async def test_a_tenant_that_is_held_up_holds_up_no_other() -> None:
    site = Site()
    stuck = [site.send(1, text) for text in "123"]
    await asyncio.sleep(0)
    others = [site.send(2, text) for text in "456"]
    await asyncio.sleep(0)
    first, second = site.desks
    second.commit.set()
    assert [message.text for message in await asyncio.gather(*others)] == list("456")
    assert not any(task.done() for task in stuck)
    first.commit.set()
    assert [message.text for message in await asyncio.gather(*stuck)] == list("123")
    assert (first.batches, second.batches) == ([["1", "2", "3"]], [["4", "5", "6"]])


async def test_writers_with_nothing_to_do_are_let_go() -> None:
    site = Site()
    busy = site.send(0, "waits")
    for tenant_id in range(1, 3 * IDLE_WRITERS_MAX):
        sending = site.send(tenant_id, "quick")
        await asyncio.sleep(0)
        site.desks[-1].commit.set()
        await sending
        await site.desks[-1].settle()
        assert len(site.writers._writers) <= IDLE_WRITERS_MAX + 1
    again = site.send(0, "behind it")
    await asyncio.sleep(0)
    site.desks[0].commit.set()
    assert [message.text for message in await asyncio.gather(busy, again)] == ["waits", "behind it"]


async def test_a_writer_that_still_announces_is_kept() -> None:
    desk = Desk()
    desk.announce.clear()
    desk.commit.set()
    assert desk.writer.is_idle
    await desk.send("1")
    await desk.settle()
    assert not desk.writer.is_idle
    desk.announce.set()
    await desk.settle()
    assert desk.writer.is_idle


async def test_nothing_runs_while_nobody_sends() -> None:
    desk = Desk()
    desk.commit.set()
    await desk.send("1")
    await desk.settle()
    assert desk.writer._writing is None
    assert all(task.done() for task in desk.tasks)
    await desk.send("2")
    assert desk.batches == [["1"], ["2"]]
