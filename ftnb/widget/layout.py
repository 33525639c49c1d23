"""Where the nodes of a workflow graph are drawn: layer by layer, the same picture for the same topology.

One layout serves the static picture and the browser. Subgraphs are laid out first and then placed as one large node.
Only declared edges (and those of undeclared nodes) move nodes, so that two runs of one workflow look alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from ._layers import LayeredGraph, place_layers
from .protocol import Layout, NodeKind, Placement

NODE_HEIGHT = 36.0
_DOT = 14.0
_MIN_WIDTH, _MAX_WIDTH = 68.0, 184.0
_CHAR_WIDTH = 7.2
_LABEL_MARGIN = 36.0
"""Room for the status icon before the label."""
_PAD = 14.0
_TITLE = 18.0
_GAP_MAIN_ACROSS, _GAP_MAIN_DOWN = 26.0, 26.0
_GAP_CROSS_ACROSS, _GAP_CROSS_DOWN = 28.0, 24.0
_BOW = 26.0
_MANY = 400
"""From here on a second layout costs more time than its better shape is worth."""


class Box(TypedDict):
    """What the layout asks of a node; `protocol.Node` and its kin have more."""

    label: str
    kind: NodeKind
    parent: int | None
    declared: bool


class Way(TypedDict):
    """What the layout asks of an edge."""

    source: int
    target: int
    declared: bool


def layout_graph(nodes: Sequence[Box], edges: Sequence[Way], *, spread: float = 1.0) -> Layout:
    """Positions of all nodes and bends of all edges, in both directions; of a very large graph in one, for both.

    `spread` makes the gaps wider, as for labels on edges.
    """
    across = place_graph(nodes, edges, across=True, spread=spread)
    if len(nodes) > _MANY:
        return Layout(across=across, down=across)
    return Layout(across=across, down=place_graph(nodes, edges, across=False, spread=spread))


def place_graph(nodes: Sequence[Box], edges: Sequence[Way], *, across: bool, spread: float = 1.0) -> Placement:
    """One layout; `across` runs left to right, otherwise top to bottom."""
    return _Placer(nodes, edges, across, spread).place()


@dataclass
class _Block:
    """Some nodes laid out together, relative to the block's upper left corner."""

    width: float = 0.0
    height: float = 0.0
    centres: dict[int, tuple[float, float]] = field(default_factory=dict)
    bends: dict[int, list[tuple[float, float]]] = field(default_factory=dict)

    def put(self, other: _Block, dx: float, dy: float) -> None:
        for node, (x, y) in other.centres.items():
            self.centres[node] = (x + dx, y + dy)
        for edge, points in other.bends.items():
            self.bends[edge] = [(x + dx, y + dy) for x, y in points]


