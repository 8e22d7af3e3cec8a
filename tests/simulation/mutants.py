"""Planted bugs: the simulator must find each of them, or it looks too little.

A mutant changes one place in the source of one function of the project, in the process of the simulator only.
"""

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

# The seed that each is found with, written by `mutants --pin`.
PINNED_SEEDS = Path(__file__).parent / "pinned_seeds.txt"


class Mutant(NamedTuple):
    """In `target` (`module:Class.function`) `old` becomes `new`; `old` must be there exactly once."""

    name: str
    target: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "a removal leaves joining subscriptions alone",
        "realtime.topics.hub:Hub.revoke",
        "subscription.needs_recheck = True",
        "pass",
    ),
    Mutant(
        "a removal leaves live subscriptions alone",
        "realtime.topics.hub:Hub.revoke",
        "if subscription.state is SubscriptionState.JOINING:",
        "if True:",
    ),
    Mutant(
        "a removal does not count for a history that is being read",
        "realtime.topics.hub:Hub.revoke",
        "self.revocations += 1",
        "pass",
    ),
    Mutant(
        "what ended while joining goes live",
        "realtime.node.joining:_Joining.is_under_way",
        "if self.error is None and self.subscription is not None and self.subscription.is_ended:",
        "if False:",
    ),
    Mutant(
        "what the other nodes tell is not acted upon",
        "realtime.node.control:Control.on_message",
        "self._handlers[group](body)",
        "pass",
    ),
    Mutant(
        "a revocation that did not come over the bus is not noticed",
        "realtime.node.credentials:Credentials.read_now",
        "self.revoke(await self.database.run(self._read))",
        "await self.database.run(self._read)",
    ),
    Mutant(
        "a narrower credential keeps its subscriptions",
        "realtime.node.joining:Joiner._judge_at_hand",
        "self._hub.drop(subscription, denial.code, NO_LONGER)",
        "pass",
    ),
    Mutant(
        "a topic is opened for a reservation that has ended",
        "realtime.topics.hub:Hub.open",
        "local is None or local.is_open",
        "local.is_open",
    ),
    Mutant(
        "a connection stays in the table where its release is cancelled",
        "realtime.node.node:Node.release",
        "    finally:",
        "    except ValueError:\n        raise\n    if True:",
    ),
    Mutant(
        "a cancelled subscribe leaves its subscription joining",
        "realtime.node.joining:Joiner.join",
        "self._hub.end(each.subscription, at_once=False)",
        "pass",
    ),
    Mutant(
        "a lost history is told to nobody",
        "realtime.topics.hub:Hub._lost",
        "for subscription in live:",
        "for subscription in []:",
    ),
    Mutant(
        "a joining subscription does not see that the history was lost",
        "realtime.node.joining:_is_caught_up",
        "if joining.reached.epoch != local.epoch:",
        "if False:",
    ),
    Mutant(
        "a publication of another epoch is delivered",
        "realtime.topics.hub:Hub.arrived",
        "if epoch != local.epoch:",
        "if False:",
    ),
    Mutant(
        "a server is known by its process",
        "tests.simulation.replicas:_begin",
        "line=secrets.token_hex(8)",
        'line=""',
    ),
    Mutant(
        "a position beyond the end of its epoch is good",
        "tests.engine.model:_is_good",
        "asked.offset <= end",
        "True",
    ),
    Mutant(
        "an epoch that lost nothing is told to nobody",
        "realtime.topics.local_topic:LocalTopic.go_on_in",
        "self.is_epoch_untold = True",
        "pass",
    ),
    Mutant(
        "a topic keeps its epoch where nothing was lost",
        "realtime.topics.hub:Hub._take",
        "local.go_on_in(page.position)",
        "pass",
    ),
    Mutant(
        "a new epoch counts as a loss",
        "realtime.topics.hub:Hub._take",
        "if page.publications is None:",
        "if page.publications is None or page.position.epoch != since.epoch:",
    ),
    Mutant(
        "a topic that lost its tail is not looked at",
        "realtime.topics.hub:Hub._compare",
        "position.epoch != local.epoch or position.offset < before.offset",
        "False",
    ),
    Mutant(
        "what arrives twice is delivered twice",
        "realtime.topics.hub:Hub.arrived",
        "if offset <= tail.offset:",
        "if False:",
    ),
    Mutant(
        "a gap is passed over",
        "realtime.topics.hub:Hub._give_up",
        "if local.retention.size:",
        "if False:",
    ),
    Mutant(
        "a gap is waited for without end",
        "realtime.topics.gaps:Gaps._look",
        "self._give_up(local)",
        "pass",
    ),
    Mutant(
        "what arrives too early is delivered at once",
        "realtime.topics.hub:Hub.arrived",
        "if offset > tail.offset + 1:",
        "if False:",
    ),
    Mutant(
        "topics are not compared with their history",
        "realtime.topics.hub:Hub.compare",
        "due = self._due(missed, now_s)",
        "due = []",
    ),
    Mutant(
        "a new subscriber gets again what it was given",
        "realtime.topics.hub:Hub.go_live",
        "local.fanout.join(subscription.connection, local.offset)",
        "local.fanout.join(subscription.connection, 0)",
    ),
    Mutant(
        "what was published while a subscription caught up is lost",
        "realtime.node.joining:_go_live",
        "if not _is_caught_up(hub, joining):",
        "if False:",
    ),
    Mutant(
        "a catch-up claims more than it has read",
        "realtime.node.joining:_read",
        "Position(local.epoch, known[-1] if known else reached.offset)",
        "local.position",
    ),
    Mutant(
        "the newest kept publication is forgotten",
        "realtime.core.history:Tail.after",
        "len(self._kept) - missed, None)",
        "len(self._kept) - missed, max(len(self._kept) - 1, 0))",
    ),
    Mutant(
        "what is read for a topic that was closed meanwhile is kept",
        "realtime.topics.hub:Hub._count_cached",
        "if self._topics.get(local.key) is not local:",
        "if False:",
    ),
    Mutant(
        "an ended subscription stays present",
        "realtime.topics.hub:Hub.end",
        "self._listener.ended(subscription, at_once=at_once)",
        "pass",
    ),
    Mutant(
        "a closed topic stays attached",
        "realtime.topics.hub:Hub._close",
        "self._spawn(self._engine.detach(local.key))",
        "pass",
    ),
    Mutant(
        "an unsubscribed client is given what was being delivered",
        "realtime.topics.fanout:Fanout.leave",
        "self._is_uniform = False",
        "pass",
    ),
    Mutant(
        "a slow consumer loses messages and stays",
        "realtime.sockets.outbox:Outbox._overflows",
        "self._overflowed()",
        "pass",
    ),
    Mutant(
        "changes of presence that were lost are not asked for",
        "realtime.core.presence_table:PresenceTable.needs_resync",
        "part is None or part.seq is None or seq > part.seq + 1",
        "part is None or part.seq is None",
    ),
    Mutant(
        "a snapshot leaves those who have gone",
        "realtime.core.presence_table:PresenceTable.merge",
        "if (key, user_id) not in kept",
        "if False",
    ),
    Mutant(
        "a user whose socket broke is gone at once",
        "realtime.core.presence_table:PresenceTable.leave",
        "if at_once or not self._may_linger(key, user.id):",
        "if True:",
    ),
    Mutant(
        "a grace does not end",
        "realtime.core.presence_table:PresenceTable.lapse",
        'if self._put(node, key, User(user_id, ""), None):',
        "if False:",
    ),
    Mutant(
        "a change of presence is told again and again",
        "realtime.core.watchers:Watchers._differences",
        "self._listed.users = users",
        "pass",
    ),
    Mutant(
        "a node that fell silent keeps its users",
        "realtime.core.liveness:Nodes.drop_silent",
        "if self._is_deaf(now_s):",
        "if True:",
    ),
)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The bug is there inside the block. Raises LookupError where its place is no longer found."""
    module_name, _, path = mutant.target.partition(":")
    module = importlib.import_module(module_name)
    owner: Any = module
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = inspect.getattr_static(owner, name)
    function: Any = original.fget if isinstance(original, property) else original
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(mutant.old) != 1:
        raise LookupError(f"{mutant.target} has {source.count(mutant.old)} times: {mutant.old}")
    changed: dict[str, Any] = {}
    exec(compile(source.replace(mutant.old, mutant.new), mutant.target, "exec"), module.__dict__, changed)
    setattr(owner, name, changed[name])
    try:
        yield
    finally:
        setattr(owner, name, original)


def pinned_seeds() -> dict[str, int]:
    """By the mutant's name."""
    if not PINNED_SEEDS.exists():
        return {}
    lines = PINNED_SEEDS.read_text(encoding="utf-8").splitlines()
    return {name: int(seed) for seed, _, name in (line.partition(" ") for line in lines)}


def pin(seeds: dict[str, int]) -> None:
    """Write them down."""
    PINNED_SEEDS.write_text("".join(f"{seed} {name}\n" for name, seed in seeds.items()), encoding="utf-8")
