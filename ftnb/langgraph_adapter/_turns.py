"""Engagements and their turns: where a root run belongs, how it begins, and how it ends."""

from __future__ import annotations

import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..core.ids import new_id
from ..core.model import EngagementStatus, Topology
from ..store import build
from ..store.draft import Draft, Stream
from ._drive import Drive, Resumed, TurnUsage, answer_of
from ._events import Facts, GraphStart
from ._identity import Identity, ThreadProbe
from ._runs import Engaged, Turn, new_metadata, tools_of
from ._scope import Labels, Scope
from .topology import merge, read_topology

_MAX_TOPOLOGIES = 256
CLOSED_EARLY = "the stream was closed before the run ended"


class Turns:
    """Begins and ends turns. Belongs to one assembler, and so to the writer's thread."""

    def __init__(self, emit: Callable[[Draft], None]) -> None:
        self._emit = emit
        self._identity = Identity()
        self._scopes: dict[str, Engaged] = {}
        self._topologies: OrderedDict[Any, tuple[Callable[[], Any], Topology]] = OrderedDict()
        self.usages: dict[str, TurnUsage] = {}
        """Token counts of the driven turns under way, by stream."""
        self.newest: str | None = None
        """Id of the engagement whose turn began last."""
        self.n_begun = 0
        """How many turns and scopes began."""
        self.n_engagements = 0

    # --- turns ---

    def begin(self, wall: int, name: str, start: GraphStart) -> Turn:
        """Begin a turn of the engagement to which a root run belongs, and that engagement if there is none yet."""
        engaged = self._scoped(start.scope, wall) if start.scope is not None else self._continued(wall, start)
        if engaged is None:
            engaged = self._engage(wall, name, start, parent=None)
        elif engaged.n_turns:
            stream = Stream(new_id(), engaged.engagement_id, new_turn=True, after=engaged.stream)
            engaged.stream = stream
            self._emit(build.engagement_status(stream, wall, EngagementStatus.ACTIVE))
        if engaged.n_turns or start.scope is not None:
            self._learn(engaged, wall, start)
        engaged.status = EngagementStatus.ACTIVE
        engaged.n_turns += 1
        self.newest = engaged.engagement_id
        self.n_begun += 1
        if engaged.drive is not None:
            self.usages[engaged.stream.stream_id] = engaged.drive.usage
        elif start.thread is not None:
            self._identity.bind(start.thread, engaged)
        return self._turn(engaged, start)

    def _turn(self, engaged: Engaged, start: GraphStart) -> Turn:
        turn = Turn(engaged, engaged.stream, start.thread)
        if start.input_kind != "new":
            turn.resumes, turn.resume_value = True, answer_of(start.resume)
            turn.flows, engaged.flows = engaged.flows, {}
        elif start.scope is None:
            # New input: what an unfinished run left to do is dropped, as LangGraph does.
            engaged.flows, engaged.tasks = {}, {}
        return turn

    def end(self, turn: Turn, wall: int, error: BaseException | None, facts: Facts | None) -> None:
        """End a turn, and with it the engagement, unless it paused or is driven."""
        engaged = turn.engaged
        status, message = _outcome(turn, error, facts)
        if status is EngagementStatus.COMPLETED:
            status = self._judged(engaged)
        may_go_on = status is EngagementStatus.PAUSED or (status is EngagementStatus.FAILED and turn.thread is not None)
        if may_go_on:
            engaged.flows.update(turn.flows)
        else:
            for task_id in turn.tasks:
                engaged.tasks.pop(task_id, None)
        if turn.thread is not None and facts is not None:
            self._identity.written(turn.thread, facts.checkpoint_id)
        if engaged.drive is None:
            self._close(engaged, turn.stream, wall, status, message)

    def _close(
        self, engaged: Engaged, stream: Stream, wall: int, status: EngagementStatus, message: str | None
    ) -> None:
        engaged.status = status
        if status is EngagementStatus.PAUSED:
            self._emit(build.engagement_status(stream, wall, status))
            return
        dropped_at = None if status is EngagementStatus.COMPLETED else engaged.last
        self._emit(build.engagement_ended(stream, wall, status, dropped_at=dropped_at, error=message))

    def _judged(self, engaged: Engaged) -> EngagementStatus:
        missed = engaged.labels.goal_nodes and not engaged.reached
        return EngagementStatus.ABANDONED if missed else EngagementStatus.COMPLETED

    # --- which engagement ---

    def _continued(self, wall: int, start: GraphStart) -> Engaged | None:
        """The engagement that the run goes on with; a fork is begun here. None: a new one."""
        verdict = self._identity.resolve(
            start.thread,
            resumes=start.input_kind != "new",
            is_paused=lambda engaged: engaged.status is EngagementStatus.PAUSED,
        )
        if verdict.kind == "fork":
            origin: Engaged = verdict.engagement
            labels = start.labels or origin.labels
            return self._engage(wall, origin.name, replace_labels(start, labels), parent=origin.engagement_id)
        engaged: Engaged | None = verdict.engagement
        return engaged

    def _engage(self, wall: int, name: str, start: GraphStart, *, parent: str | None) -> Engaged:
        labels = start.labels or Labels()
        topology = self._topology(start.compiled, labels)
        engagement_id = new_id()
        metadata = {**(start.metadata or {}), **labels.metadata}
        engaged = Engaged(engagement_id, Stream(new_id(), engagement_id, turn=1), labels, labels.name or name, topology)
        self._start(engaged, wall, metadata, parent, start.thread)
        return engaged

    def _start(
        self, engaged: Engaged, wall: int, metadata: dict[str, Any], parent: str | None, thread: ThreadProbe | None
    ) -> None:
        self.n_engagements += 1
        engaged.metadata = metadata
        engaged.tools = tools_of(engaged.topology, engaged.labels)
        draft = build.engagement_started(
            engaged.stream,
            wall,
            engaged.name,
            metadata=metadata,
            topology=engaged.topology,
            parent_id=parent,
            goal_nodes=sorted(engaged.labels.goal_nodes),
        )
        if thread is not None:
            draft.body["thread_id"] = thread.thread_id
        self._emit(draft)

    def _learn(self, engaged: Engaged, wall: int, start: GraphStart) -> None:
        """Record what a later turn tells that is new: metadata, name, goals, another graph."""
        said = start.labels
        if said is not None:
            engaged.labels = said.over(engaged.labels)
        topology = merge(engaged.topology, self._topology(start.compiled, engaged.labels))
        metadata = new_metadata(engaged.metadata, {**(start.metadata or {}), **(said.metadata if said else {})})
        name = said.name if said is not None and said.name not in (None, engaged.name) else None
        goals = sorted(said.goal_nodes) if said is not None and said.goal_nodes else None
        changed = topology if topology is not engaged.topology else None
        if name is None and not metadata and goals is None and changed is None:
            return
        engaged.topology, engaged.name = topology, name or engaged.name
        engaged.metadata = {**engaged.metadata, **metadata}
        engaged.tools = tools_of(topology, engaged.labels)
        self._emit(
            build.engagement_labelled(
                engaged.stream, wall, name=name, metadata=metadata, topology=changed, goal_nodes=goals
            )
        )

    def _topology(self, compiled: Any, labels: Labels) -> Topology:
        if compiled is None:
            return Topology()
        said = (labels.global_nodes, tuple(sorted((node, tuple(tools)) for node, tools in labels.node_tools.items())))
        key = (id(compiled), said)
        known = self._topologies.get(key)
        if known is not None and known[0]() is compiled:
            return known[1]
        try:
            topology = read_topology(compiled, global_nodes=labels.global_nodes, node_tools=labels.node_tools)
            self._topologies[key] = (weakref.ref(compiled), topology)
        except Exception:  # a graph that cannot be read is still recorded, step by step
            return Topology()
        while len(self._topologies) > _MAX_TOPOLOGIES:
            self._topologies.popitem(last=False)
        return topology

    # --- scopes ---

    def open_scope(self, wall: int, scope: Scope) -> Engaged:
        """Begin the engagement of a scope."""
        if scope.drive is not None and scope.drive.resumed is not None:
            return self._go_on(wall, scope, scope.drive.resumed)
        engagement_id = scope.engagement_id
        stream = Stream(new_id(), engagement_id, turn=1)
        name = scope.labels.name or "engagement"
        engaged = Engaged(engagement_id, stream, scope.labels, name, scope.topology or Topology())
        engaged.drive = scope.drive
        self._scopes[engagement_id] = engaged
        self._start(engaged, wall, dict(scope.labels.metadata), None, None)
        self.newest = engagement_id
        self.n_begun += 1
        return engaged

    def _go_on(self, wall: int, scope: Scope, resumed: Resumed) -> Engaged:
        """Begin the next turn of an engagement that is in the store."""
        stream = Stream(new_id(), scope.engagement_id, new_turn=True)
        engaged = Engaged(scope.engagement_id, stream, scope.labels, resumed.name, resumed.topology)
        engaged.drive, engaged.metadata, engaged.last = scope.drive, resumed.metadata, resumed.last
        engaged.visits, engaged.parked = Counter(resumed.visits), dict(resumed.parked)
        engaged.reached = not scope.labels.goal_nodes.isdisjoint(resumed.completed)
        engaged.tools = tools_of(resumed.topology, scope.labels)
        self._scopes[scope.engagement_id] = engaged
        self._emit(build.engagement_status(stream, wall, EngagementStatus.ACTIVE))
        self.newest = scope.engagement_id
        self.n_begun += 1
        return engaged

    def close_scope(self, wall: int, scope: Scope, error: BaseException | None) -> None:
        """End the engagement of a scope, unless its last turn did, or paused."""
        engaged = self._scopes.pop(scope.engagement_id, None)
        if engaged is None:
            return
        if scope.drive is not None:
            self._end_driven(engaged, scope.drive, wall, error)
        elif error is not None and engaged.status is not EngagementStatus.FAILED:
            self._close(engaged, engaged.stream, wall, EngagementStatus.FAILED, describe(error))
        elif engaged.status is EngagementStatus.ACTIVE:
            self._close(engaged, engaged.stream, wall, self._judged(engaged), None)

    def _end_driven(self, engaged: Engaged, drive: Drive, wall: int, error: BaseException | None) -> None:
        self.usages.pop(engaged.stream.stream_id, None)
        status = drive.outcome or EngagementStatus.FAILED
        if status is EngagementStatus.COMPLETED:
            status = self._judged(engaged)
        elif status is EngagementStatus.ABANDONED and engaged.reached:
            status = EngagementStatus.COMPLETED
        message = drive.error or (None if error is None or drive.outcome is not None else describe(error))
        self._close(engaged, engaged.stream, wall, status, message)

    def _scoped(self, scope: Scope, wall: int) -> Engaged:
        # A scope that was opened while recording was off begins with its first run.
        return self._scopes.get(scope.engagement_id) or self.open_scope(wall, scope)

    def plain(self, wall: int, scope: Scope) -> Turn:
        """Where a call outside any graph goes: into the scope's latest turn."""
        engaged = self._scoped(scope, wall)
        engaged.status = EngagementStatus.ACTIVE
        return Turn(engaged, engaged.stream)


def replace_labels(start: GraphStart, labels: Labels) -> GraphStart:
    """`start` as if the user had said `labels`."""
    return replace(start, labels=labels)


def _outcome(turn: Turn, error: BaseException | None, facts: Facts | None) -> tuple[EngagementStatus, str | None]:
    if error is None:
        paused = turn.waiting > 0 or (facts is not None and facts.status.startswith("interrupt"))
        return (EngagementStatus.PAUSED if paused else EngagementStatus.COMPLETED), None
    kinds = {base.__name__ for base in type(error).__mro__}
    if "GraphBubbleUp" in kinds:
        return EngagementStatus.PAUSED, None
    if isinstance(error, GeneratorExit):
        if turn.engaged.reached:
            return EngagementStatus.COMPLETED, None
        return EngagementStatus.ABANDONED, CLOSED_EARLY
    return EngagementStatus.FAILED, describe(error)


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