class _Placer:
    def __init__(self, nodes: Sequence[Box], edges: Sequence[Way], across: bool, spread: float) -> None:
        self._nodes, self._edges, self._across, self._spread = nodes, edges, across, spread
        self._children: defaultdict[int | None, list[int]] = defaultdict(list)
        for index, node in enumerate(nodes):
            self._children[node["parent"]].append(index)
        self._sizes = [_leaf_size(node) for node in nodes]

    def place(self) -> Placement:
        block = self._place_level(None)
        nodes = []
        for index in range(len(self._nodes)):
            x, y = block.centres[index]
            nodes.append([round(v, 1) for v in (x, y, *self._sizes[index])])
        edges = [self._bends(index, block) for index in range(len(self._edges))]
        return Placement(width=round(block.width, 1), height=round(block.height, 1), nodes=nodes, edges=edges)

    def _bends(self, index: int, block: _Block) -> list[float]:
        points = block.bends.get(index)
        if points is None:
            points = self._bow(index, block)
        return [round(value, 1) for point in points for value in point]

    def _bow(self, index: int, block: _Block) -> list[tuple[float, float]]:
        """One bend beside the straight line, for edges that the layers left no room for."""
        edge = self._edges[index]
        if edge["source"] == edge["target"]:
            return []
        (x0, y0), (x1, y1) = block.centres[edge["source"]], block.centres[edge["target"]]
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1.0)
        bow = max(_BOW, length * 0.12)
        return [((x0 + x1) / 2 - (y1 - y0) / length * bow, (y0 + y1) / 2 + (x1 - x0) / length * bow)]

    def _place_level(self, parent: int | None) -> _Block:
        """Lay out the children of `parent`; those with children of their own come first, as large nodes."""
        members = self._children[parent]
        inner: dict[int, _Block] = {}
        for member in members:
            if self._children[member]:
                block = inner[member] = self._place_level(member)
                width, height = block.width + 2 * _PAD, block.height + 2 * _PAD + _TITLE
                self._sizes[member] = (max(width, self._sizes[member][0]), height)
        level = _Block()
        for component, edges in self._components(members):
            self._stack(level, self._place_component(component, edges))
        for member, block in inner.items():
            (x, y), (width, height) = level.centres[member], self._sizes[member]
            level.put(block, x - block.width / 2, y - height / 2 + _PAD + _TITLE)
        return level

    def _stack(self, level: _Block, block: _Block) -> None:
        """Put `block` beside what `level` holds already, across the direction of flow."""
        gap = _GAP_CROSS_ACROSS * 1.5 if level.centres else 0.0
        if self._across:
            level.put(block, 0.0, level.height + gap)
            level.width, level.height = max(level.width, block.width), level.height + gap + block.height
        else:
            level.put(block, level.width + gap, 0.0)
            level.width, level.height = level.width + gap + block.width, max(level.height, block.height)

    def _components(self, members: list[int]) -> list[tuple[list[int], dict[int, tuple[int, int]]]]:
        """Connected parts of a level with their edges {edge: (source, target)}; lone nodes are gathered in one part."""
        inside = set(members)
        lifted = {}
        root = {member: member for member in members}

        def find(node: int) -> int:
            while root[node] != node:
                root[node] = root[root[node]]
                node = root[node]
            return node

        for index, edge in enumerate(self._edges):
            ends = self._lift(edge["source"], inside), self._lift(edge["target"], inside)
            if ends[0] is None or ends[1] is None or not self._moves_nodes(edge):
                continue
            lifted[index] = (ends[0], ends[1])
            a, b = find(ends[0]), find(ends[1])
            root[max(a, b)] = min(a, b)
        parts: defaultdict[int, list[int]] = defaultdict(list)
        for member in members:
            parts[find(member)].append(member)
        alone = [part[0] for part in parts.values() if len(part) == 1]
        whole = [part for part in parts.values() if len(part) > 1]
        result = []
        for part in [*whole, alone] if alone else whole:
            own = set(part)
            result.append((part, {i: ends for i, ends in lifted.items() if ends[0] in own}))
        return result

    def _moves_nodes(self, edge: Way) -> bool:
        ends = self._nodes[edge["source"]], self._nodes[edge["target"]]
        return edge["declared"] or not all(node["declared"] for node in ends)

    def _lift(self, node: int, inside: set[int]) -> int | None:
        """The member of this level that is `node` or holds it."""
        at: int | None = node
        while at is not None and at not in inside:
            at = self._nodes[at]["parent"]
        return at

    def _place_component(self, members: list[int], edges: dict[int, tuple[int, int]]) -> _Block:
        graph = LayeredGraph(
            main=[self._sizes[m][0 if self._across else 1] for m in members],
            cross=[self._sizes[m][1 if self._across else 0] for m in members],
            edges=[],
            gap_main=self._spread * (_GAP_MAIN_ACROSS if self._across else _GAP_MAIN_DOWN),
            gap_cross=self._spread * (_GAP_CROSS_ACROSS if self._across else _GAP_CROSS_DOWN),
            last={at for at, member in enumerate(members) if self._nodes[member]["kind"] == "end"},
        )
        position = {member: at for at, member in enumerate(members)}
        shown = [index for index, (source, target) in edges.items() if source != target]
        graph.edges = [(position[edges[i][0]], position[edges[i][1]]) for i in shown]
        if not shown:
            return self._row(members)
        placed = place_layers(graph)

        def turn(main: float, cross: float) -> tuple[float, float]:
            return (main, cross) if self._across else (cross, main)

        block = _Block(*turn(placed.length, placed.breadth))
        for at, member in enumerate(members):
            block.centres[member] = turn(*placed.centres[at])
        for at, index in enumerate(shown):
            edge = self._edges[index]
            # Only where both ends are on this level do the bends lead from one to the other.
            if (edge["source"], edge["target"]) == edges[index]:
                block.bends[index] = [turn(*point) for point in placed.bends[at]]
        return block

    def _row(self, members: list[int]) -> _Block:
        """Nodes that no edge joins, side by side along the flow."""
        block, at = _Block(), 0.0
        for member in members:
            width, height = self._sizes[member]
            size = width if self._across else height
            centre = at + size / 2
            block.centres[member] = (centre, height / 2) if self._across else (width / 2, centre)
            at += size + _GAP_CROSS_ACROSS
            block.width = at - _GAP_CROSS_ACROSS if self._across else max(block.width, width)
            block.height = max(block.height, height) if self._across else at - _GAP_CROSS_ACROSS
        return block


def _leaf_size(node: Box) -> tuple[float, float]:
    if node["kind"] != "step":
        return _DOT, _DOT
    width = len(node["label"]) * _CHAR_WIDTH + _LABEL_MARGIN
    return min(max(width, _MIN_WIDTH), _MAX_WIDTH), NODE_HEIGHT
