"""Small graphs, and engagements as lines of text that a test can state in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from ftnb.core.model import Engagement, Step, StepEvent
from ftnb.store.blobs import Resolver
from ftnb.store.sqlite import SQLiteStore


class Path(TypedDict):
    """A state that remembers which nodes ran."""

    path: Annotated[list[str], add]


def visit(name: str) -> Callable[[Path], dict[str, list[str]]]:
    """A node that notes that it ran."""

    def node(state: Path) -> dict[str, list[str]]:
        return {"path": [name]}

    return node


def graph_of(*edges: str, nodes: Sequence[str] = (), **own: Any) -> StateGraph[Any]:
    """A graph from "a>b" (static) and "b+c>d" (join) with ^ as start and $ as end; `own` are nodes with code."""
    builder = StateGraph(Path)
    named = [name for edge in edges for side in edge.split(">") for name in side.split("+")]
    for name in dict.fromkeys([*named, *nodes, *own]):
        if name not in "^$":
            builder.add_node(name, own.get(name, visit(name)))
    ends = {"^": START, "$": END}
    for edge in edges:
        source, target = edge.split(">")
        sources = [ends.get(name, name) for name in source.split("+")]
        builder.add_edge(sources if len(sources) > 1 else sources[0], ends.get(target, target))
    return builder


class Seen:
    """What a store holds."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store

    def all(self) -> list[Engagement]:
        """Every engagement, oldest first."""
        return [self.store.get_engagement(summary.id) for summary in self.store.list_engagements()]

    def one(self) -> Engagement:
        """The only engagement."""
        (engagement,) = self.all()
        return engagement

    def value(self, engagement: Engagement, ref: Any) -> Any:
        """A state or an update, put back together."""
        return Resolver(lambda blob_id: self.store.blob(engagement.id, blob_id))(ref)

    def update(self, step: Step) -> Any:
        """What a step's node returned."""
        return self.value(self.store.get_engagement(step.engagement_id), step.update_ref)

    def state(self, step: Step) -> Any:
        """What a step's node was given."""
        return self.value(self.store.get_engagement(step.engagement_id), step.state_ref)


def tree(engagement: Engagement) -> list[str]:
    """A line for each step, in order: full name, visit and attempt if not 1, status if not completed, causes.

    `b@2.1 failed < a:static` is the second visit of b, which failed, caused by a through a static edge.
    """
    steps = {step.id: step for step in engagement.steps}
    return [line(step, steps) for step in engagement.steps]


def line(step: Step, steps: dict[str, Step]) -> str:
    """One step; see `tree`."""
    place = "" if (step.visit, step.attempt) == (1, 1) else f"@{step.visit}.{step.attempt}"
    status = "" if step.status.value == "completed" else f" {step.status.value}"
    assert set(step.routes) == set(step.triggers), "each cause has its kind"
    causes = ", ".join(f"{steps[cause].name}:{step.routes[cause]}" for cause in step.triggers)
    if step.parent_step_id is None:
        assert step.ns == ""
    else:
        parent = steps[step.parent_step_id]
        assert step.ns == (f"{parent.ns}/{parent.name}" if parent.ns else parent.name)
    name = f"{step.ns}/{step.name}" if step.ns else step.name
    return name + place + status + (f" < {causes}" if causes else "")


def named(engagement: Engagement, name: str, visit: int = 1) -> Step:
    """A step by name and visit."""
    return [step for step in engagement.steps if (step.name, step.visit) == (name, visit)][-1]


def events(step: Step, kind: str | None = None) -> list[StepEvent]:
    """The events of a step, of one kind."""
    return [event for event in step.events if kind in (None, event.kind.value)]
