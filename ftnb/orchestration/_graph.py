"""From declared steps to a LangGraph graph: what cannot work is told before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ..core._optional import require
from ..core.errors import WorkflowError
from ._nodes import StepDef, input_schema, wrap

END = "__end__"
"""LangGraph's name of the end, which edges and branches may lead to."""
Router = Callable[..., Any]


@dataclass(slots=True)
class Plan:
    """Everything that was declared of a workflow's graph."""

    name: str
    state_schema: type
    steps: dict[str, StepDef] = field(default_factory=dict)
    entries: list[str] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)
    branches: list[tuple[str, Router, dict[Any, str] | list[str]]] = field(default_factory=list)
    finish: list[str] = field(default_factory=list)
    goals: set[str] = field(default_factory=set)
    doubled: list[str] = field(default_factory=list)
    """Names under which a second, different step was declared."""

    @property
    def entry(self) -> str:
        """Where it begins, once `check` has passed."""
        return self.entries[0]

    def add(self, step: StepDef) -> None:
        """Declare a step. The same function again replaces it: that is a notebook cell run a second time."""
        known = self.steps.get(step.name)
        if known is not None and not _is_again(known.function, step.function):
            self.doubled.append(step.name)
        self.steps[step.name] = step

    def check(self) -> None:
        """Raise WorkflowError, saying what is wrong and what there is."""
        if not self.steps:
            raise WorkflowError(f"workflow {self.name!r} has no steps; declare some with @wf.step")
        if self.doubled:
            raise WorkflowError(
                f"workflow {self.name!r} has two steps named {self.doubled[0]!r}; give one of them another name: "
                f"@wf.step(name=…). Steps: {self._known()}"
            )
        if not self.entries:
            raise WorkflowError(f"workflow {self.name!r} has no entry; call wf.entry(…) with one of: {self._known()}")
        if len(self.entries) > 1:
            raise WorkflowError(f"workflow {self.name!r} has several entries, {', '.join(self.entries)}; it needs one")
        self._must_exist("entry", self.entries)
        if END in {*self.entries, *self.finish, *self.goals}:
            raise WorkflowError(
                f"workflow {self.name!r}: {END!r} is no step; a run ends after the steps in wf.finish(…)"
            )
        for source, target in self.edges:
            self._must_exist(f"edge({source!r}, {target!r})", [source, target])
        for source, _, mapping in self.branches:
            self._must_exist(f"branch({source!r}, …)", [source, *_targets(mapping)])
        self._must_be_once()
        self._must_exist("finish", self.finish)
        self._must_exist("goal_nodes", sorted(self.goals))
        for step in self.steps.values():
            self._must_exist(f"step {step.name!r} goes to", step.goto)
        self._must_be_reached()

    def _must_be_once(self) -> None:
        for number, edge in enumerate(self.edges):
            if edge in self.edges[:number]:
                raise WorkflowError(f"workflow {self.name!r} has the edge {edge[0]!r} -> {edge[1]!r} twice")
        routed = [(source, router) for source, router, _ in self.branches]
        for number, branch in enumerate(routed):
            if branch in routed[:number]:
                raise WorkflowError(f"workflow {self.name!r} branches from {branch[0]!r} twice by the same router")

    def _must_exist(self, where: str, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.steps and name != END:
                near = get_close_matches(str(name), self.steps, n=1, cutoff=0.5)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise WorkflowError(
                    f"{where}: workflow {self.name!r} has no step {name!r}; steps: {self._known()}.{hint}"
                )

    def _must_be_reached(self) -> None:
        ways: dict[str, list[str]] = {name: list(step.goto) for name, step in self.steps.items()}
        for source, target in self.edges:
            ways[source].append(target)
        for source, _, mapping in self.branches:
            ways[source] += _targets(mapping)
        # A global step fires from anywhere: a start of its own.
        reached = {name for name, step in self.steps.items() if step.is_global} | {self.entry}
        todo = list(reached)
        while todo:
            for target in ways[todo.pop()]:
                if target not in reached and target != END:
                    reached.add(target)
                    todo.append(target)
        lost = [name for name in self.steps if name not in reached]
        if lost:
            raise WorkflowError(
                f"workflow {self.name!r}: no way leads from the entry {self.entry!r} to {', '.join(map(repr, lost))}. "
                "Add an edge or a branch, or declare what a step may go to: @wf.step(goto=[…])"
            )

    def _known(self) -> str:
        return ", ".join(self.steps)


def _targets(mapping: Mapping[Any, str] | Iterable[str]) -> list[str]:
    return list(mapping.values() if isinstance(mapping, Mapping) else mapping)


def build(plan: Plan, llm: Any, llm_timeout: float | None) -> Any:
    """The LangGraph graph of a plan, not yet compiled. Raises WorkflowError."""
    plan.check()
    graphs = require("langgraph.graph", feature="Workflow", extra="langgraph")
    graph = graphs.StateGraph(plan.state_schema)
    for step in plan.steps.values():
        action = wrap(step, llm, llm_timeout)
        options = {"destinations": step.goto or None, "input_schema": input_schema(step.function)}
        graph.add_node(step.name, action, **{key: value for key, value in options.items() if value is not None})
    graph.add_edge(graphs.START, plan.entry)
    for source, target in plan.edges:
        graph.add_edge(source, target)
    for source, router, mapping in plan.branches:
        graph.add_conditional_edges(source, router, mapping)
    for name in plan.finish:
        graph.add_edge(name, graphs.END)
    return graph


def _is_again(known: Callable[..., Any], given: Callable[..., Any]) -> bool:
    if known is given:
        return True
    old, new = getattr(known, "__code__", None), getattr(given, "__code__", None)
    if old is None or new is None or known.__qualname__ != given.__qualname__:
        return False
    # Of one name in one file, at two places: two steps. In another file: a cell that was edited and run again.
    return bool(old.co_filename != new.co_filename or old.co_firstlineno == new.co_firstlineno)
