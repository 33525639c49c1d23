"""Steps of plain code: from what it told to records. Runs on the writer's thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..core.ids import new_id
from ..core.model import EngagementStatus, EventKind, Extraction, StepStatus, Topology
from ..store import build
from ..store.draft import Draft
from ._causes import Causes
from ._clock import offset_ns
from ._drive import Parked
from ._learned import Learned
from ._outputs import interrupts_of, message_of
from ._place import Strand
from ._runs import CallRun, GraphRun, Run, StepRun, Turn, matches
from ._scope import Scope
from ._steps import INTENT_REASON
from ._turns import Turns

_MAX_ENDED = 1_000
"""Steps remembered after their end, so that what is told about them late still finds them."""
_CANCELLED = frozenset({"CancelledError", "KeyboardInterrupt", "GeneratorExit"})


class Block:
    """The plain steps of one engagement that are under way, and what they have shown of it."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.learned = Learned()
        self.causes: dict[str, Causes] = {}
        """By the id of the step around; empty at the top."""
        self.n_open = 0
        """Steps at the top that are under way."""
        self.pauses = False
        """It is to pause as soon as no step is under way."""
        self.is_paused = False


class CodeSteps:
    """Begins and ends steps of plain code. Belongs to one assembler, whose runs it shares."""

    def __init__(
        self,
        emit: Callable[[Draft], None],
        turns: Turns,
        runs: dict[Any, Run],
        unended: Callable[[CallRun], None],
    ) -> None:
        self._emit = emit
        self._turns = turns
        self._runs = runs
        self._unended = unended
        self._blocks: dict[str, Block] = {}
        """By engagement."""
        self._strands: dict[str, Strand] = {}
        self._ended: OrderedDict[Any, StepRun] = OrderedDict()

    def found(self, run_id: Any) -> Run | None:
        """A run under way, or a step of plain code that ended a while ago."""
        return self._runs.get(run_id) or self._ended.get(run_id)

    def remember(self, run_id: Any, step: StepRun) -> None:
        """A step ended: what is told about it late still finds it."""
        step.calls, step.held = [], []
        self._ended[run_id] = step
        if len(self._ended) > _MAX_ENDED:
            self._ended.popitem(last=False)

    # --- steps ---

    def begin(self, event: Any) -> None:
        """A step of plain code began."""
        _, perf, step_id, place, name, inputs, binder, tools = event
        around = self.found(place.key)
        if around is not None:
            turn, outer = around.turn, around.step
        elif place.scope is not None:
            turn, outer = self._turn(place.scope, perf), None
        else:
            return  # inside a run that is not ours to record
        step = StepRun(turn, None, step_id=step_id, name=name, outer=outer, perf=perf, is_code=True)
        step.step, step.ns = step, "" if outer is None else outer.full
        block = self._block(turn)
        if outer is None:
            block.n_open += 1
        self._strands[step_id] = place.strand
        causes = self._of(block, outer).of(place.strand, place.last)
        visit, attempt, causes = self._visit(step, causes)
        self._started(step, block, causes, inputs, binder, tools, visit, attempt)
        self._runs[step_id] = turn.open[step_id] = step

    def _started(
        self,
        step: StepRun,
        block: Block,
        causes: dict[str, str],
        inputs: Any,
        binder: Any,
        tools: tuple[str, ...],
        visit: int,
        attempt: int,
    ) -> None:
        turn, outer = step.turn, step.outer
        engaged, wall = turn.engaged, turn.us(step.perf)
        turn.touched = step.perf
        is_global = matches(engaged.labels.global_nodes, step)
        if is_global and attempt == 1:
            self._emit(build.intent_switched(turn.stream, wall, new_id(), step.name, INTENT_REASON, engaged.last))
        state, is_late = inputs or (None, False)
        if binder is not None and state is not None:
            state = binder(*state)
        uses = list(tools) or list(engaged.tools.get(step.full, ()))
        draft = build.step_started(
            turn.stream, wall, step.step_id, step.name, tools=uses, is_global=is_global,
            parent_step_id=None if outer is None else outer.step_id, ns=step.ns, visit=visit, attempt=attempt,
            triggers=list(causes), routes=causes, state=state,
        )  # fmt: skip
        if is_late:
            draft.body["late_bound"] = True
        if outer is None:
            engaged.last_step_id = step.step_id
        self._emit(draft)
        block.learned.began(step, causes, uses, is_global)

    def _visit(self, step: StepRun, causes: dict[str, str]) -> tuple[int, int, dict[str, str]]:
        engaged = step.turn.engaged
        parked = engaged.parked.get((step.ns, step.name))
        if parked and step.turn.resumes:
            left = parked.pop(0)
            return left.visit, left.attempt + 1, {left.step_id: "resume"}
        engaged.visits[step.ns, step.name] += 1
        return engaged.visits[step.ns, step.name], 1, causes

    def end(self, event: Any) -> None:
        """It ended. An exception passes through every step around it, and is an event of the innermost."""
        _, perf, step_id, output, given, error = event
        step = self._runs.get(step_id)
        if not isinstance(step, StepRun):
            return
        turn = step.turn
        for run_id, run in list(turn.open.items()):
            if isinstance(run, CallRun) and run.step is step:
                self._forget(run_id, run)
                self._unended(run)
        status, message = self._outcome(step, perf, error)
        self._end(step, perf, status, output, given, message, None if message is None else type(error).__name__)

    def _outcome(self, step: StepRun, perf: int, error: BaseException | None) -> tuple[StepStatus, str | None]:
        if error is None:
            return StepStatus.WAITING if step.waits else StepStatus.COMPLETED, None
        kinds = {base.__name__ for base in type(error).__mro__}
        if "GraphInterrupt" in kinds:
            if step.told != id(error):
                for interrupt in interrupts_of(error):
                    said = {"value": getattr(interrupt, "value", interrupt), "id": getattr(interrupt, "id", None)}
                    self._event(step, perf, EventKind.LOG, "interrupt", payload=said, subtype="interrupt")
            self._tell_outer(step, error)
            return StepStatus.WAITING, None
        if "GraphBubbleUp" in kinds:
            return StepStatus.COMPLETED, None
        if kinds & _CANCELLED:
            return StepStatus.CANCELLED, None
        message = message_of(error)
        if step.told != id(error):
            self._event(step, perf, EventKind.ERROR, "node_error", error=message, error_type=type(error).__name__)
        self._tell_outer(step, error)
        return StepStatus.FAILED, message

    def _tell_outer(self, step: StepRun, error: BaseException) -> None:
        if step.outer is not None:
            step.outer.told = id(error)

    def _event(self, step: StepRun, perf: int, kind: EventKind, name: str, **fields: Any) -> None:
        turn = step.turn
        self._emit(build.event(turn.stream, turn.us(perf), step.step_id, kind, name, **fields))

    def _end(
        self,
        step: StepRun,
        perf: int,
        status: StepStatus,
        output: Any = None,
        given: Any = None,
        error: str | None = None,
        error_type: str | None = None,
    ) -> None:
        turn, engaged = step.turn, step.turn.engaged
        self._forget(step.step_id, step)
        turn.touched = perf
        update, is_late = output or (None, False)
        draft = build.step_ended(
            turn.stream, turn.us(perf), step.step_id, step.name, status,
            duration_us=turn.us(perf) - turn.us(step.perf), error=error, error_type=error_type, update=update,
        )  # fmt: skip
        if given is not None:
            draft.body["@state"], is_late = given[0], is_late or given[1]
        if is_late:
            draft.body["late_bound"] = True
        self._emit(draft)
        block = self._block(turn)
        if status is StepStatus.COMPLETED:
            engaged.reached = engaged.reached or matches(engaged.labels.goal_nodes, step)
            if step.outer is None:
                engaged.last = step.name
        elif status is StepStatus.WAITING:
            place = engaged.parked.setdefault((step.ns, step.name), [])
            place.append(Parked(step.step_id, engaged.visits[step.ns, step.name], 1))
        self._settle(step, block, turn.us(perf))

    def _settle(self, step: StepRun, block: Block, wall: int) -> None:
        strand = self._strands.pop(step.step_id)
        block.causes.pop(step.step_id, None)
        self._of(block, step.outer).ended(step.step_id, strand)
        self.remember(step.step_id, step)
        if step.outer is None:
            block.n_open -= 1
            self._pause_if_done(block, wall)

    def _forget(self, run_id: Any, run: Run) -> None:
        self._runs.pop(run_id, None)
        run.turn.open.pop(run_id, None)

    def extracted(self, event: Any) -> None:
        """A step pulled structured data."""
        _, perf, step_id, fields = event
        run = self.found(step_id)
        if run is not None and run.step is not None:
            step, said = run.step, Extraction.model_validate(fields).model_dump()
            self._emit(build.extraction(step.turn.stream, step.turn.us(perf), step.step_id, said))
            self._event(step, perf, EventKind.EXTRACTION, said["schema_name"], payload=said["values"])

    def graph_ran(self, graph: GraphRun) -> None:
        """A graph runs inside a step of plain code."""
        if graph.step is not None and graph.step.is_code and graph.compiled is not None:
            self._block(graph.turn).learned.ran(graph.compiled, graph.step)

    # --- the engagement around them ---

    def declared(self, event: Any) -> None:
        """The code said what its topology is."""
        _, perf, scope, topology = event
        turn = self._turn(scope, perf)
        learned = self._block(turn).learned
        known = learned.declared or Topology()
        learned.declared = Topology(
            nodes=[*known.nodes, *topology.nodes],
            edges=[*known.edges, *topology.edges],
            entry=[*known.entry, *topology.entry],
            finish=[*known.finish, *topology.finish],
        )
        self._turns.learned(turn.engaged, turn.us(perf), learned.topology())

    def verdict(self, event: Any) -> None:
        """The code said how its turn, or the engagement, ends."""
        _, perf, scope, place, status, reason = event
        turn = self._turn(scope, perf)
        block = self._block(turn)
        if status is not EngagementStatus.PAUSED:
            turn.engaged.verdict = status, reason
            return
        block.pauses = True
        step = self._runs.get(place.key)
        at = step.step if step is not None else None
        if at is not None and at.is_code:
            said = {} if reason is None else {"value": reason}
            self._event(at, perf, EventKind.LOG, "interrupt", payload=said, subtype="interrupt")
        while at is not None:
            at.waits, at = at.is_code, at.outer
        self._pause_if_done(block, turn.us(perf))

    def turns(self) -> list[Turn]:
        """The turns in which there are plain steps."""
        return [block.turn for block in self._blocks.values()]

    def turn_of(self, scope: Scope) -> Turn | None:
        """Where the plain steps of a block went; None: it had none."""
        block = self._blocks.get(scope.engagement_id)
        return None if block is None else block.turn

    def close(self, scope: Scope, perf: int) -> None:
        """The block of an engagement ends, and nothing in it is under way any more."""
        block = self._blocks.pop(scope.engagement_id, None)
        if block is None or block.is_paused:
            return
        turn = block.turn
        self._tell_topology(block, turn.us(perf))
        if turn.waiting and turn.engaged.status is EngagementStatus.ACTIVE and turn.engaged.verdict is None:
            self._turns.paused(turn.engaged, turn.us(perf))

    def left(self, turn: Turn) -> None:
        """A root run ended, in whose nodes there may have been plain steps."""
        block = self._blocks.get(turn.engaged.engagement_id)
        if block is not None and block.turn is turn:
            del self._blocks[turn.engaged.engagement_id]

    def cancel(self, step: StepRun, perf: int) -> None:
        """The run around a step ended without it."""
        self._end(step, perf, StepStatus.CANCELLED)

    def _turn(self, scope: Scope, perf: int) -> Turn:
        """The turn of a block into which plain steps go now."""
        block = self._blocks.get(scope.engagement_id)
        offset = offset_ns() if block is None else block.turn.offset
        wall = (perf + offset) // 1000
        engaged = self._turns.engaged_in(scope, wall)
        if block is None:
            turn = Turn(engaged, engaged.stream, offset=offset, resumes=scope.resumed is not None)
            block = self._blocks[scope.engagement_id] = Block(turn)
        elif block.is_paused:
            self._turns.next_turn(engaged, wall)
            block.is_paused, block.turn.resumes = False, True
        block.turn.stream = engaged.stream  # a graph that ran in between has begun another turn
        engaged.status = EngagementStatus.ACTIVE
        return block.turn

    def _block(self, turn: Turn) -> Block:
        engagement_id = turn.engaged.engagement_id
        block = self._blocks.get(engagement_id)
        if block is None:
            block = self._blocks[engagement_id] = Block(turn)
        return block

    def _of(self, block: Block, outer: StepRun | None) -> Causes:
        return block.causes.setdefault("" if outer is None else outer.step_id, Causes())

    def _pause_if_done(self, block: Block, wall: int) -> None:
        if block.pauses and block.n_open <= 0:
            block.pauses, block.is_paused = False, True
            self._tell_topology(block, wall)
            self._turns.paused(block.turn.engaged, wall)

    def _tell_topology(self, block: Block, wall: int) -> None:
        top = block.causes.get("")
        block.learned.ended_with(() if top is None else top.leaves())
        self._turns.learned(block.turn.engaged, wall, block.learned.topology())
