"""The declared workflow graph of a compiled LangGraph, read from its builder.

`get_graph()` draws conditional edges without a path map as edges to the end, and joins as plain edges; the builder
knows better and is a thousand times faster. It serves only graphs that have no builder (the functional API).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..core.model import EdgeDef, NodeDef, Topology

START, END = "__start__", "__end__"
_MAX_DEPTH = 8


def read_topology(
    compiled: Any,
    *,
    global_nodes: Iterable[str] = (),
    node_tools: Mapping[str, Sequence[str]] | None = None,
) -> Topology:
    """The nodes and edges of `compiled`, without LangGraph's synthetic start and end.

    `global_nodes` are marked as re-routing the intent; `node_tools` names the tools of nodes where the graph does not
    (a `ToolNode` does). A node inside a subgraph is named `outer/inner`. Edges that only a router's code knows, because
    it was declared without a path map, are not there.
    """
    reading = _Reading(frozenset(global_nodes), {name: list(tools) for name, tools in (node_tools or {}).items()})
    reading.graph(compiled, None, 0)
    return reading.topology


def read_into(topology: Topology, compiled: Any, inside: str) -> None:
    """Add the nodes and edges of `compiled`, which ran inside the node `inside`, to `topology`."""
    reading = _Reading(frozenset(), {})
    reading.topology = topology
    reading.graph(compiled, inside, 1)


def merge(known: Topology, more: Topology) -> Topology:
    """`known` with what only `more` has added; `known` itself when that is nothing."""
    names = {node.name for node in known.nodes}
    edges = {_key(edge) for edge in known.edges}
    nodes = [node for node in more.nodes if node.name not in names]
    new_edges = [edge for edge in more.edges if _key(edge) not in edges]
    if not nodes and not new_edges:
        return known
    return Topology(
        nodes=[*known.nodes, *nodes],
        edges=[*known.edges, *new_edges],
        entry=list(dict.fromkeys([*known.entry, *more.entry])),
        finish=list(dict.fromkeys([*known.finish, *more.finish])),
    )


def _key(edge: EdgeDef) -> tuple[str, str, str | None, str]:
    return edge.source, edge.target, edge.condition, edge.kind


class _Reading:
    """One reading in progress; `prefix` is the full name of the node whose subgraph is being read."""

    def __init__(self, global_nodes: frozenset[str], node_tools: Mapping[str, list[str]]) -> None:
        self.topology = Topology()
        self._global = global_nodes
        self._tools = node_tools

    def graph(self, compiled: Any, prefix: str | None, depth: int) -> None:
        builder = getattr(compiled, "builder", None)
        if builder is None or not hasattr(builder, "edges"):
            self._drawn(compiled, prefix)
            return
        inner = getattr(compiled, "nodes", {})
        for name, spec in builder.nodes.items():
            full = self._node(name, prefix, _tools_of(spec.runnable))
            for subgraph in getattr(inner.get(name), "subgraphs", None) or ():
                if depth < _MAX_DEPTH and subgraph is not compiled:
                    self.graph(subgraph, full, depth + 1)
        order = {name: place for place, name in enumerate([START, *builder.nodes, END])}
        leaving: set[str] = set()
        for source, target, condition, kind in sorted(ways(builder), key=lambda way: (order.get(way[0], 0),)):
            leaving.add(source)
            self._edge(source, target, condition, kind, prefix)
        if prefix is None:
            # A branch without a path map may lead anywhere.
            leaving |= {
                source for source, all_ in builder.branches.items() if any(b.ends is None for b in all_.values())
            }
            ending = [name for name in builder.nodes if name not in leaving]
            self.topology.finish += [name for name in ending if name not in self.topology.finish]

    def _node(self, name: str, prefix: str | None, tools: list[str]) -> str:
        full = name if prefix is None else f"{prefix}/{name}"
        if all(node.name != full for node in self.topology.nodes):
            declared = self._tools.get(full, self._tools.get(name, tools) if prefix is None else tools)
            self.topology.nodes.append(
                NodeDef(name=full, is_global=full in self._global, tools=list(declared), parent=prefix)
            )
        return full

    def _edge(self, source: str, target: str, condition: str | None, kind: str, prefix: str | None) -> None:
        if source == START or target == END:
            if prefix is None and source != target:
                ends = self.topology.entry if source == START else self.topology.finish
                name = target if source == START else source
                if name not in ends and name not in (START, END):
                    ends.append(name)
            return
        if prefix is not None:
            source, target = f"{prefix}/{source}", f"{prefix}/{target}"
        edge = EdgeDef(source=source, target=target, condition=condition, kind=kind)
        if prefix is None or edge not in self.topology.edges:
            self.topology.edges.append(edge)

    def _drawn(self, compiled: Any, prefix: str | None) -> None:
        drawn = compiled.get_graph()
        for name in drawn.nodes:
            if name not in (START, END):
                self._node(name, prefix, [])
        for edge in drawn.edges:
            condition = getattr(edge, "data", None)
            label = None if condition is None else str(condition)
            self._edge(edge.source, edge.target, label, "conditional" if edge.conditional else "static", prefix)


def ways(builder: Any) -> Iterator[tuple[str, str, str | None, str]]:
    """Every declared way of a graph builder: source, target, label, kind. Synthetic start and end are included."""
    # `edges` is a set: sorted, so that the same graph always reads the same.
    for source, target in sorted(builder.edges):
        yield source, target, None, "static"
    for sources, target in sorted(builder.waiting_edges):
        for source in sources:
            yield source, target, None, "join"
    for source, branches in builder.branches.items():
        for branch in branches.values():
            for label, target in (branch.ends or {}).items():
                yield source, target, str(label), "conditional"
    for name, spec in builder.nodes.items():
        ends = getattr(spec, "ends", None) or ()
        for target in ends:
            yield name, target, str(ends[target]) if isinstance(ends, Mapping) and ends[target] else None, "goto"
        handler = getattr(spec, "error_handler_node", None)
        if handler is not None:
            yield name, handler, None, "error"


def _tools_of(runnable: Any) -> list[str]:
    by_name = getattr(runnable, "tools_by_name", None)
    return [str(name) for name in by_name] if isinstance(by_name, Mapping) else []
