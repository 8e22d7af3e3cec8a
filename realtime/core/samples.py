"""Samples of the figures of a cluster: what happened on each node since the sample before, in a bounded form.

A sample stands for itself: no other one is needed to read it. Times are Unix time in seconds.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from realtime.core.figures import Figures, Histogram, RouteFigures, Values, kept, total

# Stands for the routes of a tenant, and for the tenants, that a sample does not keep apart.
OTHER = "other"
# Nodes that a sample keeps apart. The nodes beyond it are one, named OTHER.
NODES_MAX = 64
# Gauges of which the largest value of a time matters, and not the last one.
_PEAKS = frozenset({"loop_lag", "outbox_bytes", "limit_fill", "draining", "database_waiting"})
# Those of which the smallest matters.
_LOWS = frozenset({"broker_up"})

# The figures of nodes, alive or ended, by their ids.
Nodes = dict[str, Figures]


class Sample(msgspec.Struct, array_like=True):
    """The figures of each node in the `span_s` seconds before `at_s`.

    Counts are what was counted in this time, gauges and open connections are as of `at_s`. Routes without
    anything are left out. A node without gauges has ended.
    """

    at_s: float
    span_s: float
    nodes: Nodes = {}


class Base(msgspec.Struct, array_like=True):
    """All counts as of the last sample: the next sample has what was counted since."""

    at_s: float
    nodes: Nodes = {}


# Rows of one tenant, by node.
_Rows = dict[str, list[RouteFigures]]
_sample_decoder = msgspec.msgpack.Decoder(Sample)
_base_decoder = msgspec.msgpack.Decoder(Base)
# The rows of all tenants: the parts stay encoded, so that one of them is read without the others.
_tenants_decoder = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_part_decoder = msgspec.msgpack.Decoder(bytes)
_rows_decoder = msgspec.msgpack.Decoder(_Rows)


def encode(value: Sample | Base | _Rows) -> bytes:
    """Return a base, the body of a sample, or the rows of one tenant, as stored."""
    return zlib.compress(msgspec.msgpack.encode(value), level=1)


def encode_sample(sample: Sample) -> tuple[bytes, bytes]:
    """Return a sample as stored: the sums of all tenants, which most charts show, and the rows of each tenant."""
    by_tenant: dict[str, _Rows] = {}
    for node, figures in sample.nodes.items():
        for row in figures.routes:
            by_tenant.setdefault(row.tenant, {}).setdefault(node, []).append(row)
    tenants = {tenant: encode(rows) for tenant, rows in by_tenant.items()}
    nodes = {
        node: msgspec.structs.replace(figures, routes=_summed(figures.routes, lambda row: ("", row.route)))
        for node, figures in sample.nodes.items()
    }
    return encode(Sample(sample.at_s, sample.span_s, nodes)), msgspec.msgpack.encode(tenants)


def decode_samples(bodies: Iterable[bytes]) -> Iterator[Sample]:
    """Yield stored samples, without tenants; those of another version, which cannot be read, are passed over."""
    for body in bodies:
        with suppress(msgspec.MsgspecError, zlib.error):
            yield _sample_decoder.decode(zlib.decompress(body))


def decode_with_tenants(stored: Iterable[tuple[bytes, bytes]], tenant: str | None = None) -> Iterator[Sample]:
    """Yield samples with the rows of one tenant, or of all (None); those that cannot be read are passed over."""
    for body, tenants in stored:
        with suppress(msgspec.MsgspecError, zlib.error):
            sample = _sample_decoder.decode(zlib.decompress(body))
            if tenants:
                rows = _rows_of(tenants, tenant)
                for node, figures in sample.nodes.items():
                    figures.routes = rows.get(node, [])
            # A sample of an older version has its tenants in the body.
            yield sample


def decode_base(body: bytes) -> Base:
    """Return a stored base; one without any counts if it cannot be read."""
    with suppress(msgspec.MsgspecError, zlib.error):
        return _base_decoder.decode(zlib.decompress(body))
    return Base(0.0)


def base_of(nodes: Mapping[str, Figures], at_s: float) -> Base:
    """Return the counts of these nodes."""
    return Base(at_s, {node: kept(figures) for node, figures in nodes.items()})


def take(nodes: Mapping[str, Figures], base: Base, at_s: float, started_s: float, rows_max: int) -> Sample:
    """Return the sample at `at_s`: what these nodes have counted since `base`, in at most `rows_max` rows.

    A node that `base` does not have has counted everything since. `started_s` is when the first of the nodes
    that are alive started: nothing happened before it (after the base).
    """
    span_s = max(at_s - max(base.at_s, started_s), 0.0)
    changes = {node: since(figures, base.nodes.get(node)) for node, figures in nodes.items()}
    present = {node: figures for node, figures in changes.items() if figures.gauges or _has_counts(figures)}
    return Sample(at_s, span_s, _bounded(present, rows_max))


def since(now: Figures, before: Figures | None) -> Figures:
    """Return `now` with what was counted since `before`; counts never fall. Rows without anything are left out."""
    if before is None:
        before = Figures()
    rows = {(row.tenant, row.route): row for row in before.routes}
    routes = [_row_since(row, rows.get((row.tenant, row.route))) for row in now.routes]
    histograms = {
        name: _histogram_since(each, before.histograms.get(name)) for name, each in now.histograms.items()
    }
    return Figures(
        now.place,
        now.version,
        [row for row in routes if _is_used(row)],
        _labels_since(now.publish_failures, before.publish_failures),
        _counts_since(now.counts, before.counts),
        now.gauges,
        {name: each for name, each in histograms.items() if any(each.counts)},
    )


def together(samples: Sequence[Sample]) -> Sample:
    """Return samples that follow each other as one: counts add up, gauges are the last or the largest ones."""
    nodes: dict[str, list[Figures]] = {}
    for sample in samples:
        for node, figures in sample.nodes.items():
            nodes.setdefault(node, []).append(figures)
    last = samples[-1]
    merged = {node: _over_time(parts, last.nodes.get(node)) for node, parts in nodes.items()}
    return Sample(last.at_s, sum(sample.span_s for sample in samples), merged)


def _rows_of(tenants: bytes, tenant: str | None) -> _Rows:
    parts = _tenants_decoder.decode(tenants)
    wanted = parts.values() if tenant is None else [parts[tenant]] if tenant in parts else []
    rows: _Rows = {}
    for part in wanted:
        for node, more in _rows_decoder.decode(zlib.decompress(_part_decoder.decode(part))).items():
            rows.setdefault(node, []).extend(more)
    return rows


def _over_time(parts: Sequence[Figures], last: Figures | None) -> Figures:
    result = total(parts)
    gauges = {**parts[-1].gauges} if last is not None else {}
    for name in gauges.keys() & (_PEAKS | _LOWS):
        choose = min if name in _LOWS else max
        gauges[name] = {
            label: choose(part.gauges[name][label] for part in parts if label in part.gauges.get(name, {}))
            for label in gauges[name]
        }
    result.gauges = gauges
    open_now = {(row.tenant, row.route): row for row in last.routes} if last is not None else {}
    for row in result.routes:
        now = open_now.get((row.tenant, row.route))
        row.active, row.subscriptions = (now.active, now.subscriptions) if now else (0, 0)
    return result


def _row_since(row: RouteFigures, before: RouteFigures | None) -> RouteFigures:
    if before is None:
        return row
    # Written out: a feed does this for hundreds of rows at a time.
    return RouteFigures(
        row.tenant,
        row.route,
        row.active,
        row.subscriptions,
        max(row.opened_total - before.opened_total, 0),
        max(row.messages_in - before.messages_in, 0),
        max(row.messages_out - before.messages_out, 0),
        max(row.bytes_in - before.bytes_in, 0),
        max(row.bytes_out - before.bytes_out, 0),
        max(row.dropped - before.dropped, 0),
        _labels_since(row.closed_by_code, before.closed_by_code),
        _labels_since(row.errors_by_code, before.errors_by_code),
        _labels_since(row.refused_by_status, before.refused_by_status),
    )


def _is_used(row: RouteFigures) -> bool:
    return bool(
        row.active
        or row.subscriptions
        or row.opened_total
        or row.messages_in
        or row.messages_out
        or row.dropped
        or row.closed_by_code
        or row.errors_by_code
        or row.refused_by_status
    )


def _labels_since(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    if not now or now == before:
        return {}
    changes = {label: count - before.get(label, 0) for label, count in now.items()}
    return {label: count for label, count in changes.items() if count > 0}


def _counts_since(now: Values, before: Values) -> Values:
    result: Values = {}
    for name, counts in now.items():
        earlier = before.get(name, {})
        changes = {label: count - earlier.get(label, 0.0) for label, count in counts.items()}
        if risen := {label: count for label, count in changes.items() if count > 0}:
            result[name] = risen
    return result


def _histogram_since(now: Histogram, before: Histogram | None) -> Histogram:
    if before is None:
        return now
    counts = [max(ours - theirs, 0) for ours, theirs in zip(now.counts, before.counts, strict=True)]
    return Histogram(counts, max(now.sum_s - before.sum_s, 0.0))


def _has_counts(figures: Figures) -> bool:
    return bool(figures.routes or figures.counts or figures.histograms or figures.publish_failures)


def _bounded(nodes: Nodes, rows_max: int) -> Nodes:
    """Keep the busiest routes of each node apart, and the others of each tenant as one row."""
    if len(nodes) > NODES_MAX:
        names = sorted(nodes, key=lambda node: len(nodes[node].routes), reverse=True)
        rest = total([nodes[node] for node in names[NODES_MAX - 1 :]])
        nodes = {node: nodes[node] for node in names[: NODES_MAX - 1]} | {OTHER: rest}
    if not rows_max or sum(len(figures.routes) for figures in nodes.values()) <= rows_max:
        return nodes
    share = max(rows_max // len(nodes), 1)
    for figures in nodes.values():
        figures.routes = _fold(figures.routes, share)
        figures.publish_failures = {}
    return nodes


def _fold(rows: list[RouteFigures], rows_max: int) -> list[RouteFigures]:
    """Return at most `rows_max` rows with the same sums."""
    if len(rows) <= rows_max:
        return rows
    busiest = sorted(rows, key=_weight, reverse=True)
    apart = rows_max // 2
    rest = _summed(busiest[apart:], lambda row: (row.tenant, OTHER))
    if apart + len(rest) > rows_max:
        rest.sort(key=_weight, reverse=True)
        named = max(rows_max - apart - 1, 0)
        rest = [*rest[:named], *_summed(rest[named:], lambda row: (OTHER, OTHER))]
    return [*busiest[:apart], *rest]


def _summed(
    rows: Sequence[RouteFigures], key_of: Callable[[RouteFigures], tuple[str, str]]
) -> list[RouteFigures]:
    sums: dict[tuple[str, str], RouteFigures] = {}
    for row in rows:
        key = key_of(row)
        sums.setdefault(key, RouteFigures(*key)).add(row)
    return list(sums.values())


def _weight(row: RouteFigures) -> int:
    return row.active + row.messages_in + row.messages_out + row.opened_total
