"""Reading stored rows back into record objects, the inverse of `draft.of_record`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from ..core.canonical import MARK, marker
from ..core.ids import from_us, new_id
from ..core.model import Annotation, Extraction, IntentSwitch, StepEvent, TokenUsage, Topology
from ._plain_rows import plain_record
from .draft import Draft
from .leaf import INDEX, Row, has_lost_body, is_closed
from .records import (
    SCHEMA_VERSION,
    AnnotationRecorded,
    BaseRecord,
    ContentMasked,
    EngagementEnded,
    EngagementLabelled,
    EngagementStarted,
    EngagementStatusChanged,
    EventRecorded,
    ExtractionRecorded,
    GapRecorded,
    IntentSwitched,
    StepEnded,
    StepStarted,
)


def _millis(micro: int | None) -> float | None:
    return None if micro is None else micro / 1000


_PLACE = ("engagement_id", "seq", "v", "stream_id", "n", "turn")


def to_record(row: Row, body: dict[str, Any], seq: int | None, resolve: Callable[[Any], Any]) -> BaseRecord:
    """The record of a stored `row`; `body` is its decoded JSON, `resolve` puts referenced values back together.

    State and update stay references: they are large, and read one at a time. Raises ValueError on an unknown type.
    """
    get = _Reader(row, body, resolve)
    make = _TO_RECORD.get(get["type"])
    if make is None:
        raise ValueError(f"unknown record type {get['type']!r}")
    record = make(get)
    # Not attribute by attribute: pydantic takes more than twice as long for that.
    vars(record).update(
        engagement_id=get["engagement_id"],
        seq=seq,
        v=get["v"],
        stream_id=get["stream_id"],
        n=get["n"],
        turn=get["turn"],
    )
    record.__pydantic_fields_set__.update(_PLACE)
    return record


def record_or_gap(row: Row, seq: int, resolve: Callable[[Any], Any]) -> BaseRecord:
    """A row that cannot be read is one gap, and does not take the others with it."""
    if row[3] > SCHEMA_VERSION:
        return _gap(row, seq, "newer_format", f"log format {row[3]}, this ftnb reads up to {SCHEMA_VERSION}")
    try:
        if has_lost_body(*row[-3:]):
            raise ValueError("its body is gone, and no commitment was left in its place")
        body = orjson.loads(row[-2]) if row[-2] is not None else _taken_out(row)
        plain = plain_record(row, body, seq, _Reader(row, body, resolve).value)
        return to_record(row, body, seq, resolve) if plain is None else plain
    except Exception as error:
        return _gap(row, seq, "bad_record", f"{type(error).__name__}: {error}")


def _taken_out(row: Row) -> dict[str, Any]:
    """The body of a record that has none, or had one that was redacted: what it held is shown as withheld."""
    key = _HELD.get(row[INDEX["type"]])
    return {} if key is None or not is_closed(*row[-3:]) else {key: marker("withheld")}


_HELD = {"event_recorded": "@payload", "step_started": "@state", "step_ended": "@update"}


def _gap(row: Row, seq: int, reason: str, why: str) -> GapRecorded:
    detail = f"record {row[2]} of stream {row[1]}: {why}"[:300]
    try:
        at = from_us(row[5])
    except (OverflowError, TypeError):
        at = from_us(0)
    gap = GapRecorded(engagement_id=row[0], reason=reason, detail=detail, seq=seq, ts=at)
    gap.stream_id, gap.n, gap.turn = row[1], row[2], row[6]
    return gap


def record_of_draft(draft: Draft) -> BaseRecord:
    """The record of a draft that has no place in a stream yet, for stores that take records only."""
    if draft.record is not None:
        return draft.record
    tokens = draft.tokens or (None,) * 6
    row = (
        draft.stream.engagement_id, "", 0, SCHEMA_VERSION, draft.type, draft.at_us, draft.stream.turn, draft.step_id,
        draft.parent_id, draft.event_id or new_id(), draft.name, draft.ns, draft.visit, draft.attempt, draft.kind,
        draft.status, draft.duration_us, draft.ttft_us, draft.model, *tokens, draft.error_type, None, None, None, None,
    )  # fmt: skip
    record = to_record(row, draft.body, None, lambda value: value)
    record.stream_id = record.n = None
    return record


def _shown(value: Any) -> Any:
    """A field that was taken out, without the commitment that stays in its place."""
    return marker("withheld") if isinstance(value, dict) and value.get(MARK) == "withheld" else value


class _Reader:
    """A row by column name, with its body."""

    __slots__ = ("_resolve", "_row", "body")

    def __init__(self, row: Row, body: dict[str, Any], resolve: Callable[[Any], Any]) -> None:
        self._row, self.body, self._resolve = row, body, resolve

    def __getitem__(self, name: str) -> Any:
        return self._row[INDEX[name]]

    def value(self, key: str, default: Any = None) -> Any:
        """The Python value of a body entry; `default` also for one that was taken out, but for a payload's."""
        if key not in self.body:
            return default
        value = _shown(self.body[key])
        if isinstance(value, dict):
            if value.get(MARK) == "withheld" and key not in _HELD.values():
                return default
            value = {inner: _shown(item) for inner, item in value.items()}
        return self._resolve(value)

    @property
    def name(self) -> str:
        """The full name: the body keeps the original where the column holds a cleaned one."""
        return str(self.value("name") or self["name"] or "")

    @property
    def base(self) -> dict[str, Any]:
        return {"engagement_id": "", "ts": from_us(self["at_us"])}


