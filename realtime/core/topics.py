"""Names of topics, and their rules: who may subscribe and publish, and how much is kept.

Rules are declared in settings, and found by the part of the name before the first `:`.
"""

import functools
import inspect
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec
from asgiref.sync import iscoroutinefunction

from realtime.core.contracts import Contract
from realtime.core.identity import Identity
from realtime.protocol.errors import ErrorCode, RequestError

Gate = Callable[[Identity | None, str], bool]
TOPIC_MAX_CHARS = 255
# The rights of operators to a topic: to use its data, to add to it without reading it, or only to see who follows it.
ALL, PUBLISH, METADATA = "all", "publish", "metadata"


def anyone(identity: Identity | None, topic: str) -> bool:
    """Allows everybody, signed in or not."""
    return True


def members(identity: Identity | None, topic: str) -> bool:
    """Allows signed-in members of the tenant; every identity is one."""
    return identity is not None


def publishing_members(identity: Identity | None, topic: str) -> bool:
    """Allows members whose credential holds `pubsub:publish`."""
    return identity is not None and "pubsub:publish" in identity.scopes


def owner(identity: Identity | None, topic: str) -> bool:
    """Allows the user whose id follows the prefix: `user:7` belongs to user 7."""
    return identity is not None and topic.partition(":")[2] == str(identity.user_id)


def staff(identity: Identity | None, topic: str) -> bool:
    """Allows staff of the tenant."""
    return identity is not None and identity.is_staff


