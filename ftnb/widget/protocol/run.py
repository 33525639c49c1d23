"""One run: the graph, the timeline, the details of its steps, and how a view of it is set."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

NodeKind = Literal["step", "start", "end"]
StepStatusName = Literal["running", "completed", "failed", "skipped", "waiting", "cancelled"]
EngagementStatusName = Literal["active", "paused", "completed", "failed", "abandoned"]
AuditName = Literal["sealed", "unsealed", "gap", "redacted"]
ColumnType = Literal["f8", "f4", "i4", "u4", "u2", "u1"]


class Preview(TypedDict):
    """A value, possibly with parts left out.

    `value` is canonical JSON. What was left out stands in it as a marker
    `{"$ftnb": "cut", "why": "size", "type", "n", "head"?}`; `cut` says whether there is any, or a
    reference that was not resolved.
    """

    value: Any
    cut: bool
    n_bytes: int


class Summary(TypedDict):
    """The engagement as a whole."""

    id: str
    name: str
    status: EngagementStatusName
    started_at: str
    ended_at: str | None
    duration_ms: float
    total_tokens: int
    discarded_tokens: int
    n_turns: int
    n_llm_calls: int
    n_tool_calls: int
    n_failing_steps: int
    dropped_at: str | None
    error: str | None
    parent_id: str | None
    metadata: Preview
    audit: AuditName | None
    """How far it is proved, as its store says; None where a store gives no proofs, and while it goes on."""


class Node(TypedDict):
    """A workflow node, with what its steps add up to. `n_steps` counts attempts, `n_visits` does not; `cost` is in the
    unit of the prices it was reckoned with, None where no step of it has one."""

    name: str
    label: str
    kind: NodeKind
    parent: int | None
    is_global: bool
    is_goal: bool
    declared: bool
    n_steps: int
    n_visits: int
    status: StepStatusName | None
    total_tokens: int
    cost: float | None
    duration_ms: float
    n_failing: int
    tools: list[str]


class Edge(TypedDict):
    """A way from one node to another; `taken` counts how often this engagement took it."""

    source: int
    target: int
    kind: str
    condition: str | None
    declared: bool
    taken: int


class Cause(TypedDict):
    """One step that led to another: both are indexes into `steps`."""

    source: int
    target: int
    kind: str


class StepRow(TypedDict):
    """One step, in recorded order."""

    id: str
    name: str
    node: int
    visit: int
    n_visits: int
    attempt: int
    turn: int
    ns: str
    status: StepStatusName
    is_global: bool
    parent: int | None
    offset_ms: float
    duration_ms: float
    total_tokens: int
    cost: float | None
    n_events: int
    failing: bool
    error: str | None


class Mark(TypedDict):
    """A point or stretch on a lane; `event` is an index into the step's events."""

    kind: str
    name: str
    offset_ms: float
    duration_ms: float
    ttft_ms: float | None
    event: int | None
    failed: bool
    discarded: bool


class Lane(TypedDict):
    """One step over time; `open` means that its end is not known."""

    step: int
    offset_ms: float
    duration_ms: float
    open: bool
    marks: list[Mark]


class Switch(TypedDict):
    """A global step was entered; `step` is the index of the step entered, where it is known."""

    offset_ms: float
    from_step: str | None
    to_step: str
    reason: str
    step: int | None


class Timeline(TypedDict):
    """Lanes, earliest first; times count from the first step. `idle` are stretches `[from, to]` in ms in which no step
    ran and that are drawn short; `waits` are those, long or not, in which a human was waited for."""

    total_ms: float
    lanes: list[Lane]
    switches: list[Switch]
    idle: list[list[float]]
    waits: list[list[float]]


class Column(TypedDict):
    """Many numbers, little-endian. `data` is a buffer where binary can be sent, and base64 where not."""

    dtype: ColumnType
    data: Any


class MarkColumns(TypedDict):
    """The marks of all lanes, for runs with many. Those of lane i are `start[i]` up to `start[i + 1]`, in the order of
    the step's events; `kind` and `name` are indexes into the lists; `ttft` is NaN where not measured; `flags` are 1 for
    failed and 2 for discarded."""

    kinds: list[str]
    names: list[str]
    start: Column
    offset: Column
    duration: Column
    ttft: Column
    kind: Column
    name: Column
    flags: Column