def _read_event(g: _Reader) -> BaseRecord:
    tokens = None
    if g["tok_total"] is not None:
        tokens = TokenUsage(
            prompt=g["tok_prompt"] or 0,
            completion=g["tok_completion"] or 0,
            total=g["tok_total"],
            cache_read=g["tok_cache_read"] or 0,
            cache_write=g["tok_cache_write"] or 0,
            reasoning=g["tok_reasoning"] or 0,
        )
    event = StepEvent(
        id=g["event_id"] or f"{g['stream_id']}:{g['n']}",
        step_id=g["step_id"] or "",
        kind=g["kind"],
        name=g.name,
        ts=from_us(g["at_us"]),
        duration_ms=_millis(g["duration_us"]),
        payload=g.value("@payload", {}),
        error=g.value("error"),
        tokens=tokens,
        model=g["model"],
        ttft_ms=_millis(g["ttft_us"]),
        error_type=g["error_type"],
        subtype=g.value("subtype"),
        discarded=bool(g.body.get("discarded")),
    )
    return EventRecorded(**g.base, event=event)


def _read_step_started(g: _Reader) -> BaseRecord:
    return StepStarted(
        **g.base,
        step_id=g["step_id"] or "",
        name=g.name,
        tools=g.value("tools", []),
        is_global=g["kind"] == "global",
        parent_step_id=g["parent_id"],
        ns=g["ns"] or "",
        visit=g["visit"],
        attempt=g["attempt"] or 1,
        triggers=g.value("triggers", []),
        routes=g.value("routes", {}),
        state_ref=g.body.get("state", g.body.get("@state")),
        checkpoint_id=g.value("checkpoint") or next(iter(g.value("head", ())[1:]), None),
    )


def _read_step_ended(g: _Reader) -> BaseRecord:
    return StepEnded(
        **g.base,
        step_id=g["step_id"] or "",
        name=g.name,
        status=g["status"],
        ended_at=from_us(g["at_us"]),
        duration_ms=_millis(g["duration_us"]),
        error=g.value("error"),
        error_type=g["error_type"],
        update_ref=g.body.get("update", g.body.get("@update")),
        state_ref=g.body.get("state", g.body.get("@state")),
        decisions=g.value("decisions", {}),
        cached=bool(g.body.get("cached")),
    )


def _read_started(g: _Reader) -> BaseRecord:
    return EngagementStarted(
        **g.base,
        name=g.name,
        metadata=g.value("metadata", {}),
        topology=Topology.model_validate(g.value("@topology", {})),
        parent_id=g["parent_id"],
        goal_nodes=g.value("goals", []),
    )


def _read_labelled(g: _Reader) -> BaseRecord:
    topology = g.value("@topology")
    return EngagementLabelled(
        **g.base,
        name=g.name or None,
        metadata=g.value("metadata", {}),
        topology=None if topology is None else Topology.model_validate(topology),
        goal_nodes=g.value("goals"),
    )


def _read_switch(g: _Reader) -> BaseRecord:
    switch = IntentSwitch(
        id=g.value("id", ""),
        to_step=g.name,
        reason=g.value("reason", ""),
        from_step=g.value("from"),
        ts=from_us(g["at_us"]),
    )
    return IntentSwitched(**g.base, intent_switch=switch)


def _read_extraction(g: _Reader) -> BaseRecord:
    extraction = Extraction.model_validate(g.value("@extraction", {"schema_name": g.name}))
    return ExtractionRecorded(**g.base, step_id=g["step_id"] or "", extraction=extraction)


def _read_annotation(g: _Reader) -> BaseRecord:
    annotation = Annotation(
        id=g.value("id", ""),
        label=g.name,
        value=g.value("value", True),
        by=g.value("by"),
        note=g.value("note"),
        step_id=g["step_id"],
        ts=from_us(g["at_us"]),
    )
    return AnnotationRecorded(**g.base, annotation=annotation)


def _read_ended(g: _Reader) -> BaseRecord:
    return EngagementEnded(
        **g.base,
        status=g["status"],
        ended_at=from_us(g["at_us"]),
        dropped_at=g.name or None,
        error=g.value("error"),
    )


_TO_RECORD: dict[str, Callable[[_Reader], BaseRecord]] = {
    "engagement_started": _read_started,
    "step_started": _read_step_started,
    "event_recorded": _read_event,
    "extraction_recorded": _read_extraction,
    "intent_switched": _read_switch,
    "step_ended": _read_step_ended,
    "engagement_ended": _read_ended,
    "engagement_status_changed": lambda g: EngagementStatusChanged(**g.base, status=g["status"]),
    "engagement_labelled": _read_labelled,
    "annotation_recorded": _read_annotation,
    "content_masked": lambda g: ContentMasked(**g.base, masked=g.body.get("masked", {})),
    "gap": lambda g: GapRecorded(
        **g.base, reason=g["kind"] or "", count=g.value("count", 1), detail=g.value("detail", "")
    ),
}
