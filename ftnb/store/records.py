"""The records that make up the log, as their writers see them.

A record is one append-only line. Folding an engagement's records in order gives its tree (`reconstruct.fold`). Each
record belongs to a *stream*, one writer's part of one engagement, in which `n` counts densely from 0; a store fills
`stream_id`, `n` and `seq` in when a record comes without them.

Field names are stable; later fields are optional with constant defaults.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from ..core.model import Annotation, EngagementStatus, Extraction, IntentSwitch, StepEvent, StepStatus, Topology

SCHEMA_VERSION = 1
"""Version of the log format; a reader refuses what is newer, with a SchemaVersionError."""


def _now() -> datetime:
    return datetime.now(UTC)


class BaseRecord(BaseModel):
    """What every record carries."""

    engagement_id: str
    ts: datetime = Field(default_factory=_now)
    """When it happened (UTC), by the writer's clock; order is `seq`, never this."""
    seq: int | None = None
    """Position in the store, given on append; local to that store. None until appended."""
    v: int = SCHEMA_VERSION
    stream_id: str | None = None
    n: int | None = None
    """Position in its stream, from 0; a hole means that a record was lost."""
    turn: int | None = None
    """The engagement's turn, from 1; None lets the store take the latest one."""


class EngagementStarted(BaseRecord):
    """An engagement began."""

    type: Literal["engagement_started"] = "engagement_started"
    name: str
    metadata: dict[Any, Any] = Field(default_factory=dict)
    topology: Topology = Field(default_factory=Topology)
    parent_id: str | None = None
    goal_nodes: list[str] = Field(default_factory=list)


class StepStarted(BaseRecord):
    """A workflow node began to run."""

    type: Literal["step_started"] = "step_started"
    step_id: str
    name: str
    tools: list[str] = Field(default_factory=list)
    is_global: bool = False
    parent_step_id: str | None = None
    ns: str = ""
    visit: int | None = None
    """None: counted by the fold, as the n-th start of this name in this namespace."""
    attempt: int = 1
    triggers: list[str] = Field(default_factory=list)
    routes: dict[str, str] = Field(default_factory=dict)
    state_ref: Any = None
    checkpoint_id: str | None = None


class EventRecorded(BaseRecord):
    """Something happened inside a step."""

    type: Literal["event_recorded"] = "event_recorded"
    event: StepEvent


class ExtractionRecorded(BaseRecord):
    """A step pulled structured data from the conversation."""

    type: Literal["extraction_recorded"] = "extraction_recorded"
    step_id: str
    extraction: Extraction


class IntentSwitched(BaseRecord):
    """A global step was entered."""

    type: Literal["intent_switched"] = "intent_switched"
    intent_switch: IntentSwitch


class StepEnded(BaseRecord):
    """A step ended."""

    type: Literal["step_ended"] = "step_ended"
    step_id: str
    status: StepStatus = StepStatus.COMPLETED
    ended_at: datetime = Field(default_factory=_now)
    duration_ms: float | None = None
    name: str = ""
    """The node's name again, so that a step whose start was lost can still be named."""
    error: str | None = None
    error_type: str | None = None
    update_ref: Any = None
    decisions: dict[str, Any] = Field(default_factory=dict)
    cached: bool = False
    state_ref: Any = None
    """What it was given, by reference, where that became known only in its course; None: as its start says."""


class EngagementEnded(BaseRecord):
    """An engagement ended, as far as is known: a later turn may reopen it."""

    type: Literal["engagement_ended"] = "engagement_ended"
    status: EngagementStatus = EngagementStatus.COMPLETED
    ended_at: datetime = Field(default_factory=_now)
    dropped_at: str | None = None
    error: str | None = None


class EngagementStatusChanged(BaseRecord):
    """An engagement was paused, or goes on."""

    type: Literal["engagement_status_changed"] = "engagement_status_changed"
    status: EngagementStatus


class EngagementLabelled(BaseRecord):
    """Name, metadata, goals or topology became known, or changed, after the start."""

    type: Literal["engagement_labelled"] = "engagement_labelled"
    name: str | None = None
    metadata: dict[Any, Any] = Field(default_factory=dict)
    """Merged over the metadata so far."""
    topology: Topology | None = None
    goal_nodes: list[str] | None = None


class AnnotationRecorded(BaseRecord):
    """Somebody judged the engagement, or one of its steps."""

    type: Literal["annotation_recorded"] = "annotation_recorded"
    annotation: Annotation


class ContentMasked(BaseRecord):
    """Content was taken out, and this is what readers see in its place; see `_masked`."""

    type: Literal["content_masked"] = "content_masked"
    masked: dict[str, Any] = Field(default_factory=dict)


class GapRecorded(BaseRecord):
    """Records were dropped here; the loss itself is on record."""

    type: Literal["gap"] = "gap"
    reason: str
    count: int = 1
    detail: str = ""


Record = Annotated[
    EngagementStarted
    | StepStarted
    | EventRecorded
    | ExtractionRecorded
    | IntentSwitched
    | StepEnded
    | EngagementEnded
    | EngagementStatusChanged
    | EngagementLabelled
    | AnnotationRecorded
    | ContentMasked
    | GapRecorded,
    Field(discriminator="type"),
]

RecordAdapter: TypeAdapter[Record] = TypeAdapter(Record)
"""Reads a record of any type from a dict or JSON."""
