"""A turn that is ended by whoever drives it, and may go on with an engagement that this process never saw begin."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.model import Engagement, EngagementStatus, StepStatus, TokenUsage, Topology
from ..store.draft import Draft, Tokens


class Parked(NamedTuple):
    """The latest attempt of a step that is not completed: where a resume goes on."""

    step_id: str
    visit: int
    attempt: int


@dataclass(slots=True)
class Resumed:
    """What must be known of an engagement to go on with it."""

    name: str
    metadata: dict[str, Any]
    topology: Topology
    visits: Counter[tuple[str, str]]
    """By namespace and node."""
    last: str | None
    """Name of the step at the top that was completed last."""
    completed: frozenset[str]
    """Full names of the steps that were completed, to judge goals by."""
    parked: dict[tuple[str, str], list[Parked]]

    @classmethod
    def of(cls, engagement: Engagement) -> Resumed:
        """From the engagement as it was recorded."""
        attempts: dict[tuple[str, str, int], Any] = {}
        visits: Counter[tuple[str, str]] = Counter()
        last, completed = None, set()
        for step in engagement.steps:
            attempts[step.ns, step.name, step.visit] = step
            visits[step.ns, step.name] = max(visits[step.ns, step.name], step.visit)
            if step.status is StepStatus.COMPLETED:
                completed.add(f"{step.ns}/{step.name}" if step.ns else step.name)
                last = last if step.ns else step.name
        parked = defaultdict(list)
        for (ns, name, visit), step in attempts.items():
            if step.status is not StepStatus.COMPLETED:
                parked[ns, name].append(Parked(step.id, visit, step.attempt))
        metadata, topology = dict(engagement.metadata), engagement.topology
        return cls(engagement.name, metadata, topology, visits, last, frozenset(completed), dict(parked))


class TurnUsage:
    """Tokens of one turn, counted as its records are made; those of a step that pauses are left out."""

    def __init__(self) -> None:
        self._steps: dict[str, list[Tokens]] = defaultdict(list)

    def take(self, draft: Draft) -> None:
        """Count a record of the turn."""
        if draft.step_id is None:
            return
        if draft.tokens is not None:
            self._steps[draft.step_id].append(draft.tokens)
        elif draft.type == "step_ended" and draft.status == StepStatus.WAITING.value:
            self._steps.pop(draft.step_id, None)

    def total(self) -> TokenUsage:
        """All of it."""
        calls = [tokens for calls in self._steps.values() for tokens in calls]
        names = ("prompt", "completion", "total", "cache_read", "cache_write", "reasoning")
        return TokenUsage(**{name: sum(call[place] for call in calls) for place, name in enumerate(names)})


@dataclass(slots=True, eq=False)
class Drive:
    """One driven turn."""

    resumed: Resumed | None = None
    """The engagement that goes on; None: a new one begins."""
    outcome: EngagementStatus | None = None
    """How it ended, set by the driver before the scope closes; COMPLETED is judged by the goals. None: it failed."""
    error: str | None = None
    usage: TurnUsage = field(default_factory=TurnUsage)


def answer_of(resume: Any) -> Any:
    """The answer in a `Command(resume=…)`: LangGraph also takes it as {interrupt id: answer}."""
    if isinstance(resume, Mapping) and len(resume) == 1:
        ((key, value),) = resume.items()
        if isinstance(key, str) and len(key) == 32 and all(one in "0123456789abcdef" for one in key):
            return value
    return resume
