"""The client for code without asyncio."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from realtime.client import Client, ClientError, HistoryLostError, Position, SignedOutError
from tests.client.scripted import Scripted, scripted

T = TypeVar("T")


class Played:
    """A scripted server in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._context = scripted()
        self.server: Scripted = self.do(self._context.__aenter__())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the thread of the server."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def later(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin `work` there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """End it."""
        self.do(self._context.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture
def played() -> Iterator[Played]:
    made = Played()
    yield made
    made.close()


def test_the_same_without_asyncio(played: Played) -> None:
    with Client(played.server.url, proxy=None) as client:
        socket = played.do(played.server.socket())
        client.ready()
        answering = played.later(socket.answer("get_user", "user_data", {"user": 1}))
        assert client.request("get_user") == {"user": 1}
        answering.result()
        with client.subscribe("t", since=Position("e", 1)) as subscription:
            played.do(socket.subscribed(3, missed=(2, 3)))
            assert [next(subscription).data for _ in range(2)] == [2, 3]
            with pytest.raises(ClientError) as late:
                subscription.next(timeout_s=0.01)
            assert late.value.code == "timeout"
            assert late.value.message == "No publication came within 0.01 s."
            played.do(socket.end(1012))
            again = played.do(played.server.socket())
            played.do(again.subscribed(9, epoch="f"))
            with pytest.raises(HistoryLostError):
                next(subscription)
            assert subscription.topic == "t"
        assert list(subscription) == []
        assert played.do(again.request("unsubscribe"))["payload"] == {"topic": "t"}
        pages = client.pages("query")

        async def answer() -> None:
            asked = await again.request("query")
            for items, more in (([1], True), ([2], False)):
                await again.push(
                    {"id": asked["id"], "type": "rows", "payload": {"items": items, "more": more}}
                )

        answering = played.later(answer())
        assert [page["items"] for page in pages] == [[1], [2]]
        answering.result()
    with pytest.raises(RuntimeError, match="not started"):
        client.request("a")


def test_a_client_that_has_stopped_says_why(played: Played) -> None:
    with Client(played.server.url, proxy=None) as client:
        socket = played.do(played.server.socket(is_welcomed=False))
        played.do(socket.end(4401, "no"))
        with pytest.raises(SignedOutError):
            client.ready()
