"""The requirements of a broker, checked against its own INFO."""

from collections.abc import Mapping
from typing import Any, NamedTuple

REDIS_MIN, VALKEY_MIN = 7, 8


class Verdict(NamedTuple):
    """Sentences: reasons why the broker cannot be used, and warnings for the operator."""

    refusals: list[str]
    warnings: list[str]


def judge_broker(server: Mapping[str, Any], memory: Mapping[str, Any]) -> Verdict:
    """Return the verdict on the sections `server` and `memory` of a broker's INFO."""
    refusals, warnings = [], []
    name, version, minimum = _product(server)
    if _major(version) < minimum:
        refusals.append(
            f"The broker is {name} {version}: Redis {REDIS_MIN} or Valkey {VALKEY_MIN} is the oldest that is supported."
        )
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    if int(memory.get("maxmemory", 0)) and policy != "noeviction":
        if policy.startswith("allkeys-"):
            refusals.append(
                f"The broker's maxmemory-policy is {policy}: it would drop what topics need. Set noeviction."
            )
        else:
            warnings.append(
                f"The broker's maxmemory-policy is {policy}: when its memory is full it drops histories, and their "
                "subscribers load again. Set noeviction."
            )
    return Verdict(refusals, warnings)


def _product(server: Mapping[str, Any]) -> tuple[str, str, int]:
    if "valkey_version" in server:
        return "Valkey", str(server["valkey_version"]), VALKEY_MIN
    return "Redis", str(server.get("redis_version", "0")), REDIS_MIN


def _major(version: str) -> int:
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else 0
