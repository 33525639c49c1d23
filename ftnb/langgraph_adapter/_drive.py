"""A turn that is ended by whoever drives it, and may go on with an engagement that this process never saw begin."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.model import Engagement, EngagementStatus, StepStatus, TokenUsage, Topology
from ..store.base import LogStore, Store
from ..store.draft import Draft, Tokens

_COLUMNS = ("type", "step_id", "name", "ns", "visit", "attempt", "status")
_STATES = ("engagement_status_changed", "engagement_ended")
_TYPES = ("engagement_started", "step_started", "step_ended", *_STATES)


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
        steps = _Steps()
        for one in engagement.steps:
            steps.take(one.id, one.name, one.ns, one.visit, one.attempt, one.status is StepStatus.COMPLETED)
        return steps.resumed(engagement.name, dict(engagement.metadata), engagement.topology)

    @classmethod
    def of_engaged(cls, engaged: Any) -> Resumed:
        """From an engagement that this process has begun (`_runs.Engaged`)."""
        return cls(
            engaged.name, engaged.metadata, engaged.topology, engaged.visits, engaged.last, frozenset(), engaged.parked
        )


def read(store: Store, engagement_id: str, topology: Topology) -> tuple[EngagementStatus, Resumed] | None:
    """Where an engagement in `store` stands, and what must be known to go on with it on the graph `topology`.

    None: it is not there.
    """
    if isinstance(store, LogStore):
        return _read_log(store, engagement_id, topology)
    try:
        engagement = store.get_engagement(engagement_id)
    except KeyError:
        return None
    return engagement.status, Resumed.of(engagement)


def _read_log(store: LogStore, engagement_id: str, topology: Topology) -> tuple[EngagementStatus, Resumed] | None:
    # Only the headers of steps: folding all of a long conversation, payloads and all, would slow down each turn.
    rows = store.scan(_COLUMNS, types=_TYPES, engagement_id=engagement_id).to_pylist()
    done = {row["step_id"] for row in rows if row["type"] == "step_ended" and row["status"] == StepStatus.COMPLETED}
    steps, status = _Steps(), EngagementStatus.ACTIVE
    for row in rows:
        ns, name = row["ns"] or "", row["name"] or ""
        if row["type"] == "step_started":
            visit = row["visit"] or steps.visits[ns, name] + 1
            steps.take(row["step_id"], name, ns, visit, row["attempt"] or 1, row["step_id"] in done)
        elif row["type"] in _STATES and row["status"]:
            status = EngagementStatus(row["status"])
    return (status, steps.resumed("", {}, topology)) if rows else None


class _Steps:
    """Steps of an engagement, taken in their order."""

    def __init__(self) -> None:
        self.visits: Counter[tuple[str, str]] = Counter()
        self._latest: dict[tuple[str, str, int], tuple[Parked, bool]] = {}
        self._completed: set[str] = set()
        self._last: str | None = None

    def take(self, step_id: str, name: str, ns: str, visit: int, attempt: int, is_completed: bool) -> None:
        self.visits[ns, name] = max(self.visits[ns, name], visit)
        self._latest[ns, name, visit] = Parked(step_id, visit, attempt), is_completed
        if is_completed:
            self._completed.add(f"{ns}/{name}" if ns else name)
            self._last = self._last if ns else name

    def resumed(self, name: str, metadata: dict[str, Any], topology: Topology) -> Resumed:
        parked = defaultdict(list)
        for (ns, node, _), (latest, is_completed) in self._latest.items():
            if not is_completed:
                parked[ns, node].append(latest)
        return Resumed(name, metadata, topology, self.visits, self._last, frozenset(self._completed), dict(parked))


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
