"""Exports: OTLP JSON, Chrome traces (Perfetto) and event logs. Each gives a report of what it left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from ..core._version import __version__
from ..core.errors import InvalidArgumentError
from ..core.ids import to_us
from ..core.model import Engagement, Step
from ..store.base import LogStore
from ..store.blobs import Resolver
from ._out import writing
from ._report import Report
from ._span_form import CONVENTIONS, Convention, OutSpan, spans

_INT64 = 1 << 63


def engagements(store: LogStore, only: str | None) -> Iterator[Engagement]:
    """The engagements to write, oldest first."""
    for key in [only] if only is not None else [one.id for one in store.list_engagements()]:
        yield store.get_engagement(key)


def out_spans(store: LogStore, eng: Engagement, convention: Convention, report: Report) -> Iterator[OutSpan]:
    """The spans of one engagement, its values put back together."""
    if convention not in CONVENTIONS:
        raise InvalidArgumentError(f"no attributes {convention!r}; known: {', '.join(CONVENTIONS)}")
    blobs = store.blobs_of(eng.id)
    return spans(eng, convention, Resolver(blobs.get), report)


def otlp(store: LogStore, path: Path, convention: Convention, only: str | None = None) -> Report:
    """One document of OTLP JSON, or with `.jsonl` one batch an engagement and line."""
    report = Report("OTLP", path.name)
    is_lines = path.suffix in (".jsonl", ".ndjson")
    about = {"attributes": [_attribute("service.name", "ftnb")]}
    scope = {"name": "ftnb", "version": __version__}
    head = b'{"resourceSpans":[{"resource":%b,"scopeSpans":[{"scope":%b,"spans":[' % (
        orjson.dumps(about),
        orjson.dumps(scope),
    )
    tail = b"]}]}]}\n"
    with writing(path) as file:
        is_first = True
        for eng in engagements(store, only):
            parts = [orjson.dumps(_otlp(one)) for one in out_spans(store, eng, convention, report)]
            start = head if is_first or is_lines else b","
            file.write(start + b",".join(parts) + (tail if is_lines else b""))
            is_first = False
            report.counts["engagements"] += 1
            report.counts["spans"] += len(parts)
        if not is_lines:
            file.write((head if is_first else b"") + tail)
    return report


def _otlp(span: OutSpan) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "traceId": span.trace, "spanId": span.id, "parentSpanId": span.parent or "", "name": span.name, "kind": 1,
        "startTimeUnixNano": str(span.start_us * 1000), "endTimeUnixNano": str((span.end_us or 0) * 1000),
        "attributes": [_attribute(key, value) for key, value in span.attributes.items()],
        "status": {"code": 2, "message": span.error} if span.error is not None else {"code": 1},
    }  # fmt: skip
    if span.error is not None:
        raised = [_attribute("exception.message", span.error)]
        if span.error_type:
            raised.append(_attribute("exception.type", span.error_type))
            shown["attributes"].append(_attribute("error.type", span.error_type))
        at = str((span.end_us or span.start_us) * 1000)
        shown["events"] = [{"timeUnixNano": at, "name": "exception", "attributes": raised}]
    return shown


def _attribute(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, float):
        return {"key": key, "value": {"doubleValue": value}}
    return {"key": key, "value": {"stringValue": str(value).encode("utf-8", "replace").decode()}}


def perfetto(store: LogStore, path: Path, only: str | None = None) -> Report:
    """A Chrome trace, as ui.perfetto.dev and chrome://tracing open it: a process an engagement, a thread a lane."""
    report = Report("Chrome trace", path.name)
    report.add("left out", "state, update, payload", "a timeline has no place for them")
    with writing(path) as file:
        file.write(b'{"displayTimeUnit":"ms","traceEvents":[')
        is_first = True
        for pid, eng in enumerate(engagements(store, only), 1):
            for one in _chrome(eng, pid):
                file.write((b"" if is_first else b",\n") + orjson.dumps(one))
                is_first = False
                report.counts["events"] += 1
            report.counts["engagements"] += 1
        file.write(b"]}\n")
    return report


def _chrome(eng: Engagement, pid: int) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": f"{eng.name} {eng.id}"}}
    for step, lane in _lanes(eng.steps):
        start = to_us(step.started_at)
        args: dict[str, Any] = {"step_id": step.id, "status": step.status.value, "visit": step.visit, "turn": step.turn}
        if step.error:
            args["error"] = step.error
        if step.total_tokens:
            args["tokens"] = step.total_tokens
        end = to_us(step.ended_at) if step.ended_at is not None else start
        yield {"ph": "X", "cat": "step", "name": step.name, "pid": pid, "tid": lane, "ts": start,
               "dur": max(end - start, 0), "args": args}  # fmt: skip
        for event in step.events:
            at, took = to_us(event.ts), event.duration_ms
            shared = {"cat": event.kind.value, "name": event.name, "pid": pid, "tid": lane, "ts": at}
            about = {"event_id": event.id, "tokens": event.tokens.total if event.tokens else None, "error": event.error}
            about = {key: value for key, value in about.items() if value is not None}
            if took is None:
                yield {"ph": "i", "s": "t", **shared, "args": about}
            else:
                yield {"ph": "X", **shared, "dur": round(took * 1000), "args": about}


def _lanes(steps: Iterable[Step]) -> Iterator[tuple[Step, int]]:
    """Each step with a lane in which nothing else runs at its time, but the steps around it."""
    open_until: list[list[tuple[str, int]]] = []
    for step in sorted(steps, key=lambda one: one.started_at):
        start = to_us(step.started_at)
        end = max(to_us(step.ended_at), start) if step.ended_at is not None else start
        for lane, stack in enumerate(open_until):
            while stack and stack[-1][1] <= start:
                stack.pop()
            if not stack or (stack[-1][0] == step.parent_step_id and stack[-1][1] >= end):
                stack.append((step.id, end))
                yield step, lane + 1
                break
        else:
            open_until.append([(step.id, end)])
            yield step, len(open_until)


def event_log(steps: Any, path: Path) -> Report:
    """Three columns (case, activity, time) of a frame of steps, named as pm4py and XES name them; CSV or Parquet."""
    import polars as pl

    report = Report("event log", path.name)
    names = {"engagement_id": "case:concept:name", "name": "concept:name", "started_at": "time:timestamp"}
    table = steps.select(pl.col(old).alias(new) for old, new in names.items())
    for column in steps.columns:
        kept = column in names
        report.add("mapped" if kept else "left out", f"steps.{column}", names.get(column, "three columns"), len(steps))
    with writing(path) as file:
        if path.suffix == ".parquet":
            table.write_parquet(file)
        else:
            shown = table.with_columns(
                pl.col("time:timestamp").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00"),
                *(_safe(pl, name) for name in ("case:concept:name", "concept:name")),
            )
            file.write(shown.write_csv().encode())
    report.counts["rows"] = len(table)
    return report


def _safe(pl: Any, name: str) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    column = pl.col(name)
    is_formula = column.str.contains(r"^[=+\-@\t\r]")
    return pl.when(is_formula).then(pl.lit("'") + column).otherwise(column).alias(name)
