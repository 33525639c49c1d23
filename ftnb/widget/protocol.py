"""What crosses from Python to the browser, declared once.

`js/generate_protocol.py` writes `js/src/protocol.gen.ts` from these classes. All of it is plain JSON. Nodes, edges and
steps refer to each other by index, never by name: names are the user's text and may be anything.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

PROTOCOL_VERSION = 1

NodeKind = Literal["step", "start", "end"]
StepStatusName = Literal["running", "completed", "failed", "skipped", "waiting", "cancelled"]
EngagementStatusName = Literal["active", "paused", "completed", "failed", "abandoned"]
DetailPart = Literal["state", "update", "event", "extraction", "metadata"]


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


class Node(TypedDict):
    """A workflow node, with what its steps add up to."""

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
    """Lanes, earliest first. `idle` are stretches `[from, to]` in ms in which no step ran and that are drawn short."""

    total_ms: float
    lanes: list[Lane]
    switches: list[Switch]
    idle: list[list[float]]


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


class EngagementPayload(TypedDict):
    """Everything the view of one engagement needs."""

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


class SelectMessage(TypedDict):
    """Browser to kernel: the user selected these steps (ids)."""

    op: Literal["select"]
    selection: list[str]
    seq: int


class FetchMessage(TypedDict):
    """Browser to kernel: send this value whole. `event` is an index into the step's events."""

    op: Literal["fetch"]
    part: DetailPart
    step: str | None
    event: int | None
    seq: int


class ValueMessage(TypedDict):
    """Kernel to browser: the answer to the fetch with the same `seq`; `error` says why there is no value."""

    op: Literal["value"]
    seq: int
    preview: Preview | None
    error: str | None
