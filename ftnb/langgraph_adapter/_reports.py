"""What a node reports itself, in its update, and the events inside its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.model import EventKind, Extraction
from ..store import build
from ..store.draft import Draft
from ._enrich import Reported, extraction_of, reported
from ._outputs import schema_of
from ._runs import StepRun


class Reports:
    """Emits the events of steps. Belongs to one assembler, and so to the writer's thread."""

    def __init__(self, emit: Callable[[Draft], None]) -> None:
        self._emit = emit

    def take(self, step: StepRun, at: int, update: Any) -> None:
        """The node returned `update`, which may tell of calls and extractions."""
        for said in reported(update):
            if not _seen(step, said):
                self.event(
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

    def parsed(self, step: StepRun, at: int, output: Any) -> None:
        """A parser made `output` of what a model said; pydantic objects are extractions."""
        for one in output if isinstance(output, list) else [output]:
            schema = schema_of(one)
            if schema is not None:
                values = one.model_dump()
                step.extracted.append(values)
                fields = {"schema_name": type(one).__name__, "json_schema": schema, "values": values}
                self._extraction(step, at, Extraction.model_validate(fields).model_dump())

    def _extraction(self, step: StepRun, at: int, fields: dict[str, Any]) -> None:
        self._emit(build.extraction(step.turn.stream, at, step.step_id, fields))
        self.event(step, at, EventKind.EXTRACTION, fields["schema_name"], payload=fields["values"])

    def event(self, step: StepRun, at: int, kind: EventKind, name: str, **fields: Any) -> None:
        """Record an event of a step."""
        self._emit(build.event(step.turn.stream, at, step.step_id, kind, name, **fields))


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
