"""What is done in a world: the operations of its plan, and what strikes a client at an await."""

import itertools
from collections.abc import Callable

from tests.simulation.clients import NARROW, WIDE, Client
from tests.simulation.determinism import CLOCK
from tests.simulation.plan import CLOSE_CODES, GATED, TENANTS, TOPICS, Operation, pick
from tests.simulation.site import NOBODY, Site

# Half of the mishaps, and all while a history is read, are ends of what is under way.
READS = ("since", "pages", "positions")
ENDS = {"leave", "close", "revoke", "cut", "cancel", "unsubscribe all", "lose_store"}
# How long outages last, in seconds.
OUTAGES_S = (0.5, 2.0, 4.0, 9.0)
# When the topic that lost something is published to again, in seconds.
AGAIN_S = 0.1
# For how long a replica gets nothing before it takes over, and when a node notices that, in seconds.
TAILS_S = (0.0, 0.02, 0.3, 1.0)
LATE_S = (0.0, 0.0, 0.1, 1.0, 2.0)
# At most so many nodes over the life of a world.
MAX_NODES = 6
# While a publication is on its way to several, something happens within so many turns of the loop.
DELIVERY_TURNS = 2
# Publications at once.
BURST = 12


class Operations:
    """Whatever is drawn, is drawn before: an operation looks at its draws only, a mishap at the dice."""

    _site: Site

    def on(self, site: Site) -> None:
        """This is the site; the two need each other."""
        self._site = site

    def do(self, operation: Operation) -> None:
        """One operation of the plan."""
        self._site.record.add("world", operation.kind, operation.number)
        self._site.dice.count(operation.kind)
        getattr(self, f"_do_{operation.kind}")(operation.draw)

    def _do_subscribe(self, draw: tuple[float, ...]) -> None:
        self._client(draw).subscribe(pick(draw[1], TOPICS), is_recovering=draw[2] < 0.5)

    def _do_subscribe_many(self, draw: tuple[float, ...]) -> None:
        count = 1 + int(draw[1] * len(TOPICS))
        self._client(draw).subscribe_many(list(TOPICS[:count]), is_recovering=draw[2] < 0.5)

    def _do_unsubscribe(self, draw: tuple[float, ...]) -> None:
        self._client(draw).unsubscribe(pick(draw[1], TOPICS))

    def _do_publish(self, draw: tuple[float, ...]) -> None:
        self._client(draw).publish(pick(draw[1], TOPICS), self._site.data())

    def _do_publish_elsewhere(self, draw: tuple[float, ...]) -> None:
        if (node := self._site.node(draw[0])) is not None:
            self._site.spawn(
                node,
                node.publish(
                    pick(draw[2], TENANTS[:1] * 3 + TENANTS), pick(draw[1], TOPICS), self._site.data()
                ),
            )

    def _do_burst(self, draw: tuple[float, ...]) -> None:
        for _ in range(BURST):
            self._do_publish_elsewhere(draw)

    def _do_leave(self, draw: tuple[float, ...]) -> None:
        self._client(draw).leave()

    def _do_pause(self, draw: tuple[float, ...]) -> None:
        socket = self._client(draw).socket
        if socket is not None:
            socket.pause()
            self._site.loop.call_later(draw[1] * 4, socket.resume)
            # So that it falls behind.
            if (node := self._site.node(draw[2])) is not None:
                for topic in self._client(draw).follows:
                    for _ in range(BURST):
                        self._site.spawn(node, node.publish(socket.session.tenant, topic, self._site.data()))

    def _do_cancel(self, draw: tuple[float, ...]) -> None:
        self._client(draw).cancel()

    def _do_cut(self, draw: tuple[float, ...]) -> None:
        client = self._client(draw)
        for node in self._site.living():
            node.cut(client.session_name)

    def _do_narrow(self, draw: tuple[float, ...]) -> None:
        client = self._client(draw)
        if client.plan.user is not None:
            client.refresh(NARROW if draw[1] < 0.6 else WIDE)

    def _do_remove(self, draw: tuple[float, ...]) -> None:
        client = self._client(draw)
        tenant, user = client.plan.tenant, client.plan.user
        if user is None:
            return
        # It asks for something a moment before.
        ask = pick(draw[3], (client.history, client.who, None))
        if ask is not None:
            ask(GATED)
        after_s = pick(draw[2], (0.0, 0.003, 0.03, 0.3))
        self._site.loop.call_later(
            after_s, self._site.remove, tenant, user, GATED, draw[1], 0.4 + 3 * draw[2]
        )

    def _do_revoke(self, draw: tuple[float, ...]) -> None:
        self._site.revoke(self._client(draw), draw[1])

    def _do_close(self, draw: tuple[float, ...]) -> None:
        self._site.close(self._client(draw), pick(draw[1], CLOSE_CODES))

    def _do_history(self, draw: tuple[float, ...]) -> None:
        self._client(draw).history(pick(draw[1], TOPICS))

    def _do_who(self, draw: tuple[float, ...]) -> None:
        self._client(draw).who(pick(draw[1], TOPICS))

    def _do_rewind(self, draw: tuple[float, ...]) -> None:
        """Ask again for what is long known, and perhaps be gone before the answer."""
        client = self._client(draw)
        topics = sorted(client.follows)
        if not topics:
            return
        client.rewind(pick(draw[1], topics), 1 + int(draw[2] * 12))
        gone: list[Callable[[], None] | None] = [client.leave, lambda: self._site.close(client, 4503), None]
        if (goes := pick(draw[3], gone)) is not None:
            self._site.loop.call_later(pick(draw[2] * 7 % 1, (0.0, 0.001, 0.02)), goes)

    def _do_lose_store(self, draw: tuple[float, ...]) -> None:
        self._site.store.lose_everything()

    def _do_fail_over(self, draw: tuple[float, ...]) -> None:
        """Lost is what is published between the cut of the link to the replica and the failover."""
        if self._site.replicas is not None:
            self._site.replicas.cut_replica()
            self._do_burst(draw)
            tail_s = pick(draw[0], TAILS_S)
            self._site.loop.call_later(tail_s, self._promote, draw, context=NOBODY.copy())

    def _promote(self, draw: tuple[float, ...]) -> None:
        # Some come back when others have published as much again.
        if draw[3] < 0.5:
            self._client(draw).leave()
        self._site.loop.call_later(AGAIN_S, self._do_burst, draw, context=NOBODY.copy())
        # Each node from a draw of its own.
        late_s = (pick(draw[1] * prime % 1, LATE_S) for prime in (1, 3, 5, 7, 11, 13))
        self._site.fail_over(late_s, is_dead=draw[2] < 0.5)

    def _do_hand_over(self, draw: tuple[float, ...]) -> None:
        """In order, or the server starts anew with its data: nothing is lost."""
        if self._site.replicas is not None:
            self._site.replicas.cut_replica()
            self._site.fail_over(itertools.repeat(0.0), is_dead=True)

    def _do_store_outage(self, draw: tuple[float, ...]) -> None:
        self._site.store.outage_until_s = CLOCK.now_s + pick(draw[0], OUTAGES_S)

    def _do_bus_outage(self, draw: tuple[float, ...]) -> None:
        self._site.broker.outage_until_s = CLOCK.now_s + pick(draw[0], OUTAGES_S)

    def _do_deaf(self, draw: tuple[float, ...]) -> None:
        if (node := self._site.node(draw[0])) is not None:
            until_s = node.bus.deaf_until_s = CLOCK.now_s + pick(draw[1], OUTAGES_S)
            self._site.record.add(node.name, "is deaf", until_s)
            if draw[1] * 8 % 2 < 1:
                self._site.loop.call_at(until_s, node.notice_gap)

    def _do_mute(self, draw: tuple[float, ...]) -> None:
        if (node := self._site.node(draw[0])) is not None:
            self._site.record.add(node.name, "is mute")
            node.bus.mute_until_s = CLOCK.now_s + pick(draw[1], OUTAGES_S)

    def _do_kill(self, draw: tuple[float, ...]) -> None:
        if len(self._site.living()) > 1 and (node := self._site.node(draw[0])) is not None:
            self._site.work.append(self._site.loop.create_task(node.kill()))

    def _do_drain(self, draw: tuple[float, ...]) -> None:
        if len(self._site.living()) > 1 and (node := self._site.node(draw[0])) is not None:
            self._site.spawn(node, node.drain())

    def _do_start(self, draw: tuple[float, ...]) -> None:
        if len(self._site.nodes) < MAX_NODES:
            node = self._site.new_node()
            self._site.spawn(node, node.start())

    def ambush(self, session: str, place: str, *, is_later: bool = False) -> None:
        """Something happens to the client whose request waits at `place`."""
        client = next(each for each in self._site.clients if session.startswith(f"{each.name}."))
        if client.session_name != session:
            return
        draw = self._site.dice.rng.random(), self._site.dice.rng.random(), self._site.dice.rng.random()
        mishaps = self._mishaps(client, draw)
        if place.startswith(READS) or draw[2] < 0.5:
            mishaps = [each for each in mishaps if each[0] in ENDS]
        name, happens = pick(draw[0], mishaps)
        if name in self._site.plan.off:
            return
        self._site.record.add("world", f"ambush {name}", session, place)
        self._site.dice.count(f"ambush {name}")
        # Half of them at once, the others a turn later; in nobody's name.
        if draw[1] < 0.5 and not is_later:
            NOBODY.copy().run(happens)
        else:
            self._site.loop.call_soon(happens, context=NOBODY.copy())

    def ambush_delivery(self, topic: str, sessions: list[str]) -> None:
        """Something happens to one of several `sessions` while a publication is on its way to them, in this order."""
        if len(sessions) < 2 or not self._site.dice.falls("ambush"):
            return
        # The first have it before anything can happen.
        session = self._site.dice.rng.choice(sessions[len(sessions) // 2 :])
        turns = self._site.dice.rng.randrange(DELIVERY_TURNS)
        if self._site.dice.rng.random() < 0.5:
            self._after(turns, lambda: self._unsubscribe(session, topic))
        else:
            self._after(turns, lambda: self.ambush(session, "delivery", is_later=True))

    def _after(self, turns: int, happens: Callable[[], None]) -> None:
        """Wait for so many turns of the loop after the next one, outside of any connection's context."""
        act = happens if not turns else lambda: self._after(turns - 1, happens)
        self._site.loop.call_soon(act, context=NOBODY.copy())

    def _unsubscribe(self, session: str, topic: str) -> None:
        for client in self._site.clients:
            if client.session_name == session:
                client.unsubscribe(topic)

    def _mishaps(self, client: Client, draw: tuple[float, ...]) -> list[tuple[str, Callable[[], None]]]:
        tenant, user, seconds = client.plan.tenant, client.plan.user, draw[2]
        mishaps: list[tuple[str, Callable[[], None]]] = [
            ("leave", client.leave),
            ("close", lambda: self._site.close(client, pick(draw[2], CLOSE_CODES))),
            ("cancel", client.cancel),
            ("cut", lambda: self._do_cut_of(client)),
            ("unsubscribe", lambda: client.unsubscribe(pick(draw[2], TOPICS))),
            ("unsubscribe all", lambda: self._unsubscribe_all(client)),
            ("lose_store", self._site.store.lose_everything),
            ("publish_elsewhere", lambda: self._do_publish_elsewhere((draw[2], draw[1], draw[0]))),
            ("deaf", lambda: self._do_deaf((draw[2], draw[1]))),
        ]
        if user is not None:
            mishaps += [
                ("remove", lambda: self._site.remove(tenant, user, GATED, draw[1], 0.2 + 3 * seconds)),
                ("narrow", lambda: client.refresh(NARROW)),
                ("revoke", lambda: self._site.revoke(client, draw[1])),
            ]
        return mishaps

    def _unsubscribe_all(self, client: Client) -> None:
        for topic in TOPICS:
            client.unsubscribe(topic)

    def _do_cut_of(self, client: Client) -> None:
        for node in self._site.living():
            node.cut(client.session_name)

    def _client(self, draw: tuple[float, ...]) -> Client:
        client: Client = pick(draw[0], self._site.clients)
        return client
