"""Many engagements as one graph with numbers: what the browser draws as a process map. Pure.

The numbers are given, not reckoned here: `analytics.directly_follows(…)` has them as `.nodes()` and `.frame()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import InvalidArgumentError
from .layout import layout_graph
from .protocol import PROTOCOL_VERSION, MapEdge, MapGroup, MapNode, MapNumbers, NodeKind, ProcessMapPayload

Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class MapSource:
    """One group of engagements. `nodes` and `edges` are frames (with `to_dicts`, or pandas) or rows."""

    name: str
    n_engagements: int
    nodes: Any
    """`name`, `n_visits`, `n_engagements`; and, where known, `n_dropped`, `median_ms`, `total_tokens`, `cost`,
    `declared` (False: it is in no graph)."""
    edges: Any
    """`from_name` (None: the start), `to_name` (None: the end), `n`, `n_engagements`; and, where known, `median_ms`,
    `total_tokens`, `cost`, `declared`."""


def process_map_payload(
    *sources: MapSource,
    title: str = "",
    currency: str = "",
    goal_nodes: Iterable[str] = (),
    global_nodes: Iterable[str] = (),
) -> ProcessMapPayload:
    """What the view of a process map needs: of one group, or of two and their difference (second less first).

    `currency` is written behind costs. Raises InvalidArgumentError for no source or more than two, and for rows
    without a column that is needed.
    """
    if not 1 <= len(sources) <= 2:
        raise InvalidArgumentError(f"a process map shows one group of engagements or two, not {len(sources)}")
    builder = _Builder(len(sources), set(goal_nodes), set(global_nodes))
    for side, source in enumerate(sources):
        for row in _rows(source.nodes):
            builder.count_node(side, row)
        for row in _rows(source.edges):
            builder.count_edge(side, row)
    return ProcessMapPayload(
        v=PROTOCOL_VERSION,
        kind="process_map",
        title=title,
        currency=currency,
        groups=[MapGroup(name=source.name, n_engagements=source.n_engagements) for source in sources],
        nodes=builder.nodes,
        edges=builder.edges,
        layout=layout_graph(builder.nodes, builder.edges, spread=2.4),
    )


class _Builder:
    """Nodes and edges by name; names are looked up in dicts and never used as keys of what is sent."""

    def __init__(self, n_groups: int, goals: set[str], globals_: set[str]) -> None:
        self._n_groups, self._goals, self._globals = n_groups, goals, globals_
        self.nodes: list[MapNode] = []
        self.edges: list[MapEdge] = []
        self._node_at: dict[tuple[NodeKind, str], int] = {}
        self._edge_at: dict[tuple[int, int], int] = {}

    def count_node(self, side: int, row: Mapping[str, Any]) -> None:
        """Write the numbers of one node of one group."""
        name = _needed(row, "name")
        node = self.nodes[self._node("step", str(name))]
        node["numbers"][side] = _numbers(row, _needed(row, "n_visits"))
        node["declared"] = bool(row.get("declared", True))

    def count_edge(self, side: int, row: Mapping[str, Any]) -> None:
        """Write the numbers of one edge of one group."""
        source, target = _needed(row, "from_name"), _needed(row, "to_name")
        ends = (
            self._node("start", "") if source is None else self._node("step", str(source)),
            self._node("end", "") if target is None else self._node("step", str(target)),
        )
        if ends not in self._edge_at:
            self._edge_at[ends] = len(self.edges)
            numbers = [_numbers({}, 0) for _ in range(self._n_groups)]
            self.edges.append(MapEdge(source=ends[0], target=ends[1], kind="follows", declared=True, numbers=numbers))
        edge = self.edges[self._edge_at[ends]]
        edge["numbers"][side] = _numbers(row, _needed(row, "n"))
        edge["declared"] = bool(row.get("declared", True))

    def _node(self, kind: NodeKind, name: str) -> int:
        if (kind, name) not in self._node_at:
            self._node_at[kind, name] = len(self.nodes)
            self.nodes.append(
                MapNode(
                    name=name,
                    label=name,
                    kind=kind,
                    parent=None,
                    is_global=name in self._globals,
                    is_goal=kind == "step" and name in self._goals,
                    declared=True,
                    numbers=[_numbers({}, 0) for _ in range(self._n_groups)],
                )
            )
        return self._node_at[kind, name]


def _needed(row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        raise InvalidArgumentError(f"a row of a process map needs {column!r}; it has: {', '.join(map(str, row))}")
    return _value(row[column])


def _numbers(row: Mapping[str, Any], n: Any) -> MapNumbers:
    duration, cost = _value(row.get("median_ms")), _value(row.get("cost"))
    return MapNumbers(
        n=int(n or 0),
        n_engagements=int(_value(row.get("n_engagements")) or 0),
        n_dropped=int(_value(row.get("n_dropped")) or 0),
        duration_ms=None if duration is None else round(float(duration), 3),
        total_tokens=int(_value(row.get("total_tokens")) or 0),
        cost=None if cost is None else float(cost),
    )


def _value(value: Any) -> Any:
    """None for what pandas writes for a missing value."""
    return None if isinstance(value, float) and value != value else value


def _rows(source: Any) -> Sequence[Mapping[str, Any]]:
    if hasattr(source, "to_dicts"):
        return list(source.to_dicts())
    if hasattr(source, "to_dict") and hasattr(source, "columns"):
        return list(source.to_dict("records"))
    return list(source)
