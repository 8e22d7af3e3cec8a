"""The rows of the samples, and the lease of the node that takes them. All functions run in a database thread."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Q, QuerySet

from realtime import tables
from realtime.core.samples import (
    Nodes,
    Sample,
    base_of,
    decode_base,
    decode_samples,
    decode_with_tenants,
    encode,
    encode_sample,
    take,
    together,
)
from realtime.node.old_rows import delete_some

# Samples that a coarse one sums up.
COARSE_SAMPLES = 12
# Seconds up to which a range is read from the fine samples. A longer one would have too many.
FINE_RANGE_S = 3_600
_ROW = 1


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to take samples: the node that has it ("": none), and a number that rises with each sample."""

    holder: str
    beat: int


@dataclass(frozen=True, slots=True)
class Taking:
    """A sample to be taken: the node that asks, the figures of all nodes, and the times as in `samples.take`."""

    holder: str
    nodes: Nodes
    at_s: float
    started_s: float
    interval_s: float
    rows_max: int
    retention_s: float


def read_lease() -> Lease:
    """Return the lease as it is now; nobody holds it before the first sample."""
    found = tables.SamplesLease.objects.filter(pk=_ROW).values_list("holder", "beat").first()
    return Lease(*found) if found else Lease("", 0)


def write(taking: Taking, known: Lease) -> bool:
    """Take the lease if it is still `known`, and store a sample. Return False if another node was faster."""
    lease = tables.SamplesLease.objects
    with transaction.atomic():
        if not known.beat:
            # The first sample of all, unless another node stores it now.
            lease.bulk_create([tables.SamplesLease(pk=_ROW, holder="", beat=0)], ignore_conflicts=True)
        row = lease.filter(pk=_ROW, holder=known.holder, beat=known.beat)
        if not row.update(holder=taking.holder, beat=F("beat") + 1):
            return False
        stored = bytes(lease.values_list("base", flat=True).get(pk=_ROW))
        base = decode_base(stored)
        sample = take(taking.nodes, base, taking.at_s, taking.started_s, taking.rows_max)
        lease.filter(pk=_ROW).update(base=encode(base_of(taking.nodes, taking.at_s)))
        _store(sample, base.at_s, taking)
    return True


def release(holder: str) -> None:
    """Give up the lease, so that another node takes the next sample."""
    tables.SamplesLease.objects.filter(pk=_ROW, holder=holder).update(holder="")


def read(since_s: float, until_s: float, tenant: str | None = None) -> Iterator[Sample]:
    """Yield the samples of this time, the oldest first; coarse ones for a long time, up to the last of them.

    They have the rows of `tenant`; without one the sums of all tenants, which is less to read.
    """
    rows = tables.FiguresSample.objects.filter(at_s__gt=since_s, at_s__lte=until_s).order_by("at_s")
    fine = rows.filter(is_coarse=False)
    if until_s - since_s > FINE_RANGE_S:
        last_s = since_s
        for sample in _decoded(rows.filter(is_coarse=True), tenant):
            last_s = sample.at_s
            yield sample
        fine = fine.filter(at_s__gt=last_s)
    yield from _decoded(fine, tenant)


def _decoded(rows: "QuerySet[tables.FiguresSample]", tenant: str | None) -> Iterator[Sample]:
    # Binary values are memoryviews with PostgreSQL.
    if tenant is None:
        yield from decode_samples(map(bytes, rows.values_list("body", flat=True).iterator()))
    else:
        yield from decode_with_tenants(_whole(rows), tenant)


def _whole(rows: "QuerySet[tables.FiguresSample]") -> Iterator[tuple[bytes, bytes]]:
    for body, tenants in rows.values_list("body", "tenants").iterator():
        yield bytes(body), bytes(tenants)


def _store(sample: Sample, before_s: float, taking: Taking) -> None:
    """Store a sample, and a coarse one if a step has ended since the sample before, in one statement."""
    coarse_s = taking.interval_s * COARSE_SAMPLES
    step = before_s // coarse_s
    made = [sample]
    has_ended = sample.at_s // coarse_s != step
    if has_ended:
        fine = tables.FiguresSample.objects.filter(
            is_coarse=False, at_s__gte=step * coarse_s, at_s__lt=(step + 1) * coarse_s
        )
        if parts := list(decode_with_tenants(_whole(fine.order_by("at_s")))):
            made.append(together(parts))
    stored = tables.FiguresSample.objects.bulk_create(
        _row(each, is_coarse=each is not sample) for each in made
    )
    if has_ended and taking.retention_s:
        _delete_old(sample.at_s, stored[-1].pk, taking)


def _delete_old(at_s: float, newest_id: int, taking: Taking) -> None:
    """Delete some samples that are too old, or of a time to come, when a clock was wrong.

    To a clock that is far ahead all are too old. So as many as are made in the time of retention stay, whatever their
    times say.
    """
    kept = int(taking.retention_s / taking.interval_s * (1 + 1 / COARSE_SAMPLES))
    has_wrong_time = Q(at_s__lt=at_s - taking.retention_s) | Q(at_s__gt=at_s)
    delete_some(tables.FiguresSample.objects.filter(has_wrong_time, pk__lte=newest_id - kept))


def _row(sample: Sample, *, is_coarse: bool) -> "tables.FiguresSample":
    body, tenants = encode_sample(sample)
    return tables.FiguresSample(at_s=sample.at_s, is_coarse=is_coarse, body=body, tenants=tenants)
