"""The trace model: an engagement is a tree of steps, and a step holds events.

    Engagement -> Step (one execution of a workflow node) -> StepEvent (an LLM call, a tool call, a log line ...)

Nothing here knows a store or LangGraph. Field names are stable; every field added later is optional with a constant
default, so that equal trees stay equal (and digest equally) across versions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field, computed_field, model_validator

from .ids import new_id


def _now() -> datetime:
    return datetime.now(UTC)


class EngagementStatus(StrEnum):
    """Where an engagement stands."""

    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    ABANDONED = "abandoned"
    """It ended and reached none of its declared goal nodes; `Engagement.dropped_at` names its last step."""
    PAUSED = "paused"
    """It waits for a human. Not an end and not an error: the same engagement goes on when it is resumed."""


class StepStatus(StrEnum):
    """Where a step stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    WAITING = "waiting"
    """It stopped at an interrupt; a resume runs the node again as a new step of the same visit."""
    CANCELLED = "cancelled"
    """It was stopped from outside: a sibling failed, or the user interrupted the run."""


class EventKind(StrEnum):
    """What an event records."""

    LLM_CALL = "llm_call"
    TOOL_CALL = "tool_call"
    EXTRACTION = "extraction"
    LOG = "log"
    ERROR = "error"


class TokenUsage(BaseModel):
    """Tokens of one LLM call, in counts.

    `total` is `prompt + completion` unless given: some providers report only a total, some only the parts.
    """

    prompt: int = 0
    completion: int = 0
    total: int = 0
    cache_read: int = 0
    """Prompt tokens served from the provider's cache; a part of `prompt`."""
    cache_write: int = 0
    """Prompt tokens written to the provider's cache; a part of `prompt`."""
    reasoning: int = 0
    """Tokens spent on hidden reasoning; a part of `completion`."""

    @model_validator(mode="after")
    def _default_total(self) -> TokenUsage:
        if self.total == 0 and (self.prompt or self.completion):
            self.total = self.prompt + self.completion
        return self


class StepEvent(BaseModel):
    """Something that happened inside a step."""

    id: str = Field(default_factory=new_id)
    step_id: str
    kind: EventKind
    name: str
    ts: datetime = Field(default_factory=_now)
    """When it began (UTC)."""
    duration_ms: float | None = None
    """None: not measured."""
    payload: dict[Any, Any] = Field(default_factory=dict)
    """What it carried, equal to what was given; values that JSON cannot hold come back as `core.canonical` says."""
    error: str | None = None
    """The error's message; None means that it succeeded."""
    tokens: TokenUsage | None = None
    """Set for LLM calls."""
    model: str | None = None
    """The model that answered, as its provider names it."""
    ttft_ms: float | None = None
    """Time to the first streamed token; None when the call was not streamed."""
    error_type: str | None = None
    """Class name of the exception."""
    subtype: str | None = None
    """A narrower kind, as `retriever` for a tool call that retrieved documents."""
    discarded: bool = False
    """It belongs to a step that ended `waiting`: its work is done again on resume, so totals leave it out."""


class Extraction(BaseModel):
    """The structured data that a step pulled from the conversation."""

    schema_name: str
    json_schema: dict[str, Any] = Field(default_factory=dict)
    values: dict[Any, Any] = Field(default_factory=dict)
    confidence: float | None = None
    """In [0, 1]; None when the extractor gives none."""
    valid: bool = True


class IntentSwitch(BaseModel):
    """A global step was entered and re-routed what the engagement is about."""

    id: str = Field(default_factory=new_id)
    to_step: str
    reason: str
    from_step: str | None = None
    """Name of the step before it; None when it came first."""
    ts: datetime = Field(default_factory=_now)


