"""Steps that no block is around: each is an engagement of its own."""

from __future__ import annotations

from time import perf_counter_ns

from ..langgraph_adapter import _events as events
from ..langgraph_adapter import _place, _pools
from ..langgraph_adapter._capture import Capture
from ..langgraph_adapter._clock import offset_ns
from ..langgraph_adapter._place import Place, Strand, run_around
from ..langgraph_adapter._scope import SCOPE, Labels, Scope
from ._step import Step


def begin_here(step: Step) -> tuple[Capture | None, Place | None]:
    """Who records a step that begins here, and its place: in the step or block around, or in one made for it."""
    target = _place.target()
    if target is None:
        return None, None
    place = _place.place_in(SCOPE.get())
    if place is None:
        place = _alone(step, target)
    return target, place


def begin_apart(step: Step) -> tuple[Capture | None, Place | None]:
    """As `begin_here`, beside what the code that runs here does next: a generator runs between its consumer's steps."""
    target, place = begin_here(step)
    if place is not None:
        scope, key, run, strand, last = place
        place = Place(scope, key, run, Strand(strand, last, is_apart=True), last)
        if step.is_in_block:
            step.when_left(_nothing)
    return target, place


def _nothing(step: Step, error: BaseException | None) -> None:
    """What more the end of a step does that only has to leave its place."""


def _alone(step: Step, target: Capture) -> Place:
    from ..langgraph_adapter import _scope

    _pools.install()
    scope = Scope(Labels(step.name).over(_scope.cell_labels))
    target.send(events.SCOPE_OPEN, perf_counter_ns(), offset_ns(), scope)
    token = SCOPE.set(scope)

    def close(_: Step, error: BaseException | None) -> None:
        try:
            SCOPE.reset(token)
        except ValueError:  # the step ends in another context, as that of an async generator may
            pass
        target.send(events.SCOPE_CLOSE, perf_counter_ns(), offset_ns(), scope, error)

    step.when_left(close)
    return Place(scope, None, run_around(), Strand(), None)
