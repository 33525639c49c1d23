"""Which step a call belongs to: the one around it, one made for it alone, or none that can be told."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from ..core.ids import new_id
from ..core.model import StepStatus
from ..store import build
from ..store.draft import Draft
from ._calls import Calls
from ._llm import Seen
from ._runs import CallRun, GraphRun, Run, StepRun, Turn, as_mapping, describe
from ._scope import Alone, Labels, Scope
from ._turns import Turns

_MAX_PASSED_OVER = 1_000
UNATTACHED = "(unattached)"
"""Name of the step that holds the calls of a turn of which nobody can tell in which step they were made."""


class CallRuns:
    """Begins and ends the runs of models and tools. Belongs to one assembler, whose runs it shares."""

    def __init__(
        self,
        emit: Callable[[Draft], None],
        turns: Turns,
        runs: dict[Any, Run],
        roots: Callable[[], list[GraphRun]],
    ) -> None:
        self._emit = emit
        self._calls = Calls(emit)
        self._turns = turns
        self._runs = runs
        self._roots = roots
        self.unended = self._calls.unended
        self.found: Callable[[Any], Run | None] = runs.get
        """A run under way, or a step that ended a while ago."""
        self._passed_over: OrderedDict[Any, bool] = OrderedDict()
        """Runs of models under way of which nothing is recorded, as they lie in no step."""

    def _add(self, run_id: Any, run: Run) -> None:
        self._runs[run_id] = run
        run.turn.open[run_id] = run

    def _pop(self, run_id: Any) -> CallRun | None:
        run = self._runs.get(run_id)
        if not isinstance(run, CallRun):
            self._runs.pop(run_id, None)
            return None
        del self._runs[run_id]
        run.turn.open.pop(run_id, None)
        return run

    def _step_for(
        self, parent_id: Any, scope: Scope | Alone | None, perf: int, name: str
    ) -> tuple[StepRun | None, bool]:
        """The step that a call belongs to, and whether it was made for this call; None: the call is not recorded."""
        parent = self.found(parent_id)
        if parent is not None:
            if parent.step is not None:
                return parent.step, False
            # In a graph, outside its nodes: the router at its entry may ask a model.
            return self.plain_step(parent.turn, perf, name), True
        if isinstance(scope, Alone):
            if parent_id is None and (roots := self._roots()):
                return self._unattached(roots[-1].turn, perf), False
            scope = Scope(scope.labels.over(Labels(name)))
            step = self.plain_step(self._turns.plain(perf, scope), perf, name)
            step.scope = scope
            return step, True
        if parent_id is not None:
            return None, False
        if scope is not None:
            return self.plain_step(self._turns.plain(perf, scope), perf, name), True
        roots = self._roots()
        return (self._unattached(roots[-1].turn, perf) if roots else None), False

    def _unattached(self, turn: Turn, perf: int) -> StepRun:
        if turn.unattached is None:
            turn.unattached = self.plain_step(turn, perf, UNATTACHED)
        return turn.unattached

    def llm_start(self, event: Any) -> None:
        """A model is called."""
        _, perf, run_id, parent_id, name, messages, metadata, parameters, scope = event
        step, is_own = self._step_for(parent_id, scope, perf, name)
        if step is not None:
            call = self._calls.llm(step, perf, name, messages, metadata, parameters)
            call.own_step = step if is_own else None
            call.alone = step.scope if is_own else None
            outer = self._runs.get(parent_id)
            call.outer = outer if isinstance(outer, CallRun) and outer.kind == "llm" else None
            self._add(run_id, call)
            return
        self._passed_over[run_id] = True
        if len(self._passed_over) > _MAX_PASSED_OVER:
            self._passed_over.popitem(last=False)

    def llm_end(self, event: Any) -> None:
        """It answered."""
        _, perf, run_id, result, first_token, *inner = event
        call = self._pop(run_id)
        if call is not None:
            if isinstance(result, Seen):
                self._calls.seen_end(call, perf, result)
                error = result.answer().error
            else:
                self._calls.llm_end(call, perf, result, first_token, *inner)
                error = None
            self.end_plain(call.own_step, perf, error)
            self._end_alone(call, perf, error)
        elif inner:
            self._unclaimed(run_id, perf, inner[0])

    def stop(self, perf: int) -> None:
        """Recording stops: calls that have an engagement of their own end here, as far as they got."""
        for run_id, run in list(self._runs.items()):
            if isinstance(run, CallRun) and run.alone is not None:
                self._pop(run_id)
                self.unended(run)
                self.end_plain(run.own_step, perf, None)

    def _end_alone(self, call: CallRun, perf: int, error: BaseException | None) -> None:
        if call.alone is not None:
            self._turns.close_scope(call.turn.us(perf), call.alone, error)

    def _unclaimed(self, run_id: Any, perf: int, calls: Sequence[Seen]) -> None:
        """Nothing is recorded of LangChain's run that these were made by: then they are on record themselves."""
        if self._passed_over.pop(run_id, None) is None:
            return  # it was recorded, and ended before this
        for call in calls:
            name = call.about()[0]
            self.llm_start((None, call.began(), call, None, name, call, {}, None, Alone()))
            self.llm_end((None, perf, call, call, None))

    def llm_error(self, event: Any) -> None:
        """It failed."""
        _, perf, run_id, error, first_token, *inner = event
        call = self._pop(run_id)
        if call is not None:
            self._calls.llm_error(call, perf, error, first_token, *inner)
            self.end_plain(call.own_step, perf, error)
        elif inner:
            self._unclaimed(run_id, perf, inner[0])

    def tool_start(self, event: Any) -> None:
        """A tool or retriever is called."""
        _, perf, run_id, parent_id, name, arguments, call_id, subtype, scope = event
        outer = self._runs.get(parent_id)
        if isinstance(outer, CallRun) and (outer.kind, outer.name) == (subtype or "tool", name):
            # A tool that calls itself through LangChain: the same call, seen twice.
            self._add(run_id, Run(outer.turn, outer.step, outer.graph))
            return
        step, is_own = self._step_for(parent_id, scope, perf, name)
        if step is not None:
            call = self._calls.tool(step, perf, name, arguments, call_id, subtype)
            call.own_step = step if is_own else None
            self._add(run_id, call)

    def tool_end(self, event: Any) -> None:
        """It returned."""
        _, perf, run_id, output = event
        call = self._pop(run_id)
        if call is not None:
            self._calls.tool_end(call, perf, output)
            self.end_plain(call.own_step, perf, None)

    def tool_error(self, event: Any) -> None:
        """It raised."""
        _, perf, run_id, error = event
        call = self._pop(run_id)
        if call is not None:
            self._calls.tool_error(call, perf, error)
            self.end_plain(call.own_step, perf, error)

    def custom(self, event: Any) -> None:
        """User code told something: a custom event, or a write to the stream."""
        _, perf, run_id, name, data, subtype = event
        run = self.found(run_id)
        step = None if run is None else run.step
        if run_id is None and (roots := self._roots()):
            step = self._unattached(roots[-1].turn, perf)
        if step is not None:
            self._calls.log(step, perf, name, {} if data is None else as_mapping(data[0]), subtype, data)

    # --- steps of calls outside any node ---

    def plain_step(self, turn: Turn, perf: int, name: str) -> StepRun:
        """Begin a step that is no node's."""
        step = StepRun(turn, None, step_id=new_id(), name=name, perf=perf, plain=True)
        step.step = step
        self._emit(build.step_started(turn.stream, turn.us(perf), step.step_id, name))
        return step

    def end_plain(self, step: StepRun | None, perf: int, error: BaseException | None) -> None:
        """End it; None: nothing to end."""
        if step is None:
            return
        turn = step.turn
        at, begun = turn.us(perf), turn.us(step.perf)
        status = StepStatus.COMPLETED if error is None else StepStatus.FAILED
        message = None if error is None else describe(error)
        kind = None if error is None else type(error).__name__
        self._emit(
            build.step_ended(
                turn.stream, at, step.step_id, step.name, status,
                duration_us=at - begun, error=message, error_type=kind,
            )
        )  # fmt: skip
        if error is None and step is not turn.unattached:
            turn.engaged.last = step.name