def nobody(identity: Identity | None, topic: str) -> bool:
    """Allows no client; only the server may."""
    return False


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a topic is kept: at most `size` publications, none older than `ttl_s` seconds.

    With a size or age of 0 nothing is kept, but offsets still rise.
    """

    size: int = 1000
    ttl_s: float = 300.0


@dataclass(frozen=True, slots=True)
class TopicRule:
    """What a group of topics allows, and how much of each is kept.

    `history_size` counts publications, `history_ttl_s` is in seconds; a size of 0 keeps nothing. A gate is
    called on the loop (no I/O) with the identity (None if not signed in) and the whole name.
    `subscribe_in_db` is called in a database thread, after `subscribe` has allowed, and `publish_in_db` likewise,
    for each message. A gate is a plain function and allows only by returning True; any other value, even a truthy
    one, denies.

    `operator` is what operators may do with the data: `"all"`; `"metadata"`, which lets them see who follows the topic,
    but not publish, subscribe anybody or read the history; or `"publish"`, which lets them publish besides.

    `data` is the type of the publications' data: a Struct, or a union of tagged ones. What clients publish is always
    checked against it, what the server publishes with DEBUG and in tests.
    """

    subscribe: Gate = anyone
    publish: Gate = anyone
    subscribe_in_db: Gate | None = None
    history_size: int = 1000
    history_ttl_s: float = 300.0
    operator: Literal["all", "publish", "metadata"] = "all"
    publish_in_db: Gate | None = None
    data: Any = None
    # Both of them, made once.
    retention: Retention = field(init=False, repr=False, compare=False)
    # None without `data`, and for one that is no type.
    contract: Contract | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "retention", Retention(self.history_size, self.history_ttl_s))
        if self.data is not None:
            with suppress(TypeError):
                object.__setattr__(self, "contract", Contract(self.data, "The data of a publication", "data"))


def rule_faults(rules: Mapping[str, TopicRule]) -> Iterator[str]:
    """Yield the faults of `rules`, one sentence for each: parts that could never deny, match or keep."""
    for prefix, rule in rules.items():
        if not isinstance(rule, TopicRule):
            yield f"The topic rule {prefix!r} must be a TopicRule, received {rule!r}."
            continue
        if not isinstance(prefix, str) or ":" in prefix:
            yield (
                f"The topic rule {prefix!r} never matches: a prefix is the part of a name before its first `:`."
                f"{_instead(prefix)}"
            )
        elif not _may_begin_a_name(prefix):
            yield f"The topic rule {prefix[:40]!r} never matches: no topic has such a name."
        for name, kinds in (("history_size", int), ("history_ttl_s", (int, float))):
            kept: object = getattr(rule, name)
            if isinstance(kept, bool) or not isinstance(kept, kinds) or not kept >= 0:
                yield f"The {name} of the topic rule {prefix!r} must be a number of 0 or more, received {kept!r}."
        yield from _part_faults(prefix, rule)
        yield from _gate_faults(prefix, rule)


def _instead(prefix: object) -> str:
    return f" Write {prefix.partition(':')[0]!r}." if isinstance(prefix, str) else ""


def _part_faults(prefix: str, rule: TopicRule) -> Iterator[str]:
    if rule.operator not in {ALL, PUBLISH, METADATA}:
        yield f"`operator` of the topic rule {prefix!r} is none of {ALL!r}, {PUBLISH!r} and {METADATA!r}."
    if rule.data is not None and rule.contract is None:
        yield f"`data` of the topic rule {prefix!r} is no type that JSON can hold: {rule.data!r}."


def _may_begin_a_name(prefix: str) -> bool:
    try:
        check_topic_name(f"{prefix}:")
    except RequestError:
        return False
    return True


def _gate_faults(prefix: str, rule: TopicRule) -> Iterator[str]:
    for name in ("subscribe", "publish", "subscribe_in_db", "publish_in_db"):
        gate: object = getattr(rule, name)
        if gate is None and name.endswith("_in_db"):
            continue
        if not callable(gate):
            yield (
                f"The gate {name!r} of the topic rule {prefix!r} is not a function: received {gate!r}; give `members`, "
                "`nobody` or a function of your own."
            )
        elif _is_async(gate):
            yield (
                f"The gate {name!r} of the topic rule {prefix!r} is a coroutine function, and nothing awaits it: "
                f"make it a plain function (`subscribe_in_db` and `publish_in_db` may use the database)."
            )
        elif not _takes_two(gate):
            yield (
                f"The gate {name!r} of the topic rule {prefix!r} must take the identity and the topic's name: "
                "gate(identity, topic)."
            )


def _takes_two(gate: Callable[..., object]) -> bool:
    try:
        inspect.signature(gate).bind(None, "")
    except TypeError:
        return False
    except ValueError:
        # A function in C without a signature.
        return True
    return True


def _is_async(gate: object) -> bool:
    while isinstance(gate, functools.partial):
        gate = gate.func
    # A callable object is checked by its `__call__` method.
    return any(
        iscoroutinefunction(each) or inspect.isasyncgenfunction(each) or inspect.isgeneratorfunction(each)
        for each in (gate, getattr(gate, "__call__", None))  # noqa: B004 the method itself is looked at
    )


class TopicKey(NamedTuple):
    """A topic of a tenant. The same name in two tenants means two topics."""

    tenant: str
    topic: str


class TopicRules:
    """The declared rules. Topics with an undeclared prefix are denied."""

    def __init__(self, rules: Mapping[str, TopicRule]) -> None:
        self._rules = dict(rules)

    def rule(self, topic: str) -> TopicRule:
        """The rule for a topic name; raises RequestError(invalid_message | permission_denied)."""
        check_topic_name(topic)
        rule = self._rules.get(topic_prefix(topic) or "")
        if rule is None:
            raise RequestError(ErrorCode.PERMISSION_DENIED, "No rule allows topics with this prefix.")
        return rule

    def contract_of(self, topic: str) -> Contract | None:
        """Return the declared type of the data of a topic, if there is one; raises what `rule` raises."""
        return self.rule(topic).contract

    def check_data(self, topic: str, data: msgspec.Raw) -> None:
        """Raise RequestError(invalid_message) for data of a client that does not fit the topic's declared type."""
        contract = self.rule(topic).contract
        fault = contract and contract.fault_of(data)
        if fault:
            why, path = fault
            raise RequestError(
                ErrorCode.INVALID_MESSAGE, f"Wrong data: {why}.", details={"field": f"payload.{path}"}
            )

    def require_operator(self, topic: str) -> TopicRule:
        """Return the rule, if operators may read the topic's data; otherwise raises
        RequestError(invalid_message | permission_denied)."""
        return self._require_right(topic, ALL)

    def require_operator_publish(self, topic: str) -> TopicRule:
        """Return the rule, if operators may publish to the topic; otherwise raises
        RequestError(invalid_message | permission_denied)."""
        return self._require_right(topic, ALL, PUBLISH)

    def _require_right(self, topic: str, *rights: str) -> TopicRule:
        rule = self.rule(topic)
        if rule.operator not in rights:
            raise RequestError(
                ErrorCode.PERMISSION_DENIED, "The rule of this topic keeps its data from operators."
            )
        return rule

    def require_subscribe(self, identity: Identity | None, topic: str) -> TopicRule:
        """The rule, if `identity` may subscribe; otherwise raises
        RequestError(unauthenticated | permission_denied)."""
        rule = self.rule(topic)
        return self._require(rule, rule.subscribe, identity, topic, "subscribe to")

    def require_publish(self, identity: Identity | None, topic: str) -> TopicRule:
        """The rule, if `identity` may publish; otherwise raises RequestError(unauthenticated |
        permission_denied)."""
        rule = self.rule(topic)
        return self._require(rule, rule.publish, identity, topic, "publish to")

    def _require(
        self, rule: TopicRule, gate: Gate, identity: Identity | None, topic: str, verb: str
    ) -> TopicRule:
        # Only True itself, because a coroutine or a database row is also truthy.
        if gate(identity, topic) is True:
            return rule
        if identity is None:
            raise RequestError(ErrorCode.UNAUTHENTICATED, f"Sign in to {verb} this topic.")
        raise RequestError(ErrorCode.PERMISSION_DENIED, f"You may not {verb} this topic.")


def check_topic_name(name: str) -> str:
    """Return `name` if it has 1 to 255 characters and no control characters; else raises
    RequestError(invalid_message)."""
    if not 0 < len(name) <= TOPIC_MAX_CHARS:
        raise _bad_name(f"Expected a topic name of 1 to {TOPIC_MAX_CHARS} characters, received {len(name)}.")
    if not name.isprintable() and any(unicodedata.category(char) in {"Cc", "Cs"} for char in name):
        raise _bad_name("A topic name must not contain control characters.")
    return name


def topic_prefix(name: str) -> str | None:
    """Return the part before the first `:`, by which topic rules are found; None if there is no `:`."""
    prefix, colon, _ = name.partition(":")
    return prefix if colon else None


def _bad_name(message: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": "payload.topic"})
