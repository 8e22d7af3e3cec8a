"""What is measured, on whom, and what the figures are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Server, then dialect of the load, of everybody who takes part. bench/contenders.py starts the servers.
DIALECTS: Mapping[str, str] = {
    "ours": "rockstar",
    "ours batch": "rockstar-batch",
    "ours raised": "rockstar",
    "ours rpc": "rockstar-rpc",
    "ours two": "rockstar",
    "ours Valkey": "rockstar",
    "ours daphne": "rockstar",
    "ours postgres": "rockstar",
    "Channels": "channels",
    "Channels Valkey": "channels",
    "Channels two": "channels",
    "Channels postgres": "channels",
    "Node ws": "node-ws",
    "Socket.IO": "socketio",
    "nchan": "nchan",
}


@dataclass(frozen=True)
class Work:
    """One job of the load generator, done on each contender in turn."""

    name: str
    job: str
    contenders: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    # An echo socket in a process of its own, meanwhile.
    has_probe: bool = False
    # On a server just started: what others left behind would hide what its sockets take.
    needs_fresh: bool = False


@dataclass(frozen=True)
class Figure:
    """One number of one contender in one work: `rate`, `us`, `p99_ms`, `kib` …"""

    work: str
    contender: str
    name: str = "rate"


@dataclass(frozen=True)
class Comparison:
    """A line of the table: a figure, by itself or as a ratio to another's, with its goals."""

    title: str
    figure: Figure
    against: Figure | None = None
    must: float | None = None
    stretch: float | None = None
    is_at_most: bool = False


FANOUT_PEERS = ("Socket.IO", "Node ws", "nchan")
USUAL = ("Channels", "Channels Valkey")


def works(*, is_quick: bool) -> list[Work]:
    """Everything that is measured; the quick run leaves out the large crowds and measures for a shorter time."""
    # Connects come first: they want servers that have just been started.
    seconds = 1.5 if is_quick else 4.0
    common = [
        Work(
            "fanout-1000-w1", "fanout", ("ours", *FANOUT_PEERS, *USUAL), {"width": 1, "duration_s": seconds}
        ),
        Work(
            "fanout-1000-w16",
            "fanout",
            ("ours", "ours batch", *FANOUT_PEERS),
            {"width": 16, "duration_s": seconds},
        ),
        Work("steady", "steady", ("ours",), {"rate": 200.0, "width": 16, "duration_s": 2 * seconds}),
        *(
            Work(
                f"echo-{depth}",
                "echo",
                ("ours raised", "Node ws", "Channels"),
                {"depth": depth} | _time(seconds),
            )
            for depth in (1, 8)
        ),
        *(Work(f"rpc-{depth}", "echo", ("ours rpc",), {"depth": depth} | _time(seconds)) for depth in (1, 8)),
        Work(
            "two-w1", "fanout", ("ours two", "Channels two"), {"members": 2000, "width": 1} | _time(seconds)
        ),
        Work("storm", "storm", ("ours", "ours Valkey"), {"members": 200}),
        Work(
            "chat",
            "chat",
            ("ours", "Channels") if is_quick else ("ours", "Channels", "ours postgres", "Channels postgres"),
            {"members": 50} | _time(seconds),
        ),
    ]
    if is_quick:
        return [_connects(1000), *(work for work in common if work.name != "rpc-8")]
    return [_connects(5000), *common, *_large(seconds)]


def _large(seconds: float) -> list[Work]:
    return [
        *(
            Work(
                f"fanout-{members}-w1",
                "fanout",
                ("ours", "Socket.IO", "Node ws"),
                {"members": members, "width": 1, "duration_s": 2 * seconds},
                has_probe=True,
            )
            for members in (5000, 10_000)
        ),
        Work("connects-1000", "connects", ("ours postgres", "Channels"), {"members": 1000}, needs_fresh=True),
        Work("connects-daphne", "connects", ("ours daphne",), {"members": 1000}),
        Work(
            "stalled",
            "stalled",
            ("ours",),
            # More than the kernel (3.9 MB on loopback) and the outbox (1 MiB) hold.
            {"rate": 40.0, "width": 16, "text_bytes": 8000, "duration_s": 20.0},
        ),
    ]


def _connects(members: int) -> Work:
    return Work(
        "connects", "connects", ("ours", "Socket.IO", "Node ws"), {"members": members}, needs_fresh=True
    )


def _time(seconds: float) -> dict[str, float]:
    return {"duration_s": seconds}


def comparisons(*, is_quick: bool) -> list[Comparison]:
    """The lines of the table, in order; those of works that were not done are left out."""
    done = {work.name for work in works(is_quick=is_quick)}
    lines = [*_fanout(), *_large_crowds(), *_latency(), *_two(), *_echo(), *_held(), *_storm(), *_chat()]
    return [line for line in lines if line.figure.work in done]


def _fanout() -> list[Comparison]:
    one, many = Figure("fanout-1000-w1", "ours"), Figure("fanout-1000-w16", "ours")
    batch = Figure("fanout-1000-w16", "ours batch")
    first, sixteen, batches = "fan-out to 1,000, 1 at once", "fan-out to 1,000, 16 at once", "… in batches"
    return [
        *_against(first, one, {"Socket.IO": (1.5, 1.8), "Node ws": (1.0, 1.2), "nchan": (None, None)}),
        *_against(first, one, {"Channels": (40, 60), "Channels Valkey": (None, None)}),
        *_against(sixteen, many, {"Socket.IO": (7, 10), "Node ws": (None, None), "nchan": (1.8, 3)}),
        *_flawless(sixteen, many),
        *_against(batches, batch, {"Socket.IO": (11, 16), "nchan": (None, None)}),
        *_flawless(batches, batch),
    ]


