"""A limit on the attempts that fail in a time, for example to sign in with a password.

An attempt is counted when it begins, so that many at once cannot exceed the limit, and taken back if it was right.
"""

from collections import OrderedDict
from typing import NamedTuple


class AttemptRule(NamedTuple):
    """For each key at most `limit` attempts that failed, or have not ended, in `window_s` seconds. Both are above 0."""

    limit: int
    window_s: float


class Verdict(NamedTuple):
    """Whether an attempt may begin. If not: how many of the counted ones have failed, and the seconds until the first of
    these counts no more."""

    may_begin: bool
    failed: int = 0
    wait_s: float = 0.0


class _Counted(NamedTuple):
    at_s: float
    has_failed: bool


class AttemptTable:
    """The attempts of one process. Beyond `keys_max` keys the least recently used is forgotten."""

    def __init__(self, rule: AttemptRule, *, keys_max: int) -> None:
        self._rule = rule
        self._keys_max = keys_max
        # By key and token; the key used last comes last.
        self._keys: OrderedDict[str, dict[str, _Counted]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._keys)

    def take(self, key: str, token: str, now_s: float) -> Verdict:
        """Begin the attempt `token`, if it may begin. The same attempt may be asked for again."""
        counted = self._counted(key, now_s)
        if token in counted or len(counted) < self._rule.limit:
            counted.setdefault(token, _Counted(now_s, has_failed=False))
            self._keep(key, counted)
            return Verdict(may_begin=True)
        failed = [each.at_s for each in counted.values() if each.has_failed]
        left_s = min(failed) + self._rule.window_s - now_s if failed else 0.0
        return Verdict(False, len(failed), left_s)

    def fail(self, key: str, token: str, now_s: float) -> None:
        """The attempt has failed: it counts from now on for the whole window."""
        counted = self._counted(key, now_s)
        counted[token] = _Counted(now_s, has_failed=True)
        self._keep(key, counted)

    def free(self, key: str, token: str) -> None:
        """The attempt was right: it does not count."""
        counted = self._keys.get(key)
        if counted is not None and counted.pop(token, None) is not None and not counted:
            del self._keys[key]

    def _counted(self, key: str, now_s: float) -> dict[str, _Counted]:
        counted = self._keys.get(key, {})
        oldest_s = now_s - self._rule.window_s
        return {token: each for token, each in counted.items() if each.at_s > oldest_s}

    def _keep(self, key: str, counted: dict[str, _Counted]) -> None:
        self._keys[key] = counted
        self._keys.move_to_end(key)
        if len(self._keys) > self._keys_max:
            self._keys.popitem(last=False)