class StepColumns(TypedDict):
    """Steps, lanes and causes of a long run; `name`, `ns` and `status` are indexes into the lists, `parent` is -1 for
    none, `cost` is NaN for none, `flags` are 1 for global, 2 for failing and 4 for open; `errors` are
    `[step, message]`."""

    ids: list[str]
    names: list[str]
    namespaces: list[str]
    statuses: list[str]
    name: Column
    ns: Column
    status: Column
    node: Column
    visit: Column
    n_visits: Column
    attempt: Column
    turn: Column
    parent: Column
    offset: Column
    duration: Column
    tokens: Column
    cost: Column
    n_events: Column
    flags: Column
    errors: list[list[Any]]
    lanes: Column
    lane_offset: Column
    lane_duration: Column
    kinds: list[str]
    cause_source: Column
    cause_target: Column
    cause_kind: Column


class GapRow(TypedDict):
    """Something known to be missing from the trace."""

    reason: str
    count: int
    detail: str


class Tokens(TypedDict):
    """Tokens of one LLM call."""

    prompt: int
    completion: int
    total: int
    cache_read: int
    cache_write: int
    reasoning: int


class EventDetail(TypedDict):
    """One event inside a step."""

    id: str
    kind: str
    name: str
    offset_ms: float
    duration_ms: float | None
    ttft_ms: float | None
    model: str | None
    subtype: str | None
    error: str | None
    error_type: str | None
    discarded: bool
    tokens: Tokens | None
    payload: Preview


class ExtractionDetail(TypedDict):
    """Structured data that a step extracted."""

    schema_name: str
    confidence: float | None
    valid: bool
    values: Preview


class StepDetail(TypedDict):
    """What the inspector shows of a step; parallel to `steps`."""

    state: Preview | None
    update: Preview | None
    extraction: ExtractionDetail | None
    events: list[EventDetail]
    error_type: str | None
    tools_available: list[str]


class Placement(TypedDict):
    """Where things are drawn, in pixels: `nodes` are `[x, y, width, height]` by centre, `edges` are `[x, y, ...]` of
    the points that an edge bends at, in the order of the payload's nodes and edges."""

    width: float
    height: float
    nodes: list[list[float]]
    edges: list[list[float]]


class Layout(TypedDict):
    """The same graph laid out left to right and top to bottom."""

    across: Placement
    down: Placement


class AnnotationRow(TypedDict):
    """What somebody said about the engagement (`step` null) or a step (its index)."""

    label: str
    value: bool | float | str
    by: str | None
    note: str | None
    step: int | None
    at: str


class Following(TypedDict):
    """The view of a run that is being recorded: what became of its records, as far as the recorder tells."""

    is_on: bool
    dropped: int
    detail: str
    stalled_s: float


class EngagementPayload(TypedDict):
    """Everything the view of one engagement needs. `seq` counts the patches that are in it already; `following` is null
    for a run that is not followed. With `marks`, the lanes' own lists of marks are empty; with `columns`, `steps`,
    `causes` and the timeline's lanes are."""

    v: int
    engagement: Summary
    has_topology: bool
    nodes: list[Node]
    edges: list[Edge]
    layout: Layout
    steps: list[StepRow]
    causes: list[Cause]
    timeline: Timeline
    gaps: list[GapRow]
    details: list[StepDetail]
    annotations: list[AnnotationRow]
    following: Following | None
    seq: int
    marks: MarkColumns | None
    columns: StepColumns | None


class Filter(TypedDict):
    """Steps to pick out; null fields ask nothing. With `kind`, `model` or `tool`, a step is picked that has such an
    event, and `status` (then `failed` or `completed`) is that event's."""

    text: str | None
    name: str | None
    status: str | None
    ns: str | None
    turn: float | None
    kind: str | None
    model: str | None
    tool: str | None


class ViewState(TypedDict):
    """How the user has set the view, beside the selection; kept in the model, so that a view that is mounted again is
    as before. `found` are ids of steps whose whole values contain the filter's text, as the kernel says (null: not
    asked). `graph` and `timeline` belong to those views."""

    tab: str | None
    filter: Filter | None
    found: list[str] | None
    time_ms: float | None
    graph: Any
    timeline: Any
