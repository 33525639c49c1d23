"""Steps: the runs of a graph's nodes, with their causes, their update and what they report themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.ids import new_id
from ..core.model import EventKind, Extraction, StepStatus
from ..store import build
from ..store.draft import Draft
from ._enrich import Reported, extraction_of, reported
from ._outputs import interrupts_of, message_of, schema_of, unpack
from ._routing import Flow, Source, Wiring
from ._runs import GraphRun, Run, StepRun, Task, is_called, matches, task_id
from ._turns import as_mapping

INTENT_REASON = "global step entered"


class Steps:
    """Begins and ends steps. Belongs to one assembler, and so to the writer's thread."""

    def __init__(self, emit: Callable[[Draft], None]) -> None:
        self._emit = emit

    def begin(self, parent: Run, perf: int, wall: int, metadata: Mapping[str, Any], state: Any) -> StepRun:
        """A node's run began under `parent`, the graph's run or, for a task of the functional API, the node's."""
        turn, outer = parent.turn, parent.step
        engaged = turn.engaged
        name, path = str(metadata["langgraph_node"]), tuple(metadata.get("langgraph_path") or ())
        namespace = str(metadata.get("langgraph_checkpoint_ns") or "").rpartition("|")[0]
        step = StepRun(turn, None, parent.graph, step_id=new_id(), name=name, outer=outer, perf=perf, wall=wall)
        step.step, step.ns = step, "" if outer is None else outer.full
        step.task_id = task_id(metadata)
        step.source = Source(step.step_id, name, path)
        task, resumed = self._task(step, namespace, metadata.get("langgraph_step"), path)
        is_global = matches(engaged.labels.global_nodes, step)
        if is_global and task.attempt == 1:
            self._emit(build.intent_switched(turn.stream, wall, new_id(), name, INTENT_REASON, engaged.last))
        self._emit(
            build.step_started(
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
        )
        if resumed and turn.resume_value is not None:
            answer = {"value": turn.resume_value}
            self._event(step, wall, EventKind.LOG, "resume", payload=answer, subtype="resume")
        return step

    def _task(self, step: StepRun, namespace: str, superstep: Any, path: tuple[Any, ...]) -> tuple[Task, bool]:
        """The task that `step` is an attempt of, with its causes; and whether it goes on after an interrupt."""
        engaged, graph = step.turn.engaged, step.graph
        is_call = is_called(path)
        if graph is not None and not is_call:
            flow = self._flow(graph, namespace)
            if flow.enter(superstep if isinstance(superstep, int) else 0):
                self._forget(graph)
            if step.source is not None:
                flow.started(step.source)
        known = None if step.task_id is None else engaged.tasks.get(step.task_id)
        if known is not None:
            resumed = known.waiting
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
        causes = {} if graph is None or is_call or graph.flow is None else graph.flow.causes(step.name, path)
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

    def end(self, step: StepRun, perf: int, output: Any) -> None:
        """The node returned `output`."""
        update, targets = unpack(output)
        if step.source is not None:
            for target in targets:
                step.source.goto(target)
        self._finish(step, perf, StepStatus.COMPLETED, update)

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
        if step.outer is None:
            step.turn.waiting += 1
        if step.told != id(error):
            for interrupt in interrupts_of(error):
                said = {"value": getattr(interrupt, "value", interrupt), "id": getattr(interrupt, "id", None)}
                at = self._at(step, perf)
                self._event(step, at, EventKind.LOG, "interrupt", payload=said, subtype="interrupt")
        if step.outer is not None:
            step.outer.told = id(error)
        self._finish(step, perf, StepStatus.WAITING, None)

    def _to_parent(self, step: StepRun, perf: int, error: BaseException) -> None:
        command = error.args[0] if error.args else None
        update, targets = unpack(command)
        # Addressed to the graph that this node is in: the command came from a graph inside the node.
        target_id = str(getattr(command, "graph", "")).rpartition("|")[2].rpartition(":")[2]
        if step.source is not None and target_id == step.task_id:
            for target in targets:
                step.source.goto(target)
        self._finish(step, perf, StepStatus.COMPLETED, update)

    def _failed(self, step: StepRun, perf: int, error: BaseException) -> None:
        message = message_of(error)
        if step.told != id(error):
            kind = type(error).__name__
            self._event(step, self._at(step, perf), EventKind.ERROR, "node_error", error=message, error_type=kind)
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
    ) -> None:
        engaged, at = step.turn.engaged, self._at(step, perf)
        self._report(step, at, update)
        self._emit(
            build.step_ended(
                step.turn.stream,
                at,
                step.step_id,
                step.name,
                status,
                duration_us=(perf - step.perf) // 1000,
                error=error,
                error_type=error_type,
                update=update,
            )
        )
        if status is not StepStatus.COMPLETED:
            return
        if step.outer is None:
            engaged.last = step.name
        engaged.reached = engaged.reached or matches(engaged.labels.goal_nodes, step)
        flow = None if step.graph is None else step.graph.flow
        if step.source is not None and flow is not None and not is_called(step.source.path):
            flow.finished(step.source)

    # --- what the node reports itself ---

    def _report(self, step: StepRun, at: int, update: Any) -> None:
        for said in reported(update):
            if not _seen(step, said):
                self._event(
                    step,
                    at,
                    said.kind,
                    said.name,
                    payload=said.payload,
                    duration_us=said.duration_us,
                    model=said.model,
                    tokens=said.tokens,
                    error=said.error,
                )
        for held in step.held:
            self._emit(held)
        extraction = extraction_of(update)
        if extraction is not None and extraction["values"] not in step.extracted:
            self._extraction(step, at, extraction)

    def parsed(self, step: StepRun, perf: int, output: Any) -> None:
        """A parser made `output` of what a model said; pydantic objects are extractions."""
        for one in output if isinstance(output, list) else [output]:
            schema = schema_of(one)
            if schema is not None:
                values = one.model_dump()
                step.extracted.append(values)
                fields = {"schema_name": type(one).__name__, "json_schema": schema, "values": values}
                self._extraction(step, self._at(step, perf), Extraction.model_validate(fields).model_dump())

    def _extraction(self, step: StepRun, at: int, fields: dict[str, Any]) -> None:
        self._emit(build.extraction(step.turn.stream, at, step.step_id, fields))
        self._event(step, at, EventKind.EXTRACTION, fields["schema_name"], payload=fields["values"])

    def _event(self, step: StepRun, at: int, kind: EventKind, name: str, **fields: Any) -> None:
        self._emit(build.event(step.turn.stream, at, step.step_id, kind, name, **fields))

    def log(self, step: StepRun, wall: int, name: str, data: Any) -> None:
        """The node dispatched a custom event."""
        self._event(step, wall, EventKind.LOG, name, payload=as_mapping(data), subtype="custom")

    def _at(self, step: StepRun, perf: int) -> int:
        return step.wall + (perf - step.perf) // 1000


def _seen(step: StepRun, said: Reported) -> bool:
    """Whether a callback saw this call already; what only the report knows is added to the event that is still held."""
    if said.kind is EventKind.TOOL_CALL:
        place = next((i for i, (kind, d) in enumerate(step.calls) if kind == "tool" and d.name == said.name), None)
    elif said.kind is EventKind.LLM_CALL:
        place = _same_llm_call(step, said)
    else:
        return False
    if place is None:
        return False
    _, draft = step.calls.pop(place)
    if draft.tokens is None:
        draft.tokens, draft.model = said.tokens, draft.model or said.model
    return True


def _same_llm_call(step: StepRun, said: Reported) -> int | None:
    calls = [(place, draft) for place, (kind, draft) in enumerate(step.calls) if kind == "llm"]
    for place, draft in calls:
        if draft.tokens is not None and said.tokens is not None and draft.tokens[:2] == said.tokens[:2]:
            return place
    unmetered = [(place, draft) for place, draft in calls if draft.tokens is None or said.tokens is None]
    named = [place for place, draft in unmetered if said.name in (draft.name, draft.model)]
    return next(iter(named or [place for place, _ in unmetered]), None)
