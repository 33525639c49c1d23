"""Phoenix's spans: the dataframe of its client, Parquet of it, or JSON lines; attributes are OpenInference's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.errors import NotOurFileError
from ._forms import BadItem, Span, micros_of, text_of
from ._source import Source
from .events import parquet_batches
from .otlp import made

_COLUMNS = (
    "context.trace_id",
    "trace_id",
    "context.span_id",
    "span_id",
    "parent_id",
    "name",
    "span_kind",
    "start_time",
    "end_time",
    "status_code",
    "status_message",
    "events",
    "attributes",
    "context",
)
_ATTRIBUTES = "attributes."


def spans(source: Source) -> Iterator[Span]:
    """The spans of a frame or a file."""
    for place, (line, row) in enumerate(_rows(source)):
        found = source.guarded(line, row, lambda row=row: _span(row, source))  # type: ignore[misc]
        if found is not None:
            found.place = place
            yield found


def _rows(source: Source) -> Iterator[tuple[int | None, Any]]:
    if source.frame is not None:
        names = set(source.frame.columns)
        if not names & {"context.span_id", "span_id"}:
            raise NotOurFileError(f"{source.where}: no column context.span_id, as frames of Phoenix have")
        yield from ((None, row) for row in source.frame.iter_rows(named=True))
    elif source.first_byte() in (b"{", b"["):
        yield from source.objects()
    else:
        for batch in parquet_batches(source):
            yield from ((None, row) for row in batch.to_pylist())


def _span(row: Any, source: Source) -> Span:
    if not isinstance(row, Mapping):
        raise BadItem("a span is no object")
    context = row["context"] if isinstance(row.get("context"), Mapping) else {}
    start = micros_of(row.get("start_time"))
    if start is None:
        raise BadItem("it has no start_time")
    attributes = _attributes(row)
    kind = row.get("span_kind")
    if kind and "openinference.span.kind" not in attributes:
        attributes["openinference.span.kind"] = kind
    for key in row:
        if key not in _COLUMNS and not key.startswith(_ATTRIBUTES) and not _is_empty(row[key]):
            source.report.add("left out", key, "no place for it here")
    logs = []
    many = row.get("events")
    for one in many if isinstance(many, (list, tuple)) else ():
        if isinstance(one, Mapping):
            given = one.get("attributes")
            at = micros_of(one.get("timestamp")) or start
            logs.append((at, str(one.get("name", "event")), _flat(given) if isinstance(given, Mapping) else {}))
    return made(
        source,
        trace=text_of(
            row.get("context.trace_id", row.get("trace_id", context.get("trace_id"))), "trace_id", required=True
        )
        or "",
        span=text_of(row.get("context.span_id", row.get("span_id", context.get("span_id"))), "span_id", required=True)
        or "",
        parent=text_of(None if _is_empty(row.get("parent_id")) else row.get("parent_id"), "parent_id"),
        name=text_of(row.get("name"), "name") or "(span)",
        start=start,
        end=None if _is_empty(row.get("end_time")) else micros_of(row.get("end_time")),
        attributes=attributes,
        failed=str(row.get("status_code")) == "ERROR",
        message=row.get("status_message"),
        logs=logs,
    )


def _attributes(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        if key.startswith(_ATTRIBUTES) and not _is_empty(value):
            found.update(_flat({key.removeprefix(_ATTRIBUTES): value}))
    nested = row.get("attributes")
    if isinstance(nested, Mapping):
        found.update(_flat(nested))
    return found


_WHOLE = ("metadata", "llm.invocation_parameters", "input.value", "output.value", "tool.parameters")


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Nested attributes by dotted keys, as OpenInference names them; lists of objects by their numbers."""
    found: dict[str, Any] = {}
    todo: list[tuple[str, Any]] = [(str(key), value) for key, value in given.items()]
    while todo:
        key, value = todo.pop()
        if isinstance(value, Mapping) and key not in _WHOLE:
            todo += [(f"{key}.{name}", inner) for name, inner in value.items()]
        elif isinstance(value, (list, tuple)) and any(isinstance(one, Mapping) for one in value):
            todo += [(f"{key}.{n}", inner) for n, inner in enumerate(value)]
        elif not _is_empty(value):
            found[key] = value
    return found


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
