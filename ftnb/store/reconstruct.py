"""Folding records into an engagement: pure, and never stopped by what is missing.

A trace that lost records still folds. What can be told of a lost step or start is taken from the records that are left,
and `Engagement.gaps` says what was missing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from ..core.model import Engagement, EngagementStatus, Gap, Step, StepStatus
from ._plain_rows import put_together
from .records import (
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

UNKNOWN_NAME = "(unknown)"
"""Name of an engagement or step whose start was lost and that nothing else names."""


def fold(records: Iterable[BaseRecord]) -> Engagement:
    """The engagement that `records` tell of.

    Records are taken by turn, then stream (in order of first appearance), then position; records without a stream keep
    their place. Raises ValueError when there are none.
    """
    ordered = in_order(list(records))
    if not ordered:
        raise ValueError("no records to fold: an engagement has at least one")
    folding = Folding(ordered[0])
    for record in ordered:
        folding.take(record)
    return folding.finish(ordered)


def in_order(records: list[BaseRecord]) -> list[BaseRecord]:
    """`records` by (turn, stream, position)."""
    first: dict[str, int] = {}
    for place, record in enumerate(records):
        if record.stream_id is not None:
            first.setdefault(record.stream_id, place)

    def key(item: tuple[int, BaseRecord]) -> tuple[int, int, int]:
        place, record = item
        if record.stream_id is None:
            return record.turn or 1, place, 0
        return record.turn or 1, first[record.stream_id], record.n if record.n is not None else place

    return [record for _, record in sorted(enumerate(records), key=key)]


def _step_of(r: StepStarted, visit: int) -> Step:
    """A step that began. Its values were validated, or are known to be right, where the record was made."""
    told = vars(r)  # attribute by attribute takes longer
    fields = {
        "id": told["step_id"],
        "engagement_id": told["engagement_id"],
        "name": told["name"],
        "status": StepStatus.RUNNING,
        "started_at": told["ts"],
        "ended_at": None,
        "duration_ms": None,
        "parent_step_id": told["parent_step_id"],
        "is_global": told["is_global"],
        "tools_available": [*told["tools"]],
        "extraction": None,
        "events": [],
        "visit": visit,
        "attempt": told["attempt"],
        "turn": told["turn"] or 1,
        "ns": told["ns"],
        "triggers": [*told["triggers"]],
        "error": None,
        "error_type": None,
        "state_ref": told["state_ref"],
        "update_ref": None,
        "routes": {**told["routes"]},
        "decisions": {},
        "cached": False,
        "checkpoint_id": told["checkpoint_id"],
    }
    return put_together(Step, fields, _OF_A_START)


_OF_A_START = {
    "id", "engagement_id", "name", "started_at", "tools_available", "is_global", "parent_step_id", "visit", "attempt",
    "turn", "ns", "triggers", "routes", "state_ref", "checkpoint_id",
}  # fmt: skip
_OF_AN_END = ("status", "ended_at", "duration_ms", "error", "error_type", "update_ref", "decisions", "cached")


class Folding:
    """One fold in progress: `take` each record in order, then `finish`; `eng` is what is known so far."""

    def __init__(self, first: BaseRecord) -> None:
        self.eng = Engagement(id=first.engagement_id, name=UNKNOWN_NAME, started_at=first.ts)
        self.started = False
        self.steps: dict[str, Step] = {}
        self.visits: Counter[tuple[str, str]] = Counter()
        self.missing: Counter[str] = Counter()

    def take(self, record: BaseRecord) -> None:
        """Apply one record; a type that this version does not know is counted as a gap."""
        apply = _APPLY.get(type(record))
        if apply is None:
            self.missing["unknown_record"] += 1
        else:
            apply(self, record)
        if record.turn is not None and record.turn > self.eng.n_turns:
            self.eng.n_turns = record.turn

    def start(self, r: EngagementStarted) -> None:
        self.started = True
        self.eng.name, self.eng.metadata, self.eng.topology = r.name, r.metadata, r.topology
        self.eng.parent_id, self.eng.goal_nodes, self.eng.started_at = r.parent_id, r.goal_nodes, r.ts

    def label(self, r: EngagementLabelled) -> None:
        if r.name is not None:
            self.eng.name = r.name
        self.eng.metadata = {**self.eng.metadata, **r.metadata}
        if r.topology is not None:
            self.eng.topology = r.topology
        if r.goal_nodes is not None:
            self.eng.goal_nodes = r.goal_nodes

    def step_started(self, r: StepStarted) -> None:
        place = (r.ns, r.name)
        if r.visit is None:
            self.visits[place] += 1
        else:
            self.visits[place] = max(self.visits[place], r.visit)
        step = _step_of(r, self.visits[place] if r.visit is None else r.visit)
        self.eng.steps.append(step)
        self.steps[step.id] = step
        # A turn that runs reopens what an earlier one had ended.
        if self.eng.status is not EngagementStatus.ACTIVE:
            self._reopen()

    def _reopen(self) -> None:
        self.eng.status, self.eng.ended_at = EngagementStatus.ACTIVE, None
        self.eng.dropped_at = self.eng.error = None

    def step(self, step_id: str, record: BaseRecord, name: str = "") -> Step:
        """The step of that id; a stand-in when its start was lost."""
        step = self.steps.get(step_id)
        if step is None:
            self.missing["missing_step"] += 1
            step = Step(id=step_id, engagement_id=record.engagement_id, name=name or UNKNOWN_NAME, started_at=record.ts)
            step.turn = record.turn or 1
            self.eng.steps.append(step)
            self.steps[step_id] = step
        if name and step.name == UNKNOWN_NAME:
            step.name = name
        return step

    def event(self, r: EventRecorded) -> None:
        self.step(r.event.step_id, r).events.append(r.event)

    def extraction(self, r: ExtractionRecorded) -> None:
        self.step(r.step_id, r).extraction = r.extraction

    def switch(self, r: IntentSwitched) -> None:
        self.eng.intent_switches.append(r.intent_switch)

    def step_ended(self, r: StepEnded) -> None:
        step = self.step(r.step_id, r, r.name)
        # Not attribute by attribute: pydantic takes more than twice as long for that.
        vars(step).update(
            status=r.status,
            ended_at=r.ended_at,
            duration_ms=r.duration_ms,
            error=r.error,
            error_type=r.error_type,
            update_ref=r.update_ref,
            decisions=r.decisions,
            cached=r.cached,
        )
        step.__pydantic_fields_set__.update(_OF_AN_END)
        if r.state_ref is not None:
            step.state_ref = r.state_ref
        if r.status is StepStatus.WAITING:
            step.events = [event.model_copy(update={"discarded": True}) for event in step.events]

    def status(self, r: EngagementStatusChanged) -> None:
        self._reopen()
        self.eng.status = r.status

    def end(self, r: EngagementEnded) -> None:
        self.eng.status, self.eng.ended_at = r.status, r.ended_at
        self.eng.dropped_at, self.eng.error = r.dropped_at, r.error

    def annotation(self, r: AnnotationRecorded) -> None:
        self.eng.annotations.append(r.annotation)

    def gap(self, r: GapRecorded) -> None:
        self.eng.gaps.append(Gap(reason=r.reason, count=r.count, detail=r.detail))

    def finish(self, records: list[BaseRecord]) -> Engagement:
        if not self.started:
            self.missing["missing_start"] += 1
            self.eng.started_at = min(record.ts for record in records)
        lost = _holes(records)
        if lost:
            self.missing["missing_records"] += lost
        self.eng.gaps += [Gap(reason=reason, count=count) for reason, count in self.missing.items()]
        return self.eng


_APPLY: dict[type[BaseRecord], Callable[[Folding, Any], None]] = {
    EngagementStarted: Folding.start,
    EngagementLabelled: Folding.label,
    StepStarted: Folding.step_started,
    EventRecorded: Folding.event,
    ExtractionRecorded: Folding.extraction,
    IntentSwitched: Folding.switch,
    StepEnded: Folding.step_ended,
    EngagementStatusChanged: Folding.status,
    EngagementEnded: Folding.end,
    AnnotationRecorded: Folding.annotation,
    ContentMasked: lambda folding, record: None,
    GapRecorded: Folding.gap,
}


def _holes(records: list[BaseRecord]) -> int:
    """How many positions are missing inside the streams; the end of a stream cannot be seen from here."""
    seen: dict[str, set[int]] = defaultdict(set)
    for record in records:
        if record.stream_id is not None and record.n is not None:
            seen[record.stream_id].add(record.n)
    return sum(max(places) + 1 - len(places) for places in seen.values())