class Step(BaseModel):
    """One execution of a workflow node."""

    id: str = Field(default_factory=new_id)
    engagement_id: str
    name: str
    """The node's name; a node that runs again gives another step of the same name."""
    status: StepStatus = StepStatus.RUNNING
    started_at: datetime = Field(default_factory=_now)
    ended_at: datetime | None = None
    """None while it runs, and for a step whose end was never recorded."""
    duration_ms: float | None = None
    """Measured by a monotonic clock; None when not measured."""
    parent_step_id: str | None = None
    """The step inside which this one ran (subgraphs, agents inside nodes); None at the top."""
    is_global: bool = False
    tools_available: list[str] = Field(default_factory=list)
    extraction: Extraction | None = None
    """The last one, where a step extracted several times (each is also an event)."""
    events: list[StepEvent] = Field(default_factory=list)
    visit: int = 1
    """1 for the first execution of this node in the engagement, 2 for the second ..."""
    attempt: int = 1
    """Counts retries and resumes of one visit, from 1."""
    turn: int = 1
    ns: str = ""
    """Subgraph path, node names joined by `/`; empty at the top."""
    triggers: list[str] = Field(default_factory=list)
    """Ids of the steps that caused this one, in their order; empty for the first."""
    error: str | None = None
    error_type: str | None = None
    state_ref: Any = None
    """The state that the node was given, by reference (`store.blobs`); None when not captured."""
    update_ref: Any = None
    """What the node returned, by reference (`store.blobs`); None when not captured."""
    routes: dict[str, str] = Field(default_factory=dict)
    """How control came to this step: {causing step id: static | conditional | send | join | goto | resume | error}."""
    decisions: dict[str, Any] = Field(default_factory=dict)
    """What the routers after the node said: {router: label, or list of labels}."""
    cached: bool = False
    """The node was not run: LangGraph's cache had its result."""
    checkpoint_id: str | None = None
    """LangGraph's checkpoint from which this step ran; None when there was none, or it was not seen."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_tokens(self) -> int:
        """Tokens of this step's events, those discarded by a pause left out."""
        return sum(e.tokens.total for e in self.events if e.tokens and not e.discarded)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def discarded_tokens(self) -> int:
        """Tokens spent before a pause on work that the resume does again."""
        return sum(e.tokens.total for e in self.events if e.tokens and e.discarded)


class NodeDef(BaseModel):
    """A node of the declared workflow graph."""

    name: str
    is_global: bool = False
    tools: list[str] = Field(default_factory=list)
    parent: str | None = None
    """The node whose subgraph this one belongs to (its full name); None at the top."""


class EdgeDef(BaseModel):
    """An edge of the declared workflow graph."""

    source: str
    target: str
    condition: str | None = None
    """The branch label that takes it; None when it is always taken."""
    kind: str = "static"
    """static, conditional, join (waits for all its sources), goto (declared by Command destinations) or error."""


class Topology(BaseModel):
    """The declared workflow graph, without LangGraph's synthetic start and end nodes."""

    nodes: list[NodeDef] = Field(default_factory=list)
    edges: list[EdgeDef] = Field(default_factory=list)
    entry: list[str] = Field(default_factory=list)
    """Names of the nodes that the start leads to."""
    finish: list[str] = Field(default_factory=list)
    """Names of the nodes that may end the graph."""


class Gap(BaseModel):
    """Something that should be in the trace and is not."""

    reason: str
    """A short code: queue_full, write_error, missing_start, missing_step, missing_records, bad_record ..."""
    count: int = 1
    """How many records are missing, as far as is known."""
    detail: str = ""


class Annotation(BaseModel):
    """What somebody, or a judging program, said about an engagement or one of its steps, during or after it."""

    id: str = Field(default_factory=new_id)
    label: str
    """What is judged: `correct`, `rating`, `tone` …"""
    value: bool | int | float | str = True
    """The judgement. Several of one label are kept; the latest counts where one is asked for."""
    by: str | None = None
    """Who says so; None when not said."""
    note: str | None = None
    step_id: str | None = None
    """None: about the engagement as a whole."""
    ts: datetime = Field(default_factory=_now)


class Engagement(BaseModel):
    """One whole session of a user with the agent, over all its turns."""

    id: str = Field(default_factory=new_id)
    name: str
    status: EngagementStatus = EngagementStatus.ACTIVE
    started_at: datetime = Field(default_factory=_now)
    ended_at: datetime | None = None
    """None until it ended; a later turn reopens it."""
    dropped_at: str | None = None
    """Name (not time) of the last step of an abandoned or failed engagement."""
    metadata: dict[Any, Any] = Field(default_factory=dict)
    topology: Topology = Field(default_factory=Topology)
    steps: list[Step] = Field(default_factory=list)
    """In the order in which they were recorded, turn by turn."""
    intent_switches: list[IntentSwitch] = Field(default_factory=list)
    parent_id: str | None = None
    """The engagement that this one was forked from."""
    n_turns: int = 1
    gaps: list[Gap] = Field(default_factory=list)
    """What is known to be missing; empty for a whole trace."""
    goal_nodes: list[str] = Field(default_factory=list)
    error: str | None = None
    """Message of the exception that ended a failed engagement."""
    annotations: list[Annotation] = Field(default_factory=list)
    """In the order in which they were made."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_tokens(self) -> int:
        """Tokens over all steps, those discarded by a pause left out."""
        return sum(step.total_tokens for step in self.steps)
