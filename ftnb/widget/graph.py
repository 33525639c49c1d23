"""The workflow graph of one engagement: what was declared, and what was done."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ..core.model import Engagement, EngagementStatus, NodeDef, Step, StepStatus
from .protocol import Cause, Edge, Node, NodeKind

_NO_EDGE = "resume"
"""A resumed node goes on where it stopped: a cause, but no way from one node to another."""


class GraphBuilder:
    """Collects nodes and edges; the names of nodes are looked up in dicts and never used as keys of what is sent."""

    def __init__(self, engagement: Engagement) -> None:
        self._engagement = engagement
        self.nodes: list[Node] = []
        self.edges: list[Edge] = []
        self._index: dict[str, int] = {}
        self._edge_index: dict[tuple[int, int], int] = {}
        self.has_topology = bool(engagement.topology.nodes)
        self._declare()
        self.step_nodes = [self._node_of(step) for step in engagement.steps]
        self.causes = find_causes(engagement.steps)
        self._take()
        self._add_totals()

    def _declare(self) -> None:
        topology = self._engagement.topology
        self._start = self._add("", "start") if topology.entry else None
        by_name = {node.name: node for node in topology.nodes}
        for node in topology.nodes:
            self._declare_node(node, by_name)
        self._end = self._add("", "end") if topology.finish else None
        for edge in topology.edges:
            source, target = self._index.get(edge.source), self._index.get(edge.target)
            if source is not None and target is not None:
                self._declare_edge(source, target, edge.kind, edge.condition)
        for name in topology.entry:
            if self._start is not None and name in self._index:
                self._declare_edge(self._start, self._index[name], "start", None)
        for name in topology.finish:
            if self._end is not None and name in self._index:
                self._declare_edge(self._index[name], self._end, "end", None)

    def _declare_node(self, node: NodeDef, by_name: dict[str, NodeDef]) -> int:
        if node.name in self._index:
            return self._index[node.name]
        # Reserved first, so that a parent that names itself or its own child ends the recursion.
        own = self._index[node.name] = self._add(node.name, "step", declared=True)
        parent = None
        if node.parent is not None and node.parent != node.name:
            known = by_name.get(node.parent, NodeDef(name=node.parent))
            parent = self._declare_node(known, by_name)
        if parent is not None and not self._is_inside(parent, own):
            self.nodes[own]["parent"] = parent
            self.nodes[own]["label"] = node.name.removeprefix(f"{node.parent}/")
            self._index.setdefault(f"{node.parent}/{self.nodes[own]['label']}", own)
        self.nodes[own]["is_global"] = node.is_global
        self.nodes[own]["tools"] = list(node.tools)
        return own

    def _is_inside(self, node: int, outer: int) -> bool:
        at: int | None = node
        while at is not None:
            if at == outer:
                return True
            at = self.nodes[at]["parent"]
        return False

    def _declare_edge(self, source: int, target: int, kind: str, condition: str | None) -> None:
        known = self._edge_index.get((source, target))
        if known is None:
            self._add_edge(source, target, kind, condition, declared=True)
        elif condition is not None:
            labels = self.edges[known]["condition"]
            self.edges[known]["condition"] = condition if labels is None else f"{labels} | {condition}"

    def _node_of(self, step: Step) -> int:
        """The node that `step` ran; an undeclared one is added, with the subgraph that it lies in."""
        full = f"{step.ns}/{step.name}" if step.ns else step.name
        known = self._index.get(full)
        if known is not None:
            return known
        parent = self._namespace(step.ns)
        own = self._index[full] = self._add(full, "step", label=step.name, parent=parent)
        # Where nothing was declared, nothing can be undeclared.
        inside = [node for node in self.nodes if node["parent"] == parent and node["declared"]]
        self.nodes[own]["declared"] = not (self.has_topology if parent is None else bool(inside))
        self.nodes[own]["is_global"] = step.is_global
        return own

    def _namespace(self, ns: str) -> int | None:
        if not ns:
            return None
        if ns not in self._index:
            outer, _, label = ns.rpartition("/")
            parent = self._namespace(outer)
            self._index[ns] = self._add(ns, "step", label=label, parent=parent, declared=True)
        return self._index[ns]

    def _take(self) -> None:
        """Count the ways that the steps took."""
        for cause in self.causes:
            source, target = self.step_nodes[cause["source"]], self.step_nodes[cause["target"]]
            if cause["kind"] != _NO_EDGE:
                self._count(source, target, cause["kind"])
        caused = {cause["target"] for cause in self.causes}
        causing = {cause["source"] for cause in self.causes}
        start, end = self._start, self._end
        over = self._engagement.status in (EngagementStatus.COMPLETED, EngagementStatus.ABANDONED)
        for at, step in enumerate(self._engagement.steps):
            node = self.step_nodes[at]
            if start is not None and at not in caused and (start, node) in self._edge_index:
                self._count(start, node, "start")
            done = step.status is StepStatus.COMPLETED and over
            if end is not None and done and at not in causing and (node, end) in self._edge_index:
                self._count(node, end, "end")

    def _count(self, source: int, target: int, kind: str) -> None:
        known = self._edge_index.get((source, target))
        if known is None:
            known = self._add_edge(source, target, kind, None, declared=not self.has_topology)
        self.edges[known]["taken"] += 1

    def _add(
        self, name: str, kind: NodeKind, *, label: str | None = None, parent: int | None = None, declared: bool = True
    ) -> int:
        self.nodes.append(
            Node(
                name=name,
                label=name if label is None else label,
                kind=kind,
                parent=parent,
                is_global=False,
                is_goal=kind == "step" and name in self._engagement.goal_nodes,
                declared=declared,
                n_steps=0,
                n_visits=0,
                status=None,
                total_tokens=0,
                cost=None,
                duration_ms=0.0,
                n_failing=0,
                tools=[],
            )
        )
        return len(self.nodes) - 1

    def _add_edge(self, source: int, target: int, kind: str, condition: str | None, *, declared: bool) -> int:
        self.edges.append(
            Edge(source=source, target=target, kind=kind, condition=condition, declared=declared, taken=0)
        )
        self._edge_index[source, target] = len(self.edges) - 1
        return len(self.edges) - 1

    def _add_totals(self) -> None:
        visits: defaultdict[int, set[int]] = defaultdict(set)
        for step, at in zip(self._engagement.steps, self.step_nodes, strict=True):
            node = self.nodes[at]
            visits[at].add(step.visit)
            node["n_steps"] += 1
            node["n_visits"] = len(visits[at])
            node["status"] = step.status.value
            node["total_tokens"] += step.total_tokens
            node["duration_ms"] += step.duration_ms or 0.0
            node["n_failing"] += is_failing(step)


def is_failing(step: Step) -> bool:
    """The step failed, or something in it did."""
    return step.status is StepStatus.FAILED or step.error is not None or any(e.error is not None for e in step.events)


def find_causes(steps: Sequence[Step]) -> list[Cause]:
    """Which step led to which, by index into `steps`.

    A trace without any recorded cause (older and foreign ones) is read in its order, each step caused by the one
    before it on the same level.
    """
    at = {step.id: index for index, step in enumerate(steps)}
    if not any(step.triggers or step.routes for step in steps):
        return list(_in_sequence(steps))
    causes = []
    for target, step in enumerate(steps):
        for source_id in dict.fromkeys([*step.triggers, *step.routes]):
            if source_id in at:
                kind = step.routes.get(source_id, "static")
                causes.append(Cause(source=at[source_id], target=target, kind=kind))
    return causes


def _in_sequence(steps: Sequence[Step]) -> Iterable[Cause]:
    last: dict[tuple[str, str | None], int] = {}
    for target, step in enumerate(steps):
        level = (step.ns, step.parent_step_id)
        if level in last:
            yield Cause(source=last[level], target=target, kind="order")
        last[level] = target


def count_visits(step_nodes: Sequence[int], steps: Sequence[Step]) -> list[int]:
    """For each step, the highest visit number of its node."""
    highest: Counter[int] = Counter()
    for node, step in zip(step_nodes, steps, strict=True):
        highest[node] = max(highest[node], step.visit)
    return [highest[node] for node in step_nodes]
