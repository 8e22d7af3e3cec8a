"""The audit log as a file."""

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from realtime import tables

# Rows that one export holds at most: the newest.
EXPORT_MAX_ROWS = 100_000
EXPORTED = (
    *("id", "at", "actor_kind", "actor_id", "actor", "tenant", "action", "target", "reason", "address"),
    *("outcome", "error", "count"),
)


def export(entries: "QuerySet[tables.AuditEntry]", form: str) -> StreamingHttpResponse:
    """Return the newest entries as a file: `csv`, or `json` with one object a line."""
    rows = entries[:EXPORT_MAX_ROWS].values(*EXPORTED).iterator(chunk_size=1000)
    if form == "json":
        lines, kind, name = _json_lines(rows), "application/x-ndjson", "audit.jsonl"
    else:
        lines, kind, name = _csv_lines(rows), "text/csv", "audit.csv"
    response = StreamingHttpResponse(lines, content_type=f"{kind}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class _Echo:
    """A file whose `write` returns its argument."""

    def write(self, line: str) -> str:
        """Return the line."""
        return line


def _csv_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(EXPORTED)
    for row in rows:
        yield writer.writerow([_cell(row[name]) for name in EXPORTED])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    # A spreadsheet would take such a text for a formula.
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _json_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, default=str) + "\n"
