"""A client as people write them: follows topics, remembers how far it is, comes back and recovers."""

from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from tests.simulation.plan import ClientPlan
from tests.simulation.record import Message, Record, Session
from tests.simulation.sockets import Socket

WIDE, NARROW = "wide", "narrow"


class Host(Protocol):
    """A node, as a client finds it."""

    name: str

    def serve(self, socket: Socket, plan: ClientPlan, credential: str) -> None:
        """Take the socket."""
        ...


class Client:
    """One client over all its connections. `when_narrowed(session, message, is_narrow)`: its rights have changed."""

    def __init__(
        self,
        name: str,
        plan: ClientPlan,
        record: Record,
        rng: Random,
        when_narrowed: Callable[[Session, Message, bool], None],
        when_ended: Callable[["Client"], None],
    ) -> None:
        self.name = name
        self.plan = plan
        self.socket: Socket | None = None
        # What it follows, with the last position it knows (None: not yet); kept from connection to connection.
        self.follows: dict[str, dict[str, Any] | None] = {}
        self.width = WIDE
        self._revoked = 0
        self._record = record
        self._rng = rng
        self._when_narrowed = when_narrowed
        self._when_ended = when_ended
        self._sessions = 0
        self._requests = 0
        self._asked: dict[int, tuple[str, dict[str, Any]]] = {}

    @property
    def family(self) -> str:
        """What its credentials have in common; another one after each revocation."""
        return f"{self.name}/{self._revoked}"

    @property
    def session_name(self) -> str:
        """The name of the connection that is open."""
        return self.socket.session.name if self.socket else ""

    def connect(self, host: Host) -> None:
        """Come (back), and follow again what was followed."""
        assert self.socket is None
        self._sessions += 1
        name = f"{self.name}.{self._sessions}"
        session = Session(name, host.name, self.plan.tenant, self.plan.user)
        self._record.sessions.append(session)
        self._record.add(name, "connects", host.name, self.plan.tenant, self.plan.user, self.width)
        self.socket = Socket(
            session,
            self._record,
            answers_close=self.plan.answers_close,
            on_message=self._got,
            on_end=self._ended,
        )
        self._asked.clear()
        host.serve(self.socket, self.plan, f"{self.width} {self.family}")
        if self._rng.random() < 0.5 and len(self.follows) > 1:
            self.subscribe_many(list(self.follows), is_recovering=True)
        else:
            for topic in list(self.follows):
                self.subscribe(topic, is_recovering=True)

    def subscribe(self, topic: str, *, is_recovering: bool) -> None:
        """Ask for a topic, from where it is known where it is."""
        self._ask("subscribe", self._wish(topic, is_recovering=is_recovering))

    def subscribe_many(self, topics: list[str], *, is_recovering: bool) -> None:
        """Ask for several topics in one request."""
        self._ask(
            "subscribe", {"topics": [self._wish(topic, is_recovering=is_recovering) for topic in topics]}
        )

    def rewind(self, topic: str, behind: int) -> None:
        """Ask for a topic from `behind` publications before where it is known."""
        wish = self._wish(topic, is_recovering=True)
        if "recover" in wish:
            wish["recover"]["offset"] = max(wish["recover"]["offset"] - behind, 0)
        self._ask("subscribe", wish)

    def unsubscribe(self, topic: str) -> None:
        """Follow it no more."""
        self.follows.pop(topic, None)
        self._ask("unsubscribe", {"topic": topic})

    def publish(self, topic: str, data: Any) -> None:
        """Publish."""
        self._ask("publish", {"topic": topic, "data": data})

    def history(self, topic: str) -> None:
        """Read what a topic remembers."""
        self._ask("history", {"topic": topic})

    def who(self, topic: str) -> None:
        """Ask who is there."""
        self._ask("presence", {"topic": topic})

    def refresh(self, width: str) -> None:
        """Go on with another credential."""
        self._ask("refresh", {"token": f"{self.plan.tenant} {self.plan.user} {width} {self.family}"})

    def signs_in_anew(self) -> str:
        """From now on with credentials of another family; gives the one that was."""
        family = self.family
        self._revoked += 1
        return family

    def cancel(self) -> None:
        """Cancel the newest request that is not answered."""
        if self._asked:
            self._ask("cancel", {"id": max(self._asked)})

    def leave(self) -> None:
        """Go, as somebody does who closes the page."""
        if self.socket is not None:
            self.socket.leave(self._rng.choice((1000, 1001, 1006)))

    def _wish(self, topic: str, *, is_recovering: bool) -> dict[str, Any]:
        wish: dict[str, Any] = {"topic": topic}
        position = self.follows.setdefault(topic, None)
        if is_recovering and position is not None:
            # Some know less than they were given: they had not stored it yet.
            behind = self._rng.choice((0, 0, 2, 6))
            wish["recover"] = {**position, "offset": max(position["offset"] - behind, 0)}
        if self.plan.wants_presence:
            wish["presence"] = True
        return wish

    def _ask(self, kind: str, payload: dict[str, Any]) -> None:
        if self.socket is None:
            return
        self._requests += 1
        self._asked[self._requests] = (kind, payload)
        self.socket.ask(self._requests, kind, payload)

    def _got(self, message: Message) -> None:
        payload = message.payload
        asked = self._asked.pop(message.id, None) if message.id is not None else None
        match message.type:
            case "subscribed":
                for answer in payload.get("topics", [payload]):
                    self._subscribed(answer)
            case "publication":
                if (position := self.follows.get(payload["topic"])) is not None:
                    position["offset"] = payload["offset"]
                    position["epoch"] = payload.get("epoch", position["epoch"])
            case "unsubscribed" if message.id is None:
                self._dropped(payload)
            case "refreshed" if asked is not None and self.socket is not None:
                self.width = asked[1]["token"].split()[2]
                self._when_narrowed(self.socket.session, message, self.width == NARROW)

    def _subscribed(self, answer: dict[str, Any]) -> None:
        if "error" not in answer and answer["topic"] in self.follows:
            self.follows[answer["topic"]] = {"epoch": answer["epoch"], "offset": answer["offset"]}

    def _dropped(self, payload: dict[str, Any]) -> None:
        if payload["code"] != "unrecoverable_position":
            self.follows.pop(payload["topic"], None)
        elif payload["topic"] in self.follows:
            self.follows[payload["topic"]] = None
            self.subscribe(payload["topic"], is_recovering=False)

    def _ended(self, code: int) -> None:
        self.socket = None
        self._when_ended(self)
