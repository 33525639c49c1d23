"""From captured events to records. Runs on the writer's thread, so plain dicts do.

Events come in the order in which they happened. Each run is known by its run id from its start to its end; whatever is
still open when its root run ends is closed and forgotten with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from ..store.draft import Draft
from . import _events as events
from ._call_runs import CallRuns
from ._checkpoints import Checkpoints, Loaded
from ._code_steps import CodeSteps
from ._events import GraphStart
from ._runs import CallRun, GraphRun, Place, Run, StepRun, Turn, is_called, task_id
from ._scope import Scope
from ._steps import Steps
from ._turns import Left, Stopped, Turns
from .topology import START

_MAX_ENDED = 1_000
"""Root runs remembered after their end, so that stragglers are not taken for runs of their own."""
_STALE_NS = 3_600 * 10**9
"""A root run in which nothing was under way for so long is a stream that somebody left."""
_NODE_TAG = "graph:step:"
_PART_TAG = "seq:step:"


class Assembler:
    """Turns the events of one session into drafts."""

    def __init__(self, store: Any = None) -> None:
        self._out: list[Draft] = []
        self.turns = Turns(self._emit, Checkpoints(store), store)
        self._steps = Steps(self._emit)
        self._runs: dict[Any, Run] = {}
        self._calls = CallRuns(self._emit, self.turns, self._runs, self._roots)
        self.code = CodeSteps(self._emit, self.turns, self._runs, self._calls.unended)
        self._calls.found = self.code.found
        self.before_stop: list[Callable[[], None]] = []
        """What parts above this package do before recording stops."""
        self._pending: dict[Any, tuple[int, str, GraphStart]] = {}
        """Root runs of which the tap has yet to tell what they loaded."""
        self._ended: OrderedDict[Any, None] = OrderedDict()
        self._swept = 0
        self._on: dict[int, Callable[[Any], None]] = {
            events.GRAPH_START: self._graph_start,
            events.GRAPH_END: self._graph_end,
            events.NODE_START: self._node_start,
            events.CHAIN_START: self._chain_start,
            events.CHAIN_END: self._chain_end,
            events.CHAIN_ERROR: self._chain_error,
            events.LLM_START: self._calls.llm_start,
            events.LLM_END: self._calls.llm_end,
            events.LLM_ERROR: self._calls.llm_error,
            events.TOOL_START: self._calls.tool_start,
            events.TOOL_END: self._calls.tool_end,
            events.TOOL_ERROR: self._calls.tool_error,
            events.CUSTOM: self._calls.custom,
            events.SCOPE_OPEN: self._scope_open,
            events.SCOPE_CLOSE: self._scope_close,
            events.LOADED: self._loaded,
            events.CHECKPOINT: self._checkpoint,
            events.WRITES: self._writes,
            events.CACHED: self._cached,
            events.EDITED: lambda event: self.turns.edited(*event[1:]),
            events.STOPPED: self._stopped,
            events.STEP_START: self.code.begin,
            events.STEP_END: self.code.end,
            events.EXTRACTED: self.code.extracted,
            events.DECLARED: self.code.declared,
            events.VERDICT: self.code.verdict,
            events.CALL: lambda event: event[1](self, *event[2:]),
        }

    @property
    def n_open(self) -> int:
        """Runs under way."""
        return len(self._runs) + len(self._pending)

    def translate(self, event: Any) -> Iterable[Draft]:
        """The drafts of one event; an error leaves those that were made before it."""
        self._out = []
        try:
            self._on[event[0]](event)
        except Exception as error:
            return _then(self._out, error)
        return self._out

    def take(self, event: Any) -> None:
        """Another event, from within one: for parts above this package."""
        self._on[event[0]](event)

    def _emit(self, draft: Draft) -> None:
        self._out.append(draft)
        if self.turns.usages and (usage := self.turns.usages.get(draft.stream.stream_id)) is not None:
            usage.take(draft)

    def _roots(self) -> list[GraphRun]:
        return [run for run in self._runs.values() if isinstance(run, GraphRun) and run.is_root]

    def _run(self, run_id: Any) -> Run | None:
        """A run under way. One that waited for the tap begins without it: the tap would have told first."""
        if run_id in self._pending:
            self._begin(run_id, None)
        return self._runs.get(run_id)

    def _add(self, run_id: Any, run: Run) -> None:
        self._runs[run_id] = run
        run.turn.open[run_id] = run

    def _pop(self, run_id: Any) -> Run | None:
        run = self._runs.pop(run_id, None)
        if run is not None:
            run.turn.open.pop(run_id, None)
        return run

    # --- graphs ---

    def _graph_start(self, event: Any) -> None:
        _, perf, run_id, parent_id, name, metadata, start = event
        parent = self._run(parent_id)
        if parent is not None:
            graph = GraphRun(parent.turn, parent.step, compiled=start.compiled)
            self._add_graph(run_id, graph)
            self.code.graph_ran(graph)
        elif "langgraph_node" in metadata:
            self._remember_ended(run_id)  # inside a run that is not ours to record
        else:
            self._sweep(perf)
            self._pending[run_id] = perf, name, start
            if not start.is_tapped or start.thread is None or start.scope is not None:
                self._begin(run_id, None)

    def _begin(self, run_id: Any, loaded: Loaded | None) -> None:
        """Begin the turn of a root run."""
        perf, name, start = self._pending.pop(run_id)
        turn = self.turns.begin(perf, name, start, loaded)
        self._add_graph(run_id, GraphRun(turn, None, compiled=start.compiled, is_root=True))

    def _add_graph(self, run_id: Any, graph: GraphRun) -> None:
        graph.graph = graph
        channels = getattr(graph.compiled, "channels", None) or ()
        graph.reports_calls = "llm_calls" in channels or "events" in channels
        self._add(run_id, graph)

    def _stray_graph(self, run_id: Any, perf: int, namespace: str | None) -> GraphRun | None:
        """A node of a graph whose start was not recognised: better a plain engagement than none."""
        if run_id in self._ended or "|" in str(namespace):
            return None
        from ._clock import offset_ns

        self._graph_start((events.GRAPH_START, perf, run_id, None, "LangGraph", {}, GraphStart(offset_ns=offset_ns())))
        graph = self._runs.get(run_id)
        return graph if isinstance(graph, GraphRun) else None

    def _end_root(self, run_id: Any, root: GraphRun, perf: int, facts: Any, error: BaseException | None) -> None:
        turn = root.turn
        self._steps.release(root)
        self._end_open(turn, perf)
        self.code.left(turn)
        if turn.unattached is not None:
            self._calls.end_plain(turn.unattached, perf, None)
        self._remember_ended(run_id)
        self.turns.end(turn, perf, error, facts)

    def _end_open(self, turn: Turn, perf: int) -> None:
        """What is under way in a turn will not be seen to its end."""
        for open_id, run in list(turn.open.items())[::-1]:
            self._pop(open_id)
            if isinstance(run, CallRun):
                self._calls.unended(run)
            elif isinstance(run, StepRun):
                (self.code.cancel if run.is_code else self._steps.cancel)(run, perf)
            elif isinstance(run, GraphRun):
                self._steps.release(run)

    def _remember_ended(self, run_id: Any) -> None:
        self._ended[run_id] = None
        if len(self._ended) > _MAX_ENDED:
            self._ended.popitem(last=False)

    def _stopped(self, event: Any) -> None:
        """Recording stops: what is under way will not be seen to its end."""
        _, perf, is_final = event
        for settle in self.before_stop:
            settle()
        for run_id in list(self._pending):
            self._begin(run_id, None)
        self._end_all(perf, [root.turn for root in self._roots()], Stopped())
        for turn in self.code.turns():
            self._end_open(turn, perf)
        self._calls.stop(perf)
        if is_final:
            self.turns.stop_scopes()

    def _sweep(self, perf: int) -> None:
        """End root runs that nobody will: a stream that was left half read, and is still held by somebody."""
        if perf - self._swept >= _STALE_NS // 60:
            self._swept = perf
            idle = [root.turn for root in self._roots() if perf - root.turn.touched > _STALE_NS]
            quiet = [turn for turn in idle if all(isinstance(run, GraphRun) for run in turn.open.values())]
            self._end_all(perf, quiet, Left())

    def _end_all(self, perf: int, turns: list[Turn], error: BaseException) -> None:
        for run_id, run in list(self._runs.items()):
            if isinstance(run, GraphRun) and run.is_root and run.turn in turns:
                self._pop(run_id)
                self._end_root(run_id, run, perf, None, error)

    def _scope_open(self, event: Any) -> None:
        _, perf, offset, scope = event
        self.turns.open_scope((perf + offset) // 1000, scope)

    def _scope_close(self, event: Any) -> None:
        _, perf, offset, scope, error = event
        turn = self.code.turn_of(scope)
        if turn is not None:
            self._end_open(turn, perf)
            self.code.close(scope, perf)
        self.turns.close_scope((perf + offset) // 1000, scope, error)

    # --- chains: nodes, routers, and the rest ---

    def _node_start(self, event: Any) -> None:
        _, perf, run_id, parent_id, *where, state, is_late = event
        self._begin_step(perf, run_id, parent_id, Place(*where), state, is_late)

    def _begin_step(self, perf: int, run_id: Any, parent_id: Any, place: Place, state: Any, is_late: bool) -> None:
        parent = self._run(parent_id)
        if place.node == START:
            if parent is not None:
                self._add(run_id, Run(parent.turn, parent.step, parent.graph))
            return
        parent = parent or self._stray_graph(parent_id, perf, place.namespace)
        if parent is not None:
            self._add(run_id, self._steps.begin(parent, perf, place, state, is_late))

    def _chain_start(self, event: Any) -> None:
        _, perf, run_id, parent_id, name, tags, metadata, inputs, scope, kind = event
        parent = self._run(parent_id)
        if is_node(tags, metadata, parent):
            self._begin_step(perf, run_id, parent_id, Place.of(metadata), *(inputs or (None, False)))
        elif parent is not None:
            run = Run(parent.turn, parent.step, parent.graph)
            if isinstance(parent, StepRun) and is_after_node(tags):
                run.branch = name
            run.is_parser = kind == "parser"
            self._add(run_id, run)
        elif scope is not None:
            self._add(run_id, self._calls.plain_step(self._in_scope(perf, scope), perf, name))

    def _in_scope(self, perf: int, scope: Scope) -> Turn:
        return self.turns.plain(perf, scope)

    def _chain_end(self, event: Any) -> None:
        _, perf, run_id, output, is_late, writes = event
        self._run(run_id)
        run = self._pop(run_id)
        if isinstance(run, StepRun):
            if run.plain:
                self._calls.end_plain(run, perf, None)
            else:
                self._steps.end(run, perf, output, is_late, writes)
            self.code.remember(run_id, run)
        elif isinstance(run, GraphRun):
            self._end_graph(run_id, run, perf, None)
        elif run is not None and run.branch is not None:
            self._steps.routed(run, output)
        elif run is not None and run.is_parser and run.step is not None:
            self._steps.parsed(run.step, perf, output)

    def _graph_end(self, event: Any) -> None:
        _, perf, run_id, facts = event
        self._run(run_id)
        run = self._pop(run_id)
        if isinstance(run, GraphRun):
            self._end_graph(run_id, run, perf, facts)

    def _end_graph(self, run_id: Any, run: GraphRun, perf: int, facts: Any) -> None:
        self._steps.release(run)
        if run.is_root:
            self._end_root(run_id, run, perf, facts, None)
        elif run.flow is not None:
            run.turn.flows.pop(run.flow_key, None)
        # Its steps are kept for what is told late; the graph is the user's, and not to be kept alive by them.
        run.compiled = None

    def _chain_error(self, event: Any) -> None:
        _, perf, run_id, error, facts = event
        self._run(run_id)
        run = self._pop(run_id)
        if isinstance(run, StepRun):
            if run.plain:
                self._calls.end_plain(run, perf, error)
            else:
                self._steps.fail(run, perf, error)
            self.code.remember(run_id, run)
        elif isinstance(run, GraphRun):
            self._steps.release(run)
            if run.is_root:
                self._end_root(run_id, run, perf, facts, error)
            run.compiled = None

    # --- what the tap tells ---

    def _loaded(self, event: Any) -> None:
        _, _, run_id, checkpoint_id, before, is_saved = event
        if run_id in self._pending:
            self._begin(run_id, Loaded(checkpoint_id, before))
        graph = self._runs.get(run_id)
        if isinstance(graph, GraphRun):
            graph.is_tapped, graph.is_saved, graph.checkpoint_id = True, is_saved, checkpoint_id

    def _checkpoint(self, event: Any) -> None:
        _, run_id, checkpoint_id, is_there = event
        graph = self._run(run_id)
        if isinstance(graph, GraphRun):
            self._steps.release(graph)
            graph.checkpoint_id = checkpoint_id if is_there else None
            if graph.is_root:
                self.turns.wrote(graph.turn, checkpoint_id)

    def _writes(self, event: Any) -> None:
        _, run_id, task, name, writes = event
        graph = self._run(run_id)
        if isinstance(graph, GraphRun):
            self._steps.wrote(graph, task, name, writes)

    def _cached(self, event: Any) -> None:
        _, perf, run_id, metadata, given, writes, triggers = event
        graph = self._run(run_id)
        if isinstance(graph, GraphRun):
            place = Place.of(metadata)._replace(triggers=triggers)
            state, is_late = given or (None, False)
            self._steps.cached(graph, perf, place, state, is_late, writes)


def _then(drafts: list[Draft], error: Exception) -> Iterable[Draft]:
    yield from drafts
    raise error


def is_node(tags: Any, metadata: Any, parent: Run | None) -> bool:
    """Whether a run is a node's own, or a task of the functional API."""
    if not metadata or "langgraph_node" not in metadata:
        return False
    for tag in tags or ():
        if tag.startswith(_NODE_TAG):
            return True
    # A task is called by its node: the same kind of run as any part of it, but with a task id of its own.
    is_call = is_called(metadata.get("langgraph_path") or ())
    called = task_id(metadata.get("langgraph_checkpoint_ns"))
    return is_call and parent is not None and parent.step is not None and parent.step.task_id != called


def is_after_node(tags: Any) -> bool:
    """Whether a run is a later part of a node than its function: a router."""
    for tag in tags or ():
        if tag.startswith(_PART_TAG):
            return bool(tag.removeprefix(_PART_TAG) > "1")
    return False
