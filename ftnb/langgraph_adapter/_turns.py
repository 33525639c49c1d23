"""Engagements and their turns: where a root run belongs, how it begins, and how it ends."""

from __future__ import annotations

import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..core.ids import new_id, now_us
from ..core.model import EngagementStatus, EventKind, Topology
from ..store import build
from ..store.draft import Draft, Stream
from . import _live
from ._checkpoints import Checkpoints, Loaded, lane_of
from ._clock import offset_ns
from ._code import Codes
from ._drive import Drive, Resumed, TurnUsage, answer_of
from ._events import Facts, GraphStart
from ._identity import Identity, ThreadProbe, Verdict
from ._runs import Engaged, Turn, describe, new_metadata, tools_of
from ._scope import Labels, Scope
from .topology import merge, read_topology

_MAX_TOPOLOGIES = 256
CLOSED_EARLY = "the stream was closed before the run ended"


class Stopped(Exception):
    """recording was stopped before the run ended"""


class Left(Exception):
    """the stream was left and never closed"""


class Turns:
    """Begins and ends turns. Belongs to one assembler, and so to the writer's thread."""

    def __init__(self, emit: Callable[[Draft], None], checkpoints: Checkpoints, store: Any = None) -> None:
        self._emit = emit
        self._identity = Identity()
        self._checkpoints = checkpoints
        self._store = store
        self._scopes: dict[str, Engaged] = {}
        self._topologies: OrderedDict[Any, tuple[Callable[[], Any], Topology]] = OrderedDict()
        self._codes = Codes()
        self.usages: dict[str, TurnUsage] = {}
        """Token counts of the driven turns under way, by stream."""
        self.newest: str | None = None
        """Id of the engagement whose turn began last."""
        self.n_begun = 0
        """How many turns and scopes began."""
        self.n_engagements = 0

    # --- turns ---

    def begin(self, perf: int, name: str, start: GraphStart, loaded: Loaded | None) -> Turn:
        """Begin a turn of the engagement to which a root run belongs, and that engagement if there is none yet.

        `loaded` None: it is not known what the run found in its saver.
        """
        wall = (perf + start.offset_ns) // 1000
        engaged = self._scoped(start.scope, wall) if start.scope is not None else self._continued(wall, start, loaded)
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
        _live.ran(engaged.engagement_id, start.compiled)
        turn = self._turn(engaged, start)
        turn.touched = perf
        return turn

    def _turn(self, engaged: Engaged, start: GraphStart) -> Turn:
        turn = Turn(engaged, engaged.stream, start.thread, offset=start.offset_ns)
        if start.input_kind != "new":
            turn.resumes, turn.resume_value = True, answer_of(start.resume)
            turn.flows, engaged.flows = engaged.flows, {}
        elif start.scope is None:
            # New input: what an unfinished run left to do is dropped, as LangGraph does.
            engaged.flows, engaged.tasks = {}, {}
        return turn

    def wrote(self, turn: Turn, checkpoint_id: str) -> None:
        """The turn's root graph made a checkpoint."""
        if turn.thread is not None and turn.engaged.drive is None:
            lane = lane_of(turn.thread.thread_id, turn.thread.namespace)
            self._checkpoints.wrote(turn.engaged, lane, checkpoint_id)

    def end(self, turn: Turn, perf: int, error: BaseException | None, facts: Facts | None) -> None:
        """End a turn, and with it the engagement, unless it paused or is driven."""
        engaged, wall = turn.engaged, turn.us(perf)
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
            self._close(engaged, turn.stream, wall, status, message, facts)

    def _close(
        self,
        engaged: Engaged,
        stream: Stream,
        wall: int,
        status: EngagementStatus,
        message: str | None,
        facts: Facts | None = None,
    ) -> None:
        engaged.status = status
        if status is EngagementStatus.PAUSED:
            draft = build.engagement_status(stream, wall, status)
            if facts is not None and facts.status.startswith("interrupt_"):
                draft.body["reason"] = facts.status
                if facts.next:
                    draft.body["next"] = list(facts.next)
        else:
            dropped_at = None if status is EngagementStatus.COMPLETED else engaged.last
            draft = build.engagement_ended(stream, wall, status, dropped_at=dropped_at, error=message)
        tell_heads(engaged, draft)
        self._emit(draft)

    def _judged(self, engaged: Engaged) -> EngagementStatus:
        missed = engaged.labels.goal_nodes and not engaged.reached
        return EngagementStatus.ABANDONED if missed else EngagementStatus.COMPLETED

    # --- which engagement ---

    def _continued(self, wall: int, start: GraphStart, loaded: Loaded | None) -> Engaged | None:
        """The engagement that the run goes on with; a fork is begun here. None: a new one."""
        thread = start.thread
        if loaded is None or thread is None:
            verdict = self._identity.resolve(
                thread,
                resumes=start.input_kind != "new",
                is_paused=lambda engaged: engaged.status is EngagementStatus.PAUSED,
            )
        else:
            lane = lane_of(thread.thread_id, thread.namespace)
            verdict = self._checkpoints.resolve(loaded, lane, is_asked=thread.checkpoint_id is not None)
        if verdict.kind == "new":
            return None
        return self._forked(wall, start, verdict) if verdict.kind == "fork" else self._known(verdict)

    def _forked(self, wall: int, start: GraphStart, verdict: Verdict) -> Engaged:
        origin = self._known(verdict)
        labels = start.labels or origin.labels
        return self._engage(wall, origin.name, replace(start, labels=labels), parent=origin.engagement_id)

    def _known(self, verdict: Verdict) -> Engaged:
        """The verdict's engagement; read from the store where this process does not have it."""
        if isinstance(verdict.engagement, Engaged):
            return verdict.engagement
        engagement = self._store.get_engagement(verdict.engagement)
        resumed = Resumed.of(engagement)
        goals = frozenset(engagement.goal_nodes)
        stream = Stream(new_id(), engagement.id)
        engaged = Engaged(engagement.id, stream, Labels(goal_nodes=goals), resumed.name, resumed.topology)
        _recall(engaged, resumed, goals)
        engaged.status, engaged.n_turns = engagement.status, engagement.n_turns
        tops = [step.id for step in engagement.steps if step.parent_step_id is None]
        engaged.last_step_id = tops[-1] if tops else None
        return engaged

    # --- edits outside a run ---

    def edited(self, wall: int, thread: ThreadProbe, made: str | None, updates: Any) -> None:
        """Somebody changed the state of a thread by `update_state`, which made the checkpoint `made`."""
        lane = lane_of(thread.thread_id, thread.namespace)
        base = thread.checkpoint_id or thread.latest
        if base is not None:
            verdict = self._checkpoints.resolve(Loaded(base, None), lane, is_asked=thread.checkpoint_id is not None)
        else:
            known = self._identity.owner(thread) or self._checkpoints.only_owner(lane)
            verdict = Verdict("continue" if known else "new", known)
        if verdict.kind == "new":
            return  # of a conversation that is not on record
        engaged = self._known(verdict)
        if engaged.last_step_id is None or made is None:
            return
        payload, is_late = updates or (None, False)
        said = {"updates": payload, "checkpoint_id": made}
        stream = Stream(new_id(), engaged.engagement_id, after=engaged.stream)
        draft = build.event(
            stream, wall, engaged.last_step_id, EventKind.LOG, "update_state", payload=said, subtype="edit"
        )
        if is_late:
            draft.body["late_bound"] = True
        if verdict.kind == "continue" and not thread.namespace:
            self._checkpoints.wrote(engaged, lane, made)
            self._identity.written(thread, made)
            tell_heads(engaged, draft)
        else:
            self._checkpoints.branched(engaged, made)
        self._emit(draft)

    def _engage(self, wall: int, name: str, start: GraphStart, *, parent: str | None) -> Engaged:
        labels = start.labels or Labels()
        topology = self._topology(start.compiled, labels)
        engagement_id = new_id()
        metadata = {**(start.metadata or {}), **labels.metadata}
        engaged = Engaged(engagement_id, Stream(new_id(), engagement_id, turn=1), labels, labels.name or name, topology)
        self._start(engaged, wall, metadata, parent, start.thread, start.compiled)
        return engaged

    def _start(
        self,
        engaged: Engaged,
        wall: int,
        metadata: dict[str, Any],
        parent: str | None,
        thread: ThreadProbe | None,
        compiled: Any = None,
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
        if compiled is not None:
            self._tell_code(engaged, draft, compiled)
        self._emit(draft)

    def _tell_code(self, engaged: Engaged, draft: Draft, compiled: Any) -> None:
        said = self._codes.of(compiled)
        if said:
            engaged.code = said["code"]
            draft.body.update(said)

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
        is_new_code = start.compiled is not None and self._codes.version(start.compiled) not in (None, engaged.code)
        if name is None and not metadata and goals is None and changed is None and not is_new_code:
            return
        engaged.topology, engaged.name = topology, name or engaged.name
        engaged.metadata = {**engaged.metadata, **metadata}
        engaged.tools = tools_of(topology, engaged.labels)
        draft = build.engagement_labelled(
            engaged.stream, wall, name=name, metadata=metadata, topology=changed, goal_nodes=goals
        )
        if is_new_code:
            self._tell_code(engaged, draft, start.compiled)
        self._emit(draft)

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
        resumed = scope.resumed if scope.drive is None else scope.drive.resumed
        if resumed is not None:
            return self._go_on(wall, scope, resumed)
        engagement_id = scope.engagement_id
        stream = Stream(new_id(), engagement_id, turn=1)
        name = scope.labels.name or "engagement"
        engaged = Engaged(engagement_id, stream, scope.labels, name, scope.topology or Topology())
        engaged.drive = scope.drive
        engaged.visits.update(scope.visits)
        self._scopes[engagement_id] = engaged
        self._start(engaged, wall, dict(scope.labels.metadata), scope.parent_id, None)
        self.newest = engagement_id
        self.n_begun += 1
        return engaged

    def _go_on(self, wall: int, scope: Scope, resumed: Resumed) -> Engaged:
        """Begin the next turn of an engagement that is in the store."""
        stream = Stream(new_id(), scope.engagement_id, new_turn=True, after=scope.after)
        engaged = Engaged(scope.engagement_id, stream, scope.labels, resumed.name, resumed.topology)
        engaged.drive = scope.drive
        _recall(engaged, resumed, scope.labels.goal_nodes)
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
            status, message = engaged.verdict or (self._judged(engaged), None)
            self._close(engaged, engaged.stream, wall, status, message)

    def _end_driven(self, engaged: Engaged, drive: Drive, wall: int, error: BaseException | None) -> None:
        self.usages.pop(engaged.stream.stream_id, None)
        status = drive.outcome or EngagementStatus.FAILED
        if status is EngagementStatus.COMPLETED:
            status = self._judged(engaged)
        elif status is EngagementStatus.ABANDONED and engaged.reached:
            status = EngagementStatus.COMPLETED
        message = drive.error or (None if error is None or drive.outcome is not None else describe(error))
        self._close(engaged, engaged.stream, wall, status, message)

    def paused(self, engaged: Engaged, wall: int) -> None:
        """The code in a block said that the turn ends here, to be gone on with later."""
        self._close(engaged, engaged.stream, wall, EngagementStatus.PAUSED, None)
        engaged.n_turns += 1

    def next_turn(self, engaged: Engaged, wall: int) -> None:
        """The code in a block goes on after a pause."""
        engaged.stream = Stream(new_id(), engaged.engagement_id, new_turn=True, after=engaged.stream)
        engaged.status, engaged.verdict = EngagementStatus.ACTIVE, None
        self._emit(build.engagement_status(engaged.stream, wall, EngagementStatus.ACTIVE))
        self.n_begun += 1

    def learned(self, engaged: Engaged, wall: int, topology: Topology) -> None:
        """More is known of the engagement's topology."""
        merged = merge(engaged.topology, topology)
        if merged is not engaged.topology:
            engaged.topology = merged
            engaged.tools = tools_of(merged, engaged.labels)
            self._emit(build.engagement_labelled(engaged.stream, wall, topology=merged))

    def engaged_in(self, scope: Scope, wall: int) -> Engaged:
        """The engagement of a block."""
        return self._scoped(scope, wall)

    def _scoped(self, scope: Scope, wall: int) -> Engaged:
        # A scope that was opened while recording was off begins with its first run.
        return self._scopes.get(scope.engagement_id) or self.open_scope(wall, scope)

    def plain(self, perf: int, scope: Scope) -> Turn:
        """Where a call outside any graph goes: into the scope's latest turn."""
        offset = offset_ns()
        engaged = self._scoped(scope, (perf + offset) // 1000)
        engaged.status = EngagementStatus.ACTIVE
        return Turn(engaged, engaged.stream, offset=offset)

    def stop_scopes(self) -> None:
        """Recording stops: the engagements of blocks end here."""
        for engaged in self._scopes.values():
            if engaged.status is EngagementStatus.ACTIVE:
                message = Stopped.__doc__
                self._close(engaged, engaged.stream, now_us(), EngagementStatus.ABANDONED, message)
        self._scopes.clear()


def _recall(engaged: Engaged, resumed: Resumed, goals: frozenset[str]) -> None:
    """Let `engaged` know what its engagement has on record."""
    engaged.metadata, engaged.last = resumed.metadata, resumed.last
    engaged.visits, engaged.parked = Counter(resumed.visits), dict(resumed.parked)
    engaged.reached = not goals.isdisjoint(resumed.completed)
    engaged.tools = tools_of(resumed.topology, engaged.labels)


def tell_heads(engaged: Engaged, draft: Draft) -> None:
    """Put the engagement's latest checkpoint on record with `draft`, unless it is already."""
    for lane, checkpoint_id in engaged.heads.items():
        if engaged.told_heads.get(lane) != checkpoint_id:
            draft.body["head"] = [lane, checkpoint_id]
            engaged.told_heads[lane] = checkpoint_id


def _outcome(turn: Turn, error: BaseException | None, facts: Facts | None) -> tuple[EngagementStatus, str | None]:
    if error is None:
        paused = turn.waiting > 0 or (facts is not None and facts.status.startswith("interrupt"))
        return (EngagementStatus.PAUSED if paused else EngagementStatus.COMPLETED), None
    kinds = {base.__name__ for base in type(error).__mro__}
    if "GraphBubbleUp" in kinds:
        return EngagementStatus.PAUSED, None
    if isinstance(error, (Stopped, Left)):
        return EngagementStatus.ABANDONED, type(error).__doc__
    if isinstance(error, GeneratorExit):
        if turn.engaged.reached:
            return EngagementStatus.COMPLETED, None
        return EngagementStatus.ABANDONED, CLOSED_EARLY
    return EngagementStatus.FAILED, describe(error)
