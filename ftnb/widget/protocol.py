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
ColumnType = Literal["f8", "f4", "i4", "u4", "u2", "u1"]
PairKind = Literal["same", "changed", "only_a", "only_b"]
InsightKind = Literal["why", "changes", "source"]
BranchKind = Literal["run", "replay", "fork"]
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


class StateMessage(TypedDict):
    """Browser to kernel: these fields of the view's state changed."""

    op: Literal["state"]
    state: Any
    seq: int


class HelloMessage(TypedDict):
    """Browser to kernel: a view was mounted, with a payload that has this many patches in it."""

    op: Literal["hello"]
    patches: int
    seq: int


class DetailMessage(TypedDict):
    """Browser to kernel: send the details of this step (id), which a long run leaves out at first."""

    op: Literal["detail"]
    step: str
    seq: int


class SearchMessage(TypedDict):
    """Browser to kernel: in which steps does a whole value contain this text?"""

    op: Literal["search"]
    text: str
    seq: int


class AnnotateMessage(TypedDict):
    """Browser to kernel: put this on record, about a step (id) or the engagement (null)."""

    op: Literal["annotate"]
    step: str | None
    label: str
    value: bool | float | str
    note: str | None
    seq: int


class CauseRow(TypedDict):
    """`cause` led to `step` (names; ids where they are steps), and how. `depth` 0 is about the step that was asked for,
    1 about what led to it. `said` is what the router said; `wrote` what the cause changed, in words."""

    step_id: str
    step: str
    cause_id: str | None
    cause: str
    kind: str
    router: str | None
    said: Preview | None
    text: str
    wrote: list[str]
    depth: int


class WhyDetail(TypedDict):
    """Why a step ran: what led to it, and what came before that, nearest first; `n_more` were left out."""

    title: str
    causes: list[CauseRow]
    before: list[CauseRow]
    n_more: int


class ChangeRow(TypedDict):
    """One operation of a patch: add, remove or replace, at a JSON pointer."""

    op: str
    path: str
    where: str
    before: Preview | None
    after: Preview | None


class ChangesDetail(TypedDict):
    """What a step changed in the state, with the graph's reducers applied. Of the keys `unknown` that is not known."""

    title: str
    changes: list[ChangeRow]
    n_more: int
    unknown: list[str]


class CodeDetail(TypedDict):
    """The code of a node or router as it was; `changed` and `diff` tell of today's, null where there is none here."""

    node: str
    qualname: str
    text: str
    place: str
    sha256: str
    version: str
    changed: bool | None
    diff: str | None
    routers: list[CodeDetail]


class InspectMessage(TypedDict):
    """Browser to kernel: why did this step (id) run, what did it change, or what was its code?"""

    op: Literal["inspect"]
    step: str
    what: InsightKind
    seq: int


class Relative(TypedDict):
    """An engagement that this one was made from, or that was made from it. `depth` counts from the eldest; `at` is the
    step at which it branched off."""

    id: str
    name: str
    kind: BranchKind
    status: EngagementStatusName
    started_at: str
    n_steps: int
    total_tokens: int
    at: str | None
    depth: int


class FamilyMessage(TypedDict):
    """Browser to kernel: which engagements belong together with this one? With `show` (an id), show that one."""

    op: Literal["family"]
    show: str | None
    seq: int


class SavedInsight(TypedDict):
    """What a page without a kernel answers; `error` says why there is no value."""

    step: str
    what: InsightKind
    value: Any
    error: str | None


class Saved(TypedDict):
    """What a saved page carries in place of a kernel."""

    insights: list[SavedInsight] | None
    family: list[Relative]


class AnswerMessage(TypedDict):
    """Kernel to browser: the answer to the message with the same `seq`; `error` says why there is none."""

    op: Literal["answer"]
    seq: int
    value: Any
    error: str | None


class Change(TypedDict):
    """One change of the payload: `path` leads to what is replaced by `value`; with `n`, to a list that is cut to n."""

    path: list[str | int]
    value: Any
    n: int | None


class PatchMessage(TypedDict):
    """Kernel to browser: the run went on. Patches apply in the order of `patch`: the payload's `seq` after it."""

    op: Literal["patch"]
    patch: int
    changes: list[Change]


class Pair(TypedDict):
    """Two steps that belong together, as indexes into the steps of either run; None where one run has no such step."""

    a: int | None
    b: int | None
    kind: PairKind
    note: str


class ComparedNode(TypedDict):
    """A node of either run; `a` and `b` are its indexes there."""

    name: str
    label: str
    kind: NodeKind
    parent: int | None
    is_global: bool
    is_goal: bool
    declared: bool
    a: int | None
    b: int | None


class ComparedEdge(TypedDict):
    """A way in either run, and how often each took it."""

    source: int
    target: int
    kind: str
    declared: bool
    a: int
    b: int


