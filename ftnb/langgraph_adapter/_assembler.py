"""From callback events to records. Runs on the writer's thread, so plain dicts do.

Events come in the order in which they happened. Each run is known by its run id from its start to its end; whatever is
still open when its root run ends is closed and forgotten with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from ..core.ids import new_id
from ..core.model import StepStatus
from ..store import build
from ..store.draft import Draft
from . import _events as events
from ._calls import Calls
from ._events import GraphStart
from ._runs import CallRun, GraphRun, Run, StepRun, Turn, is_called, task_id
from ._scope import Scope
from ._steps import Steps
from ._turns import Turns, describe
from .topology import START

_MAX_ENDED = 1_000
"""Root runs remembered after their end, so that stragglers are not taken for runs of their own."""
_NODE_TAG = "graph:step:"
_PART_TAG = "seq:step:"


class Assembler:
    """Turns the events of one session into drafts."""

    def __init__(self) -> None:
        self._out: list[Draft] = []
        self.turns = Turns(self._emit)
        self._steps = Steps(self._emit)
        self._calls = Calls(self._emit)
        self._runs: dict[Any, Run] = {}
        self._ended: OrderedDict[Any, None] = OrderedDict()
        self._on: dict[int, Callable[[Any], None]] = {
            events.GRAPH_START: self._graph_start,
            events.CHAIN_START: self._chain_start,
            events.CHAIN_END: self._chain_end,
            events.CHAIN_ERROR: self._chain_error,
            events.LLM_START: self._llm_start,
            events.LLM_END: self._llm_end,
            events.LLM_ERROR: self._llm_error,
            events.TOOL_START: self._tool_start,
            events.TOOL_END: self._tool_end,
            events.TOOL_ERROR: self._tool_error,
            events.CUSTOM: self._custom,
            events.SCOPE_OPEN: lambda event: void(self.turns.open_scope(event[1], event[2])),
            events.SCOPE_CLOSE: lambda event: self.turns.close_scope(event[1], event[2], event[3]),
        }

    @property
    def n_open(self) -> int:
        """Runs under way."""
        return len(self._runs)

    def translate(self, event: Any) -> Iterator[Draft]:
        """The drafts of one event; an error leaves those that were made before it."""
        self._out.clear()
        try:
            self._on[event[0]](event)
        except Exception:
            yield from self._out
            raise
        yield from self._out

    def _emit(self, draft: Draft) -> None:
        self._out.append(draft)
        if self.turns.usages and (usage := self.turns.usages.get(draft.stream.stream_id)) is not None:
            usage.take(draft)

    def _add(self, run_id: Any, run: Run) -> None:
        self._runs[run_id] = run
        run.turn.open[run_id] = run

    def _pop(self, run_id: Any) -> Run | None:
        run = self._runs.pop(run_id, None)
        if run is not None:
            run.turn.open.pop(run_id, None)
        return run

    # --- graphs and chains ---

    def _graph_start(self, event: Any) -> None:
        _, perf, wall, run_id, parent_id, name, metadata, start = event
        parent = self._runs.get(parent_id)
        if parent is not None:
            graph = GraphRun(parent.turn, parent.step, compiled=start.compiled)
        elif "langgraph_node" in metadata:
            self._remember_ended(run_id)  # inside a run that is not ours to record
            return
        else:
            turn = self.turns.begin(wall, name, start)
            graph = GraphRun(turn, None, compiled=start.compiled, is_root=True, perf=perf, wall=wall)
        graph.graph = graph
        channels = getattr(start.compiled, "channels", None) or ()
        graph.reports_calls = "llm_calls" in channels or "events" in channels
        self._add(run_id, graph)

    def _chain_start(self, event: Any) -> None:
        _, perf, wall, run_id, parent_id, name, tags, metadata, inputs, scope, kind = event
        parent = self._runs.get(parent_id)
        if is_node(tags, metadata, parent) and metadata["langgraph_node"] != START:
            parent = parent or self._stray_graph(parent_id, perf, wall, metadata)
            if parent is not None:
                self._add(run_id, self._steps.begin(parent, perf, wall, metadata, inputs))
        elif parent is not None:
            run = Run(parent.turn, parent.step, parent.graph)
            if isinstance(parent, StepRun) and is_after_node(tags):
                run.branch = name
            run.is_parser = kind == "parser"
            self._add(run_id, run)
        elif scope is not None:
            self._add(run_id, self._plain_step(self.turns.plain(wall, scope), perf, wall, name))

    def _stray_graph(self, run_id: Any, perf: int, wall: int, metadata: Any) -> GraphRun | None:
        """A node of a graph whose start was not recognised: better a plain engagement than none."""
        if run_id in self._ended or "|" in str(metadata.get("langgraph_checkpoint_ns", "")):
            return None
        self._graph_start((events.GRAPH_START, perf, wall, run_id, None, "LangGraph", {}, GraphStart()))
        graph = self._runs.get(run_id)
        return graph if isinstance(graph, GraphRun) else None

    def _chain_end(self, event: Any) -> None:
        _, perf, run_id, outputs, facts = event
        run = self._pop(run_id)
        if isinstance(run, StepRun):
            if run.plain:
                self._end_plain(run, perf, None)
            else:
                self._steps.end(run, perf, outputs)
        elif isinstance(run, GraphRun):
            if run.is_root:
                self._end_root(run_id, run, perf, facts, None)
            elif run.flow is not None:
                run.turn.flows.pop(run.flow_key, None)
        elif run is not None and run.branch is not None:
            self._routed(run, outputs)
        elif run is not None and run.is_parser and run.step is not None:
            self._steps.parsed(run.step, perf, outputs)

    def _chain_error(self, event: Any) -> None:
        _, perf, run_id, error, facts = event
        run = self._pop(run_id)
        if isinstance(run, StepRun):
            if run.plain:
                self._end_plain(run, perf, error)
            else:
                self._steps.fail(run, perf, error)
        elif isinstance(run, GraphRun) and run.is_root:
            self._end_root(run_id, run, perf, facts, error)

    def _routed(self, run: Run, result: Any) -> None:
        step, graph = run.step, run.graph
        wiring = graph.flow.wiring if graph is not None and graph.flow is not None else None
        if step is None or step.source is None or wiring is None:
            return
        branches = wiring.branches.get(step.name, {})
        branch = run.branch if run.branch in branches else None
        if branch is None and len(branches) == 1:
            # A router without a name of its own (a lambda) runs under the name of its wrapper.
            branch = next(iter(branches))
        if branch is not None:
            step.source.route(branch, branches[branch], result)

    def _end_root(self, run_id: Any, root: GraphRun, perf: int, facts: Any, error: BaseException | None) -> None:
        turn = root.turn
        for open_id, run in list(turn.open.items())[::-1]:
            self._pop(open_id)
            if isinstance(run, CallRun):
                self._calls.unended(run)
            elif isinstance(run, StepRun):
                self._steps.cancel(run, perf)
        self._remember_ended(run_id)
        self.turns.end(turn, root.wall + (perf - root.perf) // 1000, error, facts)

    def _remember_ended(self, run_id: Any) -> None:
        self._ended[run_id] = None
        if len(self._ended) > _MAX_ENDED:
            self._ended.popitem(last=False)

    # --- calls ---

    def _step_for(
        self, parent_id: Any, scope: Scope | None, perf: int, wall: int, name: str
    ) -> tuple[StepRun | None, bool]:
        """The step that a call belongs to, and whether it was made for this call; None: the call is not recorded."""
        parent = self._runs.get(parent_id)
        if parent is not None:
            if parent.step is not None:
                return parent.step, False
            # In a graph, outside its nodes: the router at its entry may ask a model.
            return self._plain_step(parent.turn, perf, wall, name), True
        if scope is None or parent_id is not None:
            return None, False
        return self._plain_step(self.turns.plain(wall, scope), perf, wall, name), True

    def _llm_start(self, event: Any) -> None:
        _, perf, wall, run_id, parent_id, name, messages, metadata, parameters, scope = event
        step, is_own = self._step_for(parent_id, scope, perf, wall, name)
        if step is not None:
            call = self._calls.llm(step, perf, wall, name, messages, metadata, parameters)
            call.own_step = step if is_own else None
            outer = self._runs.get(parent_id)
            call.outer = outer if isinstance(outer, CallRun) and outer.kind == "llm" else None
            self._add(run_id, call)

    def _llm_end(self, event: Any) -> None:
        _, perf, run_id, result, first_token = event
        call = self._pop(run_id)
        if isinstance(call, CallRun):
            self._calls.llm_end(call, perf, result, first_token)
            self._end_plain(call.own_step, perf, None)

    def _llm_error(self, event: Any) -> None:
        _, perf, run_id, error, first_token = event
        call = self._pop(run_id)
        if isinstance(call, CallRun):
            self._calls.llm_error(call, perf, error, first_token)
            self._end_plain(call.own_step, perf, error)

    def _tool_start(self, event: Any) -> None:
        _, perf, wall, run_id, parent_id, name, arguments, call_id, subtype, scope = event
        outer = self._runs.get(parent_id)
        if isinstance(outer, CallRun) and (outer.kind, outer.name) == (subtype or "tool", name):
            # A tool that calls itself through LangChain: the same call, seen twice.
            self._add(run_id, Run(outer.turn, outer.step, outer.graph))
            return
        step, is_own = self._step_for(parent_id, scope, perf, wall, name)
        if step is not None:
            call = self._calls.tool(step, perf, wall, name, arguments, call_id, subtype)
            call.own_step = step if is_own else None
            self._add(run_id, call)

    def _tool_end(self, event: Any) -> None:
        _, perf, run_id, output = event
        call = self._pop(run_id)
        if isinstance(call, CallRun):
            self._calls.tool_end(call, perf, output)
            self._end_plain(call.own_step, perf, None)

    def _tool_error(self, event: Any) -> None:
        _, perf, run_id, error = event
        call = self._pop(run_id)
        if isinstance(call, CallRun):
            self._calls.tool_error(call, perf, error)
            self._end_plain(call.own_step, perf, error)

    def _custom(self, event: Any) -> None:
        _, wall, run_id, name, data = event
        run = self._runs.get(run_id)
        if run is not None and run.step is not None:
            self._steps.log(run.step, wall, name, data)

    # --- calls outside any node ---

    def _plain_step(self, turn: Turn, perf: int, wall: int, name: str) -> StepRun:
        step = StepRun(turn, None, step_id=new_id(), name=name, perf=perf, wall=wall, plain=True)
        step.step = step
        self._emit(build.step_started(turn.stream, wall, step.step_id, name))
        return step

    def _end_plain(self, step: StepRun | None, perf: int, error: BaseException | None) -> None:
        if step is None:
            return
        status = StepStatus.COMPLETED if error is None else StepStatus.FAILED
        duration = (perf - step.perf) // 1000
        message = None if error is None else describe(error)
        kind = None if error is None else type(error).__name__
        self._emit(
            build.step_ended(
                step.turn.stream, step.wall + duration, step.step_id, step.name, status,
                duration_us=duration, error=message, error_type=kind,
            )
        )  # fmt: skip
        if error is None:
            step.turn.engaged.last = step.name


def is_node(tags: Any, metadata: Any, parent: Run | None) -> bool:
    """Whether a run is a node's own, or a task of the functional API."""
    if not metadata or "langgraph_node" not in metadata:
        return False
    if any(tag.startswith(_NODE_TAG) for tag in tags or ()):
        return True
    # A task is called by its node: the same kind of run as any part of it, but with a task id of its own.
    is_call = is_called(metadata.get("langgraph_path") or ())
    return is_call and parent is not None and parent.step is not None and parent.step.task_id != task_id(metadata)


def is_after_node(tags: Any) -> bool:
    """Whether a run is a later part of a node than its function: a router."""
    for tag in tags or ():
        if tag.startswith(_PART_TAG):
            return bool(tag.removeprefix(_PART_TAG) > "1")
    return False


def void(_: Any) -> None:
    """Drop a result."""