def _large_crowds() -> list[Comparison]:
    lines: list[Comparison] = []
    for members in (5000, 10_000):
        title, ours = f"fan-out to {members:,}, 1 at once", Figure(f"fanout-{members}-w1", "ours")
        cost = Figure(ours.work, "ours", "us")
        probe = Figure(ours.work, "ours", "echo_p99_ms")
        lines += [
            *_against(title, ours, {"Socket.IO": (None, None), "Node ws": (None, None)}),
            Comparison(
                f"{title}, cost", cost, Figure("fanout-1000-w1", "ours", "us"), 1.25, 1.1, is_at_most=True
            ),
            Comparison(f"{title}, another's echo p99 ms", probe, None, 15, 8, is_at_most=True),
        ]
    return lines


def _latency() -> list[Comparison]:
    steady, title = Figure("steady", "ours"), "200 msg/s to 1,000"
    stall = "one of 1,000 stalled"
    return [
        Comparison(f"{title}, p99 ms", Figure("steady", "ours", "p99_ms"), None, 400, 100, is_at_most=True),
        *_flawless(title, steady),
        Comparison(f"{stall}, MiB more", Figure("stalled", "ours", "grown_mib"), None, 1, is_at_most=True),
        Comparison(f"{stall}, closed with", Figure("stalled", "ours", "stalled_close_code"), None, 4410),
        Comparison(
            f"{stall}, p99 of the others", Figure("stalled", "ours", "p99_ratio"), None, 1.2, is_at_most=True
        ),
    ]


def _two() -> list[Comparison]:
    ours, title = Figure("two-w1", "ours two"), "two processes by Valkey"
    return [
        Comparison(title, ours, Figure("fanout-1000-w1", "ours"), 0.7, 0.9),
        Comparison(title, ours, Figure("two-w1", "Channels two"), 18, 23),
        *_flawless(title, ours),
    ]


def _echo() -> list[Comparison]:
    goals = {1: (0.6, 0.9), 8: (0.7, 1.0)}
    lines: list[Comparison] = []
    for depth, (must, stretch) in goals.items():
        title, ours = f"echo, 64 sockets, {depth} in flight", Figure(f"echo-{depth}", "ours raised")
        lines += _against(title, ours, {"Channels": (8, 11), "Node ws": (must, stretch)})
    for depth in goals:
        rpc = Figure(f"rpc-{depth}", "ours rpc")
        lines.append(
            Comparison(
                f"get_user, 64 sockets, {depth} in flight", rpc, Figure(f"echo-{depth}", "Node ws"), 0.45, 0.7
            )
        )
    return lines


def _held() -> list[Comparison]:
    kib, ours = Figure("connects", "ours", "kib"), Figure("connects", "ours")
    idle, ready = "idle socket, KiB", "connects with a JWT"
    last = Figure("connects", "ours", "last_to_first")
    queries = Figure("connects-1000", "ours postgres", "queries")
    return [
        Comparison(idle, kib, None, 14, 9, is_at_most=True),
        *(
            Comparison(idle, kib, Figure("connects", peer, "kib"), is_at_most=True)
            for peer in ("Socket.IO", "Node ws")
        ),
        Comparison(idle, kib, Figure("connects-1000", "Channels", "kib"), is_at_most=True),
        Comparison(
            f"{idle}, on Daphne", Figure("connects-daphne", "ours daphne", "kib"), None, 24, is_at_most=True
        ),
        *_against(ready, ours, {"Socket.IO": (1.1, 1.4), "Node ws": (None, None)}),
        Comparison(f"{ready}, last 500 to first 500", last, None, 0.85),
        # What the server asks by itself, for all connections together, is in it.
        Comparison(f"{ready}, queries each", queries, None, 0.05, 0.01, is_at_most=True),
    ]


def _storm() -> list[Comparison]:
    title, valkey = "200 sockets come back to 50 topics", Figure("storm", "ours Valkey", "us")
    asked = Figure("storm", "ours Valkey", "commands")
    return [
        Comparison(
            f"{title}, Valkey's cost to memory's", valkey, Figure("storm", "ours", "us"), 1.5, is_at_most=True
        ),
        Comparison(f"{title}, commands a topic", asked, None, 5, is_at_most=True),
        *(
            Comparison(
                f"{title}, not whole", Figure("storm", contender, "not_whole"), None, 0, is_at_most=True
            )
            for contender in ("ours", "ours Valkey")
        ),
    ]


def _chat() -> list[Comparison]:
    lines: list[Comparison] = []
    for suffix, database, must in (("", "SQLite", 1500), (" postgres", "PostgreSQL", 2500)):
        title, ours = f"chat, stored in {database}", Figure("chat", f"ours{suffix}")
        lines += [
            Comparison(f"{title}, a second", ours, None, must, 2 * must),
            Comparison(f"{title}, to one commit each", ours, Figure("chat", f"Channels{suffix}")),
            *_flawless(title, ours),
        ]
    return lines


def _against(title: str, figure: Figure, goals: Mapping[str, Sequence[float | None]]) -> list[Comparison]:
    return [
        Comparison(title, figure, Figure(figure.work, peer, figure.name), must, stretch)
        for peer, (must, stretch) in goals.items()
    ]


def _flawless(title: str, figure: Figure) -> list[Comparison]:
    return [
        Comparison(f"{title}, {name}", Figure(figure.work, figure.contender, name), None, 0, is_at_most=True)
        for name in ("lost", "reordered")
    ]
