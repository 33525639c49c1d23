"""Steps: the runs of a graph's nodes, with their causes, their update and what they report themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.ids import new_id
from ..core.model import EventKind, StepStatus
from ..store import build
from ..store.draft import Draft
from . import _trace_policy, _writes
from ._outputs import interrupts_of, message_of, unpack
from ._reports import Reports
from ._routing import PUSH, Flow, Source, Wiring
from ._runs import GraphRun, Place, Run, StepRun, Task, is_called, matches, task_id
from ._turns import tell_heads
from .topology import START

INTENT_REASON = "global step entered"
_LATER: Any = object()
"""In the place of what a step wrote: the tap will tell."""


class Steps:
    """Begins and ends steps. Belongs to one assembler, and so to the writer's thread."""

    def __init__(self, emit: Callable[[Draft], None]) -> None:
        self._emit = emit
        self._reports = Reports(emit)

    def begin(self, parent: Run, perf: int, place: Place, state: Any, is_late: bool) -> StepRun:
        """A node's run began under `parent`, the graph's run or, for a task of the functional API, the node's.

        `state` is what it was given, None where that was dropped; `is_late`: some of it may have changed since.
        """
        turn, outer = parent.turn, parent.step
        engaged, wall = turn.engaged, turn.us(perf)
        turn.touched = perf
        name, path = str(place.node), tuple(place.path or ())
        namespace = str(place.namespace or "").rpartition("|")[0]
        step = StepRun(turn, None, parent.graph, step_id=new_id(), name=name, outer=outer, perf=perf)
        step.step, step.ns = step, "" if outer is None else outer.full
        step.task_id, step.triggers = task_id(place.namespace), place.triggers or ()
        step.source = Source(step.step_id, name, path)
        superstep = place.superstep
        task, resumed = self._task(step, namespace, superstep, path, step.triggers)
        is_global = matches(engaged.labels.global_nodes, step)
        if is_global and task.attempt == 1:
            self._emit(build.intent_switched(turn.stream, wall, new_id(), name, INTENT_REASON, engaged.last))
        if state is not None:
            state = _trace_policy.recorded(step, "process_inputs", state)
        draft = build.step_started(
            turn.stream,
            wall,
            step.step_id,
            name,
            tools=engaged.tools.get(step.full, ()),
            is_global=is_global,
            parent_step_id=None if outer is None else outer.step_id,
            ns=step.ns,
            visit=task.visit,
            attempt=task.attempt,
            triggers=list(task.causes),
            routes=task.causes,
            state=state,
        )
        if is_late:
            draft.body["late_bound"] = True
        if step.graph is not None and step.graph.is_tapped:
            self._about_superstep(draft, step.graph, superstep, path)
        if outer is None:
            engaged.last_step_id = step.step_id
            tell_heads(engaged, draft)
            if "head" in draft.body and draft.body["head"][1] == draft.body.get("checkpoint"):
                del draft.body["checkpoint"]
        self._emit(draft)
        if resumed and turn.resume_value is not None:
            answer = {"value": turn.resume_value}
            self._reports.event(step, wall, EventKind.LOG, "resume", payload=answer, subtype="resume")
        return step

    def _about_superstep(self, draft: Draft, graph: GraphRun, superstep: Any, path: tuple[Any, ...]) -> None:
        """What is needed to run the superstep again: its number, its checkpoint, and what began the run."""
        body = draft.body
        if isinstance(superstep, int):
            body["superstep"] = superstep
        if graph.is_saved and graph.checkpoint_id is not None:
            body["checkpoint"] = graph.checkpoint_id
        if path and path[0] == PUSH:
            body["path"] = _writes.plain(path)
        if graph.entry is not None:
            body["@entry"], graph.entry = graph.entry, None

    def _task(
        self, step: StepRun, namespace: str, superstep: Any, path: tuple[Any, ...], channels: Any
    ) -> tuple[Task, bool]:
        """The task that `step` is an attempt of, with its causes; and whether it goes on after an interrupt."""
        engaged, graph = step.turn.engaged, step.graph
        is_call = is_called(path)
        if graph is not None and not is_call:
            flow = self._flow(graph, namespace)
            if flow.enter(superstep if isinstance(superstep, int) else 0):
                self.release(graph)
                self._forget(graph)
            if step.source is not None:
                flow.started(step.source)
        known = None if step.task_id is None else engaged.tasks.get(step.task_id)
        if known is not None:
            resumed = known.waiting
            if resumed and step.outer is not None and step.outer.is_code:
                step.turn.waiting = max(step.turn.waiting - 1, 0)
            known.attempt, known.waiting = known.attempt + 1, False
            known.causes = {known.step_id: "resume"} if resumed else known.causes
            known.step_id = step.step_id
            return known, resumed
        parked = engaged.parked.get((step.ns, step.name))
        if parked and step.turn.resumes:
            left = parked.pop(0)
            task = Task(left.visit, left.attempt + 1, {left.step_id: "resume"}, step.step_id)
            self._remember(step, task)
            return task, True
        engaged.visits[step.ns, step.name] += 1
        causes = {} if graph is None or is_call or graph.flow is None else graph.flow.causes(step.name, path, channels)
        task = Task(engaged.visits[step.ns, step.name], 1, causes, step.step_id)
        self._remember(step, task)
        return task, False

    def _remember(self, step: StepRun, task: Task) -> None:
        if step.task_id is not None:
            step.turn.engaged.tasks[step.task_id] = task
            step.turn.tasks.append(step.task_id)
            if step.graph is not None:
                step.graph.tasks.append(step.task_id)

    def _flow(self, graph: GraphRun, namespace: str) -> Flow:
        if graph.flow is None:
            wiring = None if graph.compiled is None else Wiring.of(graph.compiled)
            outer = None if graph.step is None else graph.step.task_id
            graph.flow_key = (outer or "", namespace)
            graph.flow = graph.turn.flows.setdefault(graph.flow_key, Flow(wiring))
            graph.flow.wiring = wiring
        return graph.flow

    def _forget(self, graph: GraphRun) -> None:
        """The superstep is over: what finished in it is not tried again."""
        tasks = graph.turn.engaged.tasks
        for key in graph.tasks:
            if key in tasks and not tasks[key].waiting:
                del tasks[key]
        graph.turn.tasks = [key for key in graph.turn.tasks if key in tasks]
        graph.tasks.clear()

    # --- the end ---

    def end(self, step: StepRun, perf: int, output: Any, is_late: bool, writes: Any) -> None:
        """The node returned `output`, and its task wrote `writes`; None: not known."""
        update, targets = unpack(output)
        shown = _trace_policy.recorded(step, "process_outputs", output)
        if shown is not output:
            update = unpack(shown)[0]
        if step.source is not None:
            for target in targets:
                step.source.goto(target)
        if writes is not None:
            writes = _writes.of_task(writes)
        self._finish(step, perf, StepStatus.COMPLETED, update, is_late=is_late, writes=writes)

    def fail(self, step: StepRun, perf: int, error: BaseException) -> None:
        """The node raised. LangGraph's control flow comes as exceptions too, and is no error."""
        kinds = {base.__name__ for base in type(error).__mro__}
        if "GraphInterrupt" in kinds:
            self._wait(step, perf, error)
        elif "ParentCommand" in kinds:
            self._to_parent(step, perf, error)
        elif "GraphBubbleUp" in kinds:
            self._finish(step, perf, StepStatus.COMPLETED, None)
        elif kinds & {"CancelledError", "KeyboardInterrupt", "GeneratorExit"}:
            self._finish(step, perf, StepStatus.CANCELLED, None)
        else:
            self._failed(step, perf, error)

    def cancel(self, step: StepRun, perf: int) -> None:
        """The run around the step ended without it."""
        self._finish(step, perf, StepStatus.CANCELLED, None)

    def _wait(self, step: StepRun, perf: int, error: BaseException) -> None:
        task = step.turn.engaged.tasks.get(step.task_id or "")
        if task is not None:
            task.waiting = True
        if step.outer is None or step.outer.is_code:
            step.turn.waiting += 1
        if step.told != id(error):
            for interrupt in interrupts_of(error):
                said = {"value": getattr(interrupt, "value", interrupt), "id": getattr(interrupt, "id", None)}
                at = step.turn.us(perf)
                self._reports.event(step, at, EventKind.LOG, "interrupt", payload=said, subtype="interrupt")
        if step.outer is not None:
            step.outer.told = id(error)
        self._finish(step, perf, StepStatus.WAITING, None)

    def _to_parent(self, step: StepRun, perf: int, error: BaseException) -> None:
        command = error.args[0] if error.args else None
        targets = unpack(command)[1]
        update = unpack(_trace_policy.recorded(step, "process_outputs", command))[0]
        # Addressed to the graph that this node is in: the command came from a graph inside the node.
        target_id = str(getattr(command, "graph", "")).rpartition("|")[2].rpartition(":")[2]
        if step.source is not None and target_id == step.task_id:
            for target in targets:
                step.source.goto(target)
        self._finish(step, perf, StepStatus.COMPLETED, update, writes=_LATER)

    def _failed(self, step: StepRun, perf: int, error: BaseException) -> None:
        message = message_of(error)
        if step.told != id(error):
            kind = type(error).__name__
            self._reports.event(step, step.turn.us(perf), EventKind.ERROR, "node_error", error=message, error_type=kind)
        if step.outer is not None:
            step.outer.told = id(error)
        if step.source is not None and step.graph is not None and step.graph.flow is not None:
            step.graph.flow.failed(step.source)
        self._finish(step, perf, StepStatus.FAILED, None, message, type(error).__name__)

    def _finish(
        self,
        step: StepRun,
        perf: int,
        status: StepStatus,
        update: Any,
        error: str | None = None,
        error_type: str | None = None,
        is_late: bool = False,
        writes: Any = None,
    ) -> None:
        turn = step.turn
        engaged, at = turn.engaged, turn.us(perf)
        turn.touched = perf
        self._reports.take(step, at, update)
        draft = build.step_ended(
            turn.stream,
            at,
            step.step_id,
            step.name,
            status,
            duration_us=None if step.is_cached else at - turn.us(step.perf),
            error=error,
            error_type=error_type,
            update=update,
        )
        if step.is_cached:
            draft.body["cached"] = True
        if step.decisions:
            draft.body["decisions"] = step.decisions
        if is_late:
            draft.body["late_bound"] = True
        graph = step.graph
        if status is not StepStatus.COMPLETED:
            self._emit(draft)
            return
        if step.outer is None:
            engaged.last = step.name
        engaged.reached = engaged.reached or matches(engaged.labels.goal_nodes, step)
        flow = None if graph is None else graph.flow
        if step.source is not None and flow is not None and not is_called(step.source.path):
            flow.finished(step.source)
        if writes is not None and graph is not None and graph.is_tapped and step.task_id is not None:
            if writes is _LATER:
                graph.ending[step.task_id] = step, draft
                return
            self._wrote(step, draft, writes)
        self._emit(draft)

    def _wrote(self, step: StepRun, draft: Draft, writes: Any) -> None:
        """A step's task wrote to channels."""
        if _trace_policy.processor(step, "process_outputs") is None:
            draft.body["@writes"] = _writes.compact(writes, draft.body.get("@update"))
        if list(step.triggers) != [f"branch:to:{step.name}"]:
            draft.body["channels"] = [str(one) for one in step.triggers]
        if step.source is not None:
            step.source.wrote(writes)

    def parsed(self, step: StepRun, perf: int, output: Any) -> None:
        """A parser made `output` of what a model said in the step."""
        self._reports.parsed(step, step.turn.us(perf), output)

    def routed(self, run: Run, result: Any) -> None:
        """A router of a step's node gave `result`."""
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
            step.decisions[branch] = _writes.decision(result)

    # --- what the tap tells ---

    def wrote(self, graph: GraphRun, task: str, name: str, writes: Any) -> None:
        """What was given to the graph and written to its channels, or what a task wrote after its step had ended.

        `writes` is None where that was dropped.
        """
        if name == START:
            graph.entry = None if writes is None else _writes.compact(writes, None)
            return
        found = graph.ending.pop(task, None)
        if found is not None:
            step, draft = found
            if writes is not None:
                self._wrote(step, draft, writes)
            self._emit(draft)

    def release(self, graph: GraphRun) -> None:
        """The tasks of the superstep have written what they will: no end of a step waits any longer."""
        if graph.ending:
            for _, draft in graph.ending.values():
                self._emit(draft)
            graph.ending.clear()

    def cached(self, graph: GraphRun, perf: int, place: Place, given: Any, is_late: bool, writes: Any) -> None:
        """A node was not run, as the cache has what it would write."""
        step = self.begin(graph, perf, place, given, is_late)
        step.is_cached = True
        update = _trace_policy.recorded(step, "process_outputs", _writes.update_of(writes))
        self._finish(step, perf, StepStatus.COMPLETED, update, writes=writes)
