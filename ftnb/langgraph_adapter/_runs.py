"""What the assembler knows about the runs that are under way, and about the engagements that they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.model import EngagementStatus, Topology
from ..store.draft import Draft, Stream
from ._drive import Drive, Parked
from ._identity import ThreadProbe
from ._routing import Causes, Flow, Source
from ._scope import Labels, Scope


@dataclass(slots=True)
class Task:
    """One LangGraph task, kept from its first attempt for as long as it may be tried again."""

    visit: int
    attempt: int
    causes: Causes
    step_id: str
    """Of its latest attempt."""
    waiting: bool = False
    """It stopped at an interrupt."""


@dataclass(slots=True, eq=False)
class Engaged:
    """An engagement that this session has begun."""

    engagement_id: str
    stream: Stream
    """Of its latest turn."""
    labels: Labels
    name: str
    topology: Topology = field(default_factory=Topology)
    metadata: dict[str, Any] = field(default_factory=dict)
    status: EngagementStatus = EngagementStatus.ACTIVE
    n_turns: int = 0
    reached: bool = False
    """Some goal was reached, in any turn."""
    last: str | None = None
    """Name of the step at the top that was completed last."""
    last_step_id: str | None = None
    """Of the step at the top that began last."""
    heads: dict[str, str] = field(default_factory=dict)
    """Latest checkpoint by thread (`_checkpoints.lane_of`)."""
    told_heads: dict[str, str] = field(default_factory=dict)
    """As far as they are on record."""
    visits: Counter[tuple[str, str]] = field(default_factory=Counter)
    tasks: dict[str, Task] = field(default_factory=dict)
    flows: dict[tuple[str, str], Flow] = field(default_factory=dict)
    """Causes of graphs that paused, by `GraphRun.flow_key`."""
    tools: dict[str, list[str]] = field(default_factory=dict)
    """Tools of each node, from the topology."""
    parked: dict[tuple[str, str], list[Parked]] = field(default_factory=dict)
    """Steps, by namespace and node, that another process or an earlier turn left waiting."""
    drive: Drive | None = None
    verdict: tuple[EngagementStatus, str | None] | None = None
    """How it ends, as the code in its block said; None: it is judged."""
    code: str | None = None
    """Version of the code of its latest graph; None: not told yet."""


@dataclass(slots=True, eq=False)
class Turn:
    """One root run."""

    engaged: Engaged
    stream: Stream
    thread: ThreadProbe | None = None
    resumes: bool = False
    """It goes on from the checkpoint that it loaded."""
    resume_value: Any = None
    waiting: int = 0
    """Steps at the top that stopped at an interrupt."""
    open: dict[Any, Run] = field(default_factory=dict)
    """Runs under way, by run id."""
    flows: dict[tuple[str, str], Flow] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    """Ids of tasks begun in this turn and not yet forgotten."""
    offset: int = 0
    """From `perf_counter_ns` to nanoseconds since 1970: the one clock of the turn."""
    touched: int = 0
    """When a step of it began or ended last, by `perf_counter_ns`."""
    unattached: StepRun | None = None
    """Holds the calls whose step cannot be told."""

    def us(self, perf: int) -> int:
        """Microseconds since 1970."""
        return (perf + self.offset) // 1000


@dataclass(slots=True, eq=False)
class Run:
    """A run that is no step: part of a chain, a router, a graph inside a step."""

    turn: Turn
    step: StepRun | None
    """The step that it lies in; None above all steps."""
    graph: GraphRun | None = None
    """The nearest graph around it."""
    branch: str | None = None
    """The router that this is."""
    is_parser: bool = False
    """It makes objects out of what a model said."""
    scope: Scope | None = None


@dataclass(slots=True, eq=False)
class GraphRun(Run):
    """A graph that runs; `step` is the step inside which it does."""

    flow: Flow | None = None
    """None until its first node tells the namespace."""
    flow_key: tuple[str, str] = ("", "")
    """The task that it runs in, and the namespace of its checkpoints: the same again when it is resumed."""
    compiled: Any = None
    is_root: bool = False
    is_tapped: bool = False
    """The tap tells what its nodes write."""
    is_saved: bool = False
    """Its checkpoints are kept by somebody."""
    checkpoint_id: str | None = None
    """From which the superstep that runs began."""
    entry: list[Any] | None = None
    """What was written at its start, until the first step of it tells."""
    ending: dict[str, tuple[StepRun, Draft]] = field(default_factory=dict)
    """By task id, ends of steps whose tasks write after them: those that a `Command` to the parent ended."""
    reports_calls: bool = False
    """Its state has keys in which nodes may report calls of models."""
    tasks: list[str] = field(default_factory=list)
    """Tasks of the superstep that runs, whose retries may follow."""


@dataclass(slots=True, eq=False)
class StepRun(Run):
    """A node that runs; `step` is itself."""

    step_id: str = ""
    name: str = ""
    ns: str = ""
    outer: StepRun | None = None
    task_id: str | None = None
    triggers: Any = ()
    """Channels that may have triggered it."""
    source: Source | None = None
    perf: int = 0
    is_cached: bool = False
    """It was not run: the cache had what it would write."""
    decisions: dict[str, Any] = field(default_factory=dict)
    """What its routers said, by router."""
    calls: list[tuple[str, Draft]] = field(default_factory=list)
    """Calls that the callbacks saw, as (`llm` or `tool`, event), to be matched with what the node reports itself."""
    extracted: list[dict[str, Any]] = field(default_factory=list)
    """Values that parsers made, to be matched with what the node reports itself."""
    held: list[Draft] = field(default_factory=list)
    """Events that wait for the node's own report, which may know their tokens."""
    told: int | None = None
    """Identity of an exception that a step inside has an event of: it passes through every step around that one."""
    plain: bool = False
    """A call outside any graph, recorded as a step because it happened inside a scope."""
    is_code: bool = False
    """A stretch of plain code, begun and ended by whoever wrote it."""
    waits: bool = False
    """Of plain code: it was paused in the midst of it."""

    @property
    def full(self) -> str:
        """Its node's full name, with the subgraphs around it."""
        return f"{self.ns}/{self.name}" if self.ns else self.name


