"""A record on its way to the store, before it has a place in a stream.

Recorders make drafts on the agent's thread, so a draft is cheap: plain values, nothing encoded. The writer turns it
into a row (`_writer.py`). `of_record` makes the draft of a record object; `rows.to_record` is its inverse.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..core.ids import new_id, to_us
from ..core.model import Annotation, IntentSwitch, StepEvent, TokenUsage
from .leaf import Tree
from .records import Record

Tokens = tuple[int, int, int, int, int, int]
"""prompt, completion, total, cache read, cache write, reasoning."""


@dataclass(slots=True)
class Stream:
    """One writer's part of one engagement; identity, not content, makes two streams different."""

    stream_id: str
    engagement_id: str
    turn: int | None = None
    """None: the writer asks the store for the engagement's latest turn."""
    new_turn: bool = False
    """With `turn=None`: take the turn after the latest one."""
    after: Stream | None = None
    """With `turn=None`: the stream of the turn before this one, where the same writer had it."""
    closed: bool = False
    """Its turn paused or ended: the next step belongs to a new turn."""
    tree: Tree = field(default_factory=Tree)
    """Kept by the writer."""
    pid: int = field(default_factory=os.getpid)
    """The process whose stream it is; a forked child has a copy, and must not write to it."""

    def renew(self) -> None:
        """Make the copy in a forked child a stream of the child's own, of the same turn."""
        self.stream_id, self.tree, self.pid = new_id(), Tree(), os.getpid()
        self.new_turn, self.after = False, None  # the parent begins it


@dataclass(slots=True)
class Draft:
    """One record to be written. Header fields become columns, `body` becomes canonical JSON.

    Times are integer microseconds. Body entries are any Python values; those whose key starts with `@` are stored by
    reference when large; `state` and `update` (without `@`) hold references already and are written as they are.
    """

    stream: Stream
    type: str
    at_us: int
    step_id: str | None = None
    parent_id: str | None = None
    event_id: str | None = None
    name: str | None = None
    ns: str | None = None
    visit: int | None = None
    attempt: int | None = None
    kind: str | None = None
    status: str | None = None
    duration_us: int | None = None
    ttft_us: int | None = None
    model: str | None = None
    tokens: Tokens | None = None
    error_type: str | None = None
    body: dict[str, Any] = field(default_factory=dict)
    record: Record | None = None
    """The record object that this was made from, to be given its `seq`."""


def tokens_of(usage: TokenUsage | None) -> Tokens | None:
    """`usage` as plain numbers."""
    if usage is None:
        return None
    return (usage.prompt, usage.completion, usage.total, usage.cache_read, usage.cache_write, usage.reasoning)


def micros(milliseconds: float | None) -> int | None:
    """Milliseconds to whole microseconds; None stays None, and so does what is no finite number."""
    if milliseconds is None or milliseconds != milliseconds or milliseconds in (float("inf"), float("-inf")):
        return None
    return round(milliseconds * 1000)


def of_record(record: Record, stream: Stream) -> Draft:
    """The draft of `record`, to go into `stream`. Its time is when the thing happened (an event's `ts`, a step's
    `ended_at`), which a record's own `ts` follows by microseconds."""
    draft = Draft(stream, record.type, to_us(record.ts), record=record)
    _TO_DRAFT[record.type](record, draft)
    return draft


def _started(r: Any, d: Draft) -> None:
    d.name, d.parent_id = r.name, r.parent_id
    d.body = {"metadata": r.metadata, "@topology": r.topology.model_dump(mode="json"), "goals": r.goal_nodes}


def _step_started(r: Any, d: Draft) -> None:
    d.step_id, d.name, d.parent_id, d.ns = r.step_id, r.name, r.parent_step_id, r.ns
    d.visit, d.attempt, d.kind = r.visit, r.attempt, "global" if r.is_global else None
    d.body = step_body(r.tools, r.triggers, r.routes)
    if r.checkpoint_id is not None:
        d.body["checkpoint"] = r.checkpoint_id
    if r.state_ref is not None:
        d.body["state"] = r.state_ref


