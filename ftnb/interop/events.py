"""Event tables: a row is something that happened (activity) in a case at a time; CSV, Parquet, JSON or a frame.

Each case is an engagement, each row a step. Columns are found by their usual names, or named with `columns=`: `case`,
`activity`, `time`, and if there are any `end` and `status`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

from ..core.errors import InvalidArgumentError, NotOurFileError
from ..core.model import EngagementStatus, StepStatus
from ..store import build
from ..store.draft import Draft, Stream
from ._bounds import MAX_ITEM
from ._forms import BadItem, checked, micros_of, stable_id
from ._into import Sink
from ._source import Source

_NAMES: dict[str, tuple[str, ...]] = {
    "case": (
        "case",
        "case:concept:name",
        "case_id",
        "caseid",
        "engagement_id",
        "conversation_id",
        "session_id",
        "thread_id",
        "trace_id",
        "journey_id",
        "user_id",
        "userid",
        "client_id",
        "visitor_id",
    ),
    "activity": (
        "activity",
        "concept:name",
        "event",
        "event_name",
        "event_type",
        "step",
        "action",
        "task",
        "page",
        "name",
    ),
    "time": (
        "time",
        "time:timestamp",
        "timestamp",
        "event_time",
        "started_at",
        "start_time",
        "start",
        "start_timestamp",
        "date",
        "datetime",
        "ts",
        "at",
        "created_at",
        "complete_timestamp",
    ),
    "end": ("end", "ended_at", "end_time", "end_timestamp", "time:end", "completed_at"),
    "status": ("status", "lifecycle:transition", "outcome"),
}
_REQUIRED = ("case", "activity", "time")
_MAX_CELL = 1_000_000
_MAX_LABEL = 500
_DECLARED_RATIO = 2_000
_FREE = 1 << 30
_STATUSES = {
    "failed": StepStatus.FAILED,
    "error": StepStatus.FAILED,
    "skipped": StepStatus.SKIPPED,
    "cancelled": StepStatus.CANCELLED,
    "waiting": StepStatus.WAITING,
    "running": StepStatus.RUNNING,
}


def load(source: Source, sink: Sink, *, columns: Mapping[str, str] | None = None) -> None:
    """Every case of the table."""
    rows = _rows(source)
    first = next(rows, None)
    if first is None:
        raise NotOurFileError(f"{source.where}: the table has no rows")
    names = _columns(list(first[1]), columns or {}, source)
    cases: dict[str, list[tuple[int, int, str, int | None, StepStatus]]] = {}
    labels: dict[str, dict[str, Any]] = {}
    place = 0
    for line, row in _chained(first, rows):
        place += 1
        found = source.guarded(line, row, lambda row=row: _event(row, names))  # type: ignore[misc]
        if found is None:
            continue
        case, at, activity, end, status = found
        cases.setdefault(case, []).append((at, place, activity, end, status))
        _keep_labels(labels, case, row, names)
    source.report.counts["rows"] += place
    _say(source, labels, names, first[1], place)
    for case, events in sorted(cases.items(), key=lambda one: min(one[1])[:2]):
        engagement_id = case if 6 <= len(case) <= 64 and case.isprintable() else stable_id("events", case)
        begun = sink.turn(engagement_id, "events")
        if begun is not None:
            kept = {key: value for key, value in labels.get(case, {}).items() if value is not _MIXED}
            sink.add(_drafts(sorted(events), begun[0], {"case": case, **kept}))


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _drafts(
    events: list[tuple[int, int, str, int | None, StepStatus]], stream: Stream, labels: dict[str, Any]
) -> Iterator[Draft]:
    yield build.engagement_started(stream, events[0][0], "events", metadata=labels)
    last = events[0][0]
    latest: str | None = None
    for at, place, activity, end, status in events:
        step_id = f"row{place}"
        triggers = [] if latest is None else [latest]
        yield build.step_started(stream, at, step_id, activity, triggers=triggers)
        ended = at if end is None else max(end, at)
        if status is not StepStatus.RUNNING:
            took = None if end is None else ended - at
            yield build.step_ended(stream, ended, step_id, activity, status, duration_us=took)
        last, latest = max(last, ended), step_id
    yield build.engagement_ended(stream, last, EngagementStatus.COMPLETED)


def _event(row: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, int, str, int | None, StepStatus]:
    case, activity = row.get(names["case"]), row.get(names["activity"])
    for what, value in (("case", case), ("activity", activity)):
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            raise BadItem(f"no {what} (column {names[what]!r})")
    at = _time(row.get(names["time"]))
    if at is None:
        raise BadItem(f"no time (column {names['time']!r})")
    end = _time(row.get(names["end"])) if "end" in names else None
    told = str(row.get(names["status"], "")).lower() if "status" in names else ""
    return str(case), at, str(activity), end, _STATUSES.get(told, StepStatus.COMPLETED)


def _time(value: Any) -> int | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, float) and math.isnan(value):
        return None
    found = micros_of(value)
    return None if found is None else checked(found)


def _columns(there: list[str], given: Mapping[str, str], source: Source) -> dict[str, str]:
    """Which column is what. Raises InvalidArgumentError."""
    for what, name in given.items():
        if what not in _NAMES:
            raise InvalidArgumentError(f"columns= has no {what!r}; known: {', '.join(_NAMES)}")
        if name not in there:
            raise InvalidArgumentError(f"{source.where} has no column {name!r}; it has: {', '.join(there[:20])}")
    found = dict(given)
    lower = {name.strip().lower(): name for name in reversed(there)}
    for what, usual in _NAMES.items():
        seen = next((lower[one] for one in usual if one in lower and lower[one] not in found.values()), None)
        if what not in found and seen is not None:
            found[what] = seen
            source.report.add("guessed", seen, f"is the {what}, by its name")
    missing = [what for what in _REQUIRED if what not in found]
    if missing:
        raise NotOurFileError(
            f"{source.where}: no column for {' and '.join(missing)} among {', '.join(map(repr, there[:12]))}; "
            'say which with columns={"case": …, "activity": …, "time": …}'
        )
    return found


class _Mixed:
    pass


_MIXED = _Mixed()


def _keep_labels(
    labels: dict[str, dict[str, Any]], case: str, row: Mapping[str, Any], names: Mapping[str, str]
) -> None:
    """A column that says the same in every row of a case says it about the case."""
    mine = set(names.values())
    kept = labels.get(case)
    if kept is None:
        labels[case] = {key: _plain(value) for key, value in row.items() if key not in mine and value is not None}
        return
    for key in list(kept):
        if kept[key] is not _MIXED and kept[key] != _plain(row.get(key)):
            kept[key] = _MIXED


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, bool)) else str(value)[:_MAX_LABEL]


def _say(
    source: Source, labels: dict[str, dict[str, Any]], names: Mapping[str, str], row: Mapping[str, Any], n: int
) -> None:
    for what, name in names.items():
        source.report.add(
            "mapped", name, {"case": "engagements", "activity": "steps.name"}.get(what, f"steps.{what}"), n
        )
    for name in row:
        if name in names.values():
            continue
        mixed = sum(kept.get(name) is _MIXED for kept in labels.values())
        if len(labels) - mixed:
            source.report.add("mapped", name, "metadata", len(labels) - mixed)
        if mixed:
            source.report.add("left out", name, "differs from row to row of a case", mixed)


# --- rows ---


def _rows(source: Source) -> Iterator[tuple[int | None, dict[str, Any]]]:
    if source.frame is not None:
        yield from ((None, row) for row in source.frame.iter_rows(named=True))
        return
    assert source.path is not None
    first = source.first_byte()
    with closing(source.open()) as file:
        head = file.read(4)
    if head == b"PAR1":
        yield from _parquet(source)
    elif first in (b"[", b"{"):
        for line, row in source.objects():
            if isinstance(row, dict):
                yield line, row
            else:
                source.bad(line, "a row is no object", row)
    else:
        yield from _csv(source)


def _csv(source: Source) -> Iterator[tuple[int | None, dict[str, Any]]]:
    with closing(source.open()) as raw, io.TextIOWrapper(raw, "utf-8-sig", errors="replace", newline="") as text:
        head = text.readline(MAX_ITEM)
        delimiter = max(",;\t|", key=head.count)
        csv.field_size_limit(_MAX_CELL)
        names = next(csv.reader([head], delimiter=delimiter), [])
        rows = csv.reader(text, delimiter=delimiter)
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                source.bad(rows.line_num + 1, f"not CSV: {error}")
                continue
            if row is None:
                return
            line = rows.line_num + 1
            if len(row) == len(names):
                yield line, dict(zip(names, row, strict=True))
            elif row:
                source.bad(line, f"{len(row)} values in a table of {len(names)} columns", ",".join(row)[:200])


def _parquet(source: Source) -> Iterator[tuple[int | None, dict[str, Any]]]:
    for batch in parquet_batches(source):
        yield from ((None, row) for row in batch.to_pylist())


def parquet_batches(source: Source) -> Iterator[Any]:
    """The rows of a Parquet file, a few at a time. What the file declares to unpack to is looked at first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert source.path is not None
    size = source.path.stat().st_size
    try:
        with pq.ParquetFile(source.path) as file:
            about = file.metadata
            declared = sum(
                about.row_group(i).column(j).total_uncompressed_size
                for i in range(about.num_row_groups)
                for j in range(about.num_columns)
            )
            if declared > _FREE and declared > size * _DECLARED_RATIO:
                raise NotOurFileError(
                    f"{source.where}: it declares to unpack {declared >> 20} MB from {size >> 10} kB; it is not read"
                )
            yield from file.iter_batches(batch_size=1_000)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, NotOurFileError):
            raise
        raise NotOurFileError(f"{source.where}: damaged or cut-off Parquet: {error}") from error