@dataclass(slots=True, eq=False)
class CallRun(Run):
    """A model, tool or retriever that was called."""

    kind: str = ""
    """llm, tool or retriever."""
    name: str = ""
    perf: int = 0
    is_late: bool = False
    """Some of the payload lies too deep to have been copied."""
    payload: dict[str, Any] = field(default_factory=dict)
    model: str | None = None
    own_step: StepRun | None = None
    """The step made for it alone."""
    outer: CallRun | None = None
    """The model call that this one is made by."""
    seen: Any = None
    """What saw it, where that is no callback (`_llm.Seen`)."""
    subtype: str | None = None
    alone: Scope | None = None
    """The engagement that was begun for it alone."""
    inner: list[Draft] = field(default_factory=list)
    """Events of the model calls made by this one: they are what happened, and this one is not recorded."""


def tools_of(topology: Topology, labels: Labels) -> dict[str, list[str]]:
    """Tools by full node name: what the graph tells, then what the user said."""
    known = {node.name: list(node.tools) for node in topology.nodes if node.tools}
    return {**known, **{name: list(tools) for name, tools in labels.node_tools.items()}}


class Place(NamedTuple):
    """Where LangGraph runs a node, as its metadata tell."""

    node: Any
    namespace: str | None
    superstep: Any
    path: Any
    triggers: Any

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Place:
        """From a run's metadata."""
        keys = ("langgraph_node", "langgraph_checkpoint_ns", "langgraph_step", "langgraph_path", "langgraph_triggers")
        return cls(*(metadata.get(key) for key in keys))


def task_id(namespace: str | None) -> str | None:
    """LangGraph's id of the task that a run belongs to: the last part of its namespace."""
    return str(namespace or "").rpartition(":")[2] or None


def is_called(path: Sequence[Any]) -> bool:
    """Whether a task of this LangGraph path was called by its node (functional API), not scheduled by the graph."""
    return len(path) > 3 and path[-1] is True


def matches(names: Iterable[str], step: StepRun) -> bool:
    """Whether `names` (goals, global nodes) name the step's node: a bare name means one at the top."""
    return step.full in names


def new_metadata(known: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `more` that `known` lacks or has otherwise."""
    return {key: value for key, value in more.items() if key not in known or known[key] != value}


def describe(error: BaseException) -> str:
    """The class and message of an exception; never raises."""
    try:
        text = str(error)
    except Exception:
        text = "(its message could not be read)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def as_mapping(value: Any) -> dict[str, Any]:
    """A payload from any value."""
    return dict(value) if isinstance(value, Mapping) else {"value": value}