def step_body(tools: list[str], triggers: list[str], routes: dict[str, str]) -> dict[str, Any]:
    """The body of a step start without its state; empty parts are left out."""
    body: dict[str, Any] = {}
    if tools:
        body["tools"] = tools
    if triggers:
        body["triggers"] = triggers
    if routes:
        body["routes"] = routes
    return body


def _event(r: Any, d: Draft) -> None:
    e: StepEvent = r.event
    d.step_id, d.event_id, d.name, d.kind, d.at_us = e.step_id, e.id, e.name, e.kind.value, to_us(e.ts)
    d.duration_us, d.ttft_us, d.model, d.error_type = micros(e.duration_ms), micros(e.ttft_ms), e.model, e.error_type
    d.tokens = tokens_of(e.tokens)
    d.body = {"@payload": e.payload} if e.payload else {}
    for key in ("error", "subtype"):
        if getattr(e, key) is not None:
            d.body[key] = getattr(e, key)
    if e.discarded:
        d.body["discarded"] = True


def _extraction(r: Any, d: Draft) -> None:
    d.step_id, d.name = r.step_id, r.extraction.schema_name
    d.body = {"@extraction": r.extraction.model_dump()}


def _switch(r: Any, d: Draft) -> None:
    s: IntentSwitch = r.intent_switch
    d.name, d.at_us = s.to_step, to_us(s.ts)
    d.body = {"id": s.id, "reason": s.reason, "from": s.from_step}


def _step_ended(r: Any, d: Draft) -> None:
    d.step_id, d.name, d.status, d.at_us = r.step_id, r.name or None, r.status.value, to_us(r.ended_at)
    d.duration_us, d.error_type = micros(r.duration_ms), r.error_type
    if r.error is not None:
        d.body["error"] = r.error
    if r.decisions:
        d.body["decisions"] = r.decisions
    if r.cached:
        d.body["cached"] = True
    if r.update_ref is not None:
        d.body["update"] = r.update_ref
    if r.state_ref is not None:
        d.body["state"] = r.state_ref


def _ended(r: Any, d: Draft) -> None:
    d.status, d.name, d.at_us = r.status.value, r.dropped_at, to_us(r.ended_at)
    if r.error is not None:
        d.body["error"] = r.error


def _status(r: Any, d: Draft) -> None:
    d.status = r.status.value


def _labelled(r: Any, d: Draft) -> None:
    d.name = r.name
    d.body = {"metadata": r.metadata} if r.metadata else {}
    if r.topology is not None:
        d.body["@topology"] = r.topology.model_dump(mode="json")
    if r.goal_nodes is not None:
        d.body["goals"] = r.goal_nodes


def _annotation(r: Any, d: Draft) -> None:
    a: Annotation = r.annotation
    d.name, d.step_id, d.at_us = a.label, a.step_id, to_us(a.ts)
    d.body = {"id": a.id, "value": a.value}
    for key in ("by", "note"):
        if getattr(a, key) is not None:
            d.body[key] = getattr(a, key)


def _gap(r: Any, d: Draft) -> None:
    d.kind, d.body = r.reason, {"count": r.count, "detail": r.detail}


def _masked(r: Any, d: Draft) -> None:
    d.body = {"masked": r.masked}


_TO_DRAFT: dict[str, Callable[[Any, Draft], None]] = {
    "engagement_started": _started,
    "step_started": _step_started,
    "event_recorded": _event,
    "extraction_recorded": _extraction,
    "intent_switched": _switch,
    "step_ended": _step_ended,
    "engagement_ended": _ended,
    "engagement_status_changed": _status,
    "engagement_labelled": _labelled,
    "annotation_recorded": _annotation,
    "content_masked": _masked,
    "gap": _gap,
}
