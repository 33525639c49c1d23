"""Recording what a replay does as an engagement of its own, beside the one that it branches off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..core.errors import ReplayError, StoreError
from ..core.marked import Marked
from ..core.model import EngagementStatus
from ..frames.schema import BRANCH_KEY
from ..langgraph_adapter._drive import Drive, read
from ..langgraph_adapter._runs import describe
from ..langgraph_adapter._scope import Labels, Scope
from ..langgraph_adapter.runner import recording
from ..langgraph_adapter.topology import read_topology
from ..recorder import Recorder
from ..store.base import LogStore
from ._cassette import Cassette
from ._graphs import outer_tasks
from ._recorded import Recorded, Task
from ._rows import BRANCH_AT
from ._serving import serving

KIND, AT, CALLS = BRANCH_KEY, BRANCH_AT, "ftnb_branch_calls"
"""Metadata of a branch: `replay` or `fork`; where it branched off; how many calls were answered from the record."""


@dataclass
class Branch:
    """A branch under way."""

    scope: Scope
    store: LogStore
    cassette: Cassette
    error: BaseException | None = None
    is_paused: bool = False

    @property
    def engagement_id(self) -> str:
        """Id of its engagement."""
        return self.scope.engagement_id


def place_of(task: Task) -> dict[str, Any]:
    """Where a branch begins, as its metadata says it."""
    return {
        "step_id": task.step_id, "step": task.full, "visit": task.visit, "attempt": task.attempt, "turn": task.turn,
        "superstep": task.superstep,
    }  # fmt: skip


def visits_before(recorded: Recorded, task: Task, again: Collection[Task]) -> dict[tuple[str, str], int]:
    """How often nodes had run when `task` began, without those that run `again`, and all inside them."""
    left = {one.step_id for one in again}
    counted: Counter[tuple[str, str]] = Counter()
    for one in recorded.tasks:
        if one.parent_id in left:
            left.add(one.step_id)
        elif one.step_id not in left and one.place < task.place:
            counted[one.ns, one.name] = max(counted[one.ns, one.name], one.visit)
    for one in (*again, task, *outer_tasks(recorded, task)):
        counted[one.ns, one.name] = min(counted[one.ns, one.name], one.visit - 1)
    return dict(counted)


def writable(store: LogStore) -> LogStore:
    """`store` where it can be written to; else a new one in memory, for what is only read stays as it is."""
    if not getattr(store, "read_only", False):
        return store
    from ..store.memory import MemoryStore

    return MemoryStore()


@contextmanager
def branch(
    store: LogStore,
    recorded: Recorded,
    graph: Any,
    cassette: Cassette,
    *,
    kind: str,
    task: Task,
    visits: Mapping[tuple[str, str], int],
    details: Mapping[str, Any],
    goals: bool = False,
) -> Iterator[Branch]:
    """Record the runs of this context as one branch. Its `error` and `is_paused` say how it ended."""
    metadata = {**recorded.metadata, KIND: kind, AT: {**place_of(task), **details}}
    metadata = {key: value for key, value in metadata.items() if not isinstance(value, Marked)}
    labels = Labels.of(recorded.name, metadata, recorded.goals if goals else ())
    drive = Drive(outcome=EngagementStatus.COMPLETED)
    scope = Scope(labels, read_topology(graph), drive=drive, parent_id=recorded.id, visits=dict(visits))
    with _recorded_as(Branch(scope, writable(store), cassette), drive, graph) as made:
        yield made


@contextmanager
def next_turn(
    store: LogStore, recorded: Recorded, graph: Any, cassette: Cassette, engagement_id: str
) -> Iterator[Branch]:
    """Record the runs of this context as the next turn of a branch that paused."""
    topology, where = read_topology(graph), writable(store)
    found = read(where, engagement_id, topology)
    if found is None:
        raise ReplayError(f"the branch {engagement_id} is no longer in {where!r}")
    labels = Labels.of(recorded.name)
    drive = Drive(resumed=found[1], outcome=EngagementStatus.COMPLETED)
    scope = Scope(labels, topology, engagement_id, drive)
    with _recorded_as(Branch(scope, where, cassette), drive, graph) as made:
        yield made


@contextmanager
def _recorded_as(made: Branch, drive: Drive, graph: Any) -> Iterator[Branch]:
    recorder = Recorder(made.store)
    try:
        with recording(recorder, made.scope.labels, graph, made.scope), serving(made.cassette):
            yield made
            if made.error is not None:
                drive.outcome, drive.error = EngagementStatus.FAILED, describe(made.error)
            elif made.is_paused:
                drive.outcome = EngagementStatus.PAUSED
        recorder.label_engagement(made.engagement_id, metadata={CALLS: made.cassette.n_by_how()})
    finally:
        if not recorder.flush():
            raise StoreError(f"the branch {made.engagement_id} could not be written to {made.store!r}")
        recorder.close()
