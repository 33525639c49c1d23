"""The topology of plain code, as far as it was seen to run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..core.model import EdgeDef, NodeDef, Topology
from ._runs import StepRun
from .topology import read_into


class Learned:
    """Nodes and edges of one engagement, by the steps that ran."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeDef] = {}
        self._edges: dict[tuple[str, str], EdgeDef] = {}
        self._entry: dict[str, None] = {}
        self._finish: dict[str, None] = {}
        self._inner = Topology()
        self._names: dict[str, str] = {}
        """Full names by step id."""
        self.declared: Topology | None = None
        """Said by the user: then nothing is learned."""

    def began(self, step: StepRun, causes: Iterable[str], tools: list[str], is_global: bool) -> None:
        """A step began."""
        full = self._names[step.step_id] = step.full
        node = self._nodes.get(full)
        if node is None:
            parent = None if step.outer is None else step.outer.full
            self._nodes[full] = NodeDef(name=full, is_global=is_global, tools=tools, parent=parent)
        elif set(tools) - set(node.tools):
            node.tools = list(dict.fromkeys([*node.tools, *tools]))
        sources = [self._names[cause] for cause in causes if cause in self._names]
        kind = "join" if len(sources) > 1 else "static"
        for source in sources:
            self._edges.setdefault((source, full), EdgeDef(source=source, target=full, kind=kind))
        if step.outer is None and not sources:
            self._entry[full] = None

    def ran(self, compiled: Any, inside: StepRun) -> None:
        """A graph ran inside a step."""
        try:
            read_into(self._inner, compiled, inside.full)
        except Exception:  # a graph that cannot be read is still recorded, step by step
            pass

    def ended_with(self, step_ids: Iterable[str]) -> None:
        """The turn ended after these steps."""
        self._finish.update(dict.fromkeys(self._names[one] for one in step_ids if one in self._names))

    def topology(self) -> Topology:
        """What is known: what was declared, or else what was seen."""
        if self.declared is not None:
            return self.declared
        inner = [node for node in self._inner.nodes if node.name not in self._nodes]
        return Topology(
            nodes=[*self._nodes.values(), *inner],
            edges=[*self._edges.values(), *self._inner.edges],
            entry=list(self._entry),
            finish=list(self._finish),
        )