class ComparisonPayload(TypedDict):
    """Two runs side by side on one graph and one axis of time."""

    v: int
    kind: Literal["comparison"]
    names: list[str]
    runs: list[EngagementPayload]
    alignment: list[Pair]
    nodes: list[ComparedNode]
    edges: list[ComparedEdge]
    layout: Layout


class MapNumbers(TypedDict):
    """What one group of engagements adds up to, at a node or on an edge. Durations are medians in ms: of the node's
    steps, or of the time between the two steps; `n_dropped` ended here without a goal. None: not known."""

    n: int
    n_engagements: int
    n_dropped: int
    duration_ms: float | None
    total_tokens: int
    cost: float | None


class MapNode(TypedDict):
    """A node of a process map; `numbers` are parallel to the groups."""

    name: str
    label: str
    kind: NodeKind
    parent: int | None
    is_global: bool
    is_goal: bool
    declared: bool
    numbers: list[MapNumbers]


class MapEdge(TypedDict):
    """A way between two nodes of a process map; `numbers` are parallel to the groups."""

    source: int
    target: int
    kind: str
    declared: bool
    numbers: list[MapNumbers]


class MapGroup(TypedDict):
    """Some engagements, and how many they are."""

    name: str
    n_engagements: int


class ProcessMapPayload(TypedDict):
    """Many engagements as one graph with numbers; with two groups also their difference (second less first)."""

    v: int
    kind: Literal["process_map"]
    title: str
    currency: str
    groups: list[MapGroup]
    nodes: list[MapNode]
    edges: list[MapEdge]
    layout: Layout


class ActivityRow(TypedDict):
    """One engagement in the monitor. `spark` counts records in the last stretches of time, oldest first."""

    id: str
    name: str
    status: EngagementStatusName
    started_at: str
    duration_ms: float
    steps: int
    running: list[str]
    last_step: str
    tokens: int
    tokens_per_s: float
    errors: int
    llm_calls: int
    tool_calls: int
    turns: int
    dropped: int
    spark: list[int]


class AlertRow(TypedDict):
    """A condition that is watched; `n` counts how often it came true."""

    key: int
    name: str
    condition: str
    n: int
    error: str | None


class AlarmRow(TypedDict):
    """It came true."""

    alert: int
    name: str
    engagement: str
    engagement_name: str
    step: str | None
    text: str
    at: str


class MonitorPayload(TypedDict):
    """Everything the monitor shows."""

    v: int
    kind: Literal["monitor"]
    store: str
    rows: list[ActivityRow]
    n_more: int
    alerts: list[AlertRow]
    alarms: list[AlarmRow]
    following: Following | None


class OpenMessage(TypedDict):
    """Browser to kernel: show this engagement, and select this step."""

    op: Literal["open"]
    engagement: str | None
    step: str | None
    seq: int


class RemoveAlertMessage(TypedDict):
    """Browser to kernel: watch this alert no longer."""

    op: Literal["remove_alert"]
    key: int
    seq: int


class Picked(TypedDict):
    """Only engagements with one of these values; `field` is a column, or `meta:` and a key of the metadata."""

    field: str
    values: list[str]


class BrowseQuery(TypedDict):
    """What of many engagements is shown. `text` stands in a name, an id, the metadata or an error."""

    text: str
    picked: list[Picked]
    sort: str
    descending: bool
    page: int


class FacetValue(TypedDict):
    """A value, and how many engagements have it that all other choices leave."""

    value: str
    n: int
    picked: bool


class Facet(TypedDict):
    """A field to choose by; `n_more` values are rarer than those that are listed."""

    field: str
    label: str
    values: list[FacetValue]
    n_more: int


class Spread(TypedDict):
    """How a number is spread over what was found: `counts` in bins of equal width on a scale of logarithms."""

    field: str
    low: float
    high: float
    counts: list[int]


class BrowseRow(TypedDict):
    """One engagement in the list."""

    id: str
    name: str
    status: EngagementStatusName
    started_at: str
    duration_ms: float | None
    n_turns: int
    n_steps: int
    n_errors: int
    total_tokens: int
    dropped_at: str | None
    parent_id: str | None
    error: str | None
    metadata: list[list[str]]


class HitRow(TypedDict):
    """A value that holds a text that was searched for."""

    engagement: str
    engagement_name: str
    status: EngagementStatusName | None
    step: str | None
    step_name: str | None
    where: str
    path: str
    before: str
    match: str
    after: str


class BrowserPayload(TypedDict):
    """One page of many engagements, or of what a search found in them (`hits`)."""

    v: int
    kind: Literal["browser"]
    title: str
    note: str
    n: int
    n_found: int
    page_size: int
    query: BrowseQuery
    rows: list[BrowseRow]
    hits: list[HitRow] | None
    facets: list[Facet]
    spreads: list[Spread]


class BrowseMessage(TypedDict):
    """Browser to kernel: show this page of this choice."""

    op: Literal["browse"]
    query: BrowseQuery
    seq: int
