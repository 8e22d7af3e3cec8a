"""Variables that look like those of this site and that nothing reads: most likely a name with a mistake."""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

# Every variable with one of these beginnings is meant for this site.
OURS = ("REALTIME_", "CHAT_")
# Another name has to be this much like a known one (of 1) before it is taken for a mistake: it may be somebody else's.
LIKE = 0.85
# What Kubernetes sets in every container for a service with the name `realtime` or `chat-web`.
_OF_KUBERNETES = re.compile(
    r"\w+_SERVICE_(HOST|PORT(_\w+)?)|\w+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
# Names to suggest. More would be a list to read.
SUGGESTIONS_MAX = 2


def unknown_variables(given: Mapping[str, str], known: Collection[str]) -> dict[str, list[str]]:
    """Return the names of `given` that are a mistake, each with the nearest of the `known` names, the best first."""
    return {
        name: nearest
        for name in sorted(given)
        if name not in known and not _is_of_kubernetes(name, given[name])
        for nearest in [_nearest(name, known)]
        if nearest or name.upper().startswith(OURS)
    }


def _is_of_kubernetes(name: str, value: str) -> bool:
    is_port = name.endswith("_PORT") and _ADDRESS.match(value) is not None
    return is_port or _OF_KUBERNETES.fullmatch(name) is not None


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    if not name.upper().startswith(OURS):
        return get_close_matches(name, known, n=1, cutoff=LIKE)
    bare = {_without_beginning(each): each for each in known}
    wanted = _without_beginning(name.upper())
    # `PING` for `PING_INTERVAL_S`: by letters alone, `PAGES` would be nearer.
    words = set(wanted.split("_"))
    longer = [each for each in bare if words <= set(each.split("_"))]
    shortest = min((each.count("_") for each in longer), default=0)
    found = [each for each in longer if each.count("_") == shortest][:SUGGESTIONS_MAX]
    return [bare[each] for each in found or get_close_matches(wanted, bare, n=1)]


def _without_beginning(name: str) -> str:
    beginning = next((each for each in OURS if name.startswith(each)), "")
    return name.removeprefix(beginning)
