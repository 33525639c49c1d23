"""Layered drawing of a directed graph (after Sugiyama): pure, deterministic, without dependencies.

Nodes are 0 … n-1. The *main* axis runs along the flow, the *cross* axis beside it. Cycles are cut at the edges
that lead back, long edges bend around the nodes between, and the order within a layer is chosen to cross few edges.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from ._ranks import assign_layers, cut_cycles

Point = tuple[float, float]
_SWEEPS, _SWEEPS_LARGE, _LARGE = 8, 2, 5_000
"""Passes over the layers; fewer over a graph that nobody can read node by node anyway."""
_LANE = 10.0
"""Cross size of the lane that a long edge takes between the nodes of a layer."""
_LANE_GAP = 0.3
"""Share of the usual gap that is left between two lanes."""
_LANE_WEIGHT = 0.15
"""How hard a bend of a long edge pulls at its neighbours, beside a node."""


@dataclass
class LayeredGraph:
    """What is to be drawn: sizes of the nodes along both axes, and edges between them."""

    main: list[float]
    cross: list[float]
    edges: list[tuple[int, int]]
    gap_main: float
    gap_cross: float
    last: set[int] = field(default_factory=set)
    """Nodes that belong behind all others."""


@dataclass
class LayeredPlacement:
    """Where it is drawn, as (main, cross) from the upper left corner."""

    length: float
    breadth: float
    centres: list[Point]
    bends: list[list[Point]]
    """Per edge, the points between its ends, from source to target."""


def place_layers(graph: LayeredGraph) -> LayeredPlacement:
    """Draw `graph`; every node must be touched by an edge for a good picture, but need not."""
    forward = cut_cycles(len(graph.main), graph.edges)
    layer = assign_layers(len(graph.main), forward, graph.last)
    mesh = _Mesh(graph, forward, layer)
    mesh.order()
    mesh.spread()
    return mesh.placement()


class _Mesh:
    """Nodes and the bends of long edges ("points"), layer by layer."""

    def __init__(self, graph: LayeredGraph, forward: Sequence[tuple[int, int]], layer: list[int]) -> None:
        self._graph = graph
        self._layer = list(layer)
        self._cross_size = list(graph.cross)
        self._before: defaultdict[int, list[int]] = defaultdict(list)
        self._after: defaultdict[int, list[int]] = defaultdict(list)
        self._chains = [self._chain(source, target) for source, target in forward]
        self._forward = forward
        self._layers: list[list[int]] = [[] for _ in range(max(self._layer, default=0) + 1)]
        for point, at in enumerate(self._layer):
            self._layers[at].append(point)
        self._cross = [0.0] * len(self._layer)
        self._sweeps = _SWEEPS if len(self._layer) < _LARGE else _SWEEPS_LARGE

    def _chain(self, source: int, target: int) -> list[int]:
        chain, previous = [], source
        for at in range(self._layer[source] + 1, self._layer[target]):
            point = len(self._layer)
            self._layer.append(at)
            self._cross_size.append(_LANE)
            chain.append(point)
            self._join(previous, point)
            previous = point
        self._join(previous, target)
        return chain

    def _join(self, source: int, target: int) -> None:
        self._after[source].append(target)
        self._before[target].append(source)

    def order(self) -> None:
        """Sort each layer by the mean place of its neighbours, to and fro, and keep the best order seen."""
        self._place = [0.0] * len(self._layer)
        for layer in self._layers:
            self._number(layer)
        best, fewest = [list(layer) for layer in self._layers], self._crossings()
        for sweep in range(self._sweeps):
            if not fewest:
                break
            down = sweep % 2 == 0
            neighbours = self._before if down else self._after
            for at in range(len(self._layers)) if down else reversed(range(len(self._layers))):
                self._sort(at, neighbours)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self._layers], crossings
        self._layers = best

    def _sort(self, at: int, neighbours: dict[int, list[int]]) -> None:
        place = self._place

        def mean(point: int) -> float:
            near = neighbours.get(point)
            return sum(place[n] for n in near) / len(near) if near else place[point]

        self._layers[at].sort(key=mean)
        self._number(self._layers[at])

    def _number(self, layer: list[int]) -> None:
        for at, point in enumerate(layer):
            self._place[point] = at

    def _crossings(self) -> int:
        """How many pairs of edges cross between neighbouring layers."""
        total = 0
        for layer, following in zip(self._layers, self._layers[1:], strict=False):
            place = {point: i for i, point in enumerate(following)}
            ends: list[int] = []
            for point in layer:
                own = sorted(place[t] for t in self._after[point] if t in place)
                total += sum(len(ends) - bisect_right(ends, end) for end in own)
                for end in own:
                    insort(ends, end)
        return total

    def spread(self) -> None:
        """Place the points of each layer near their neighbours, in their order and without overlap."""
        for layer in self._layers:
            at = 0.0
            for point in layer:
                self._cross[point] = at + self._cross_size[point] / 2
                at += self._cross_size[point] + self._graph.gap_cross
        for sweep in range(self._sweeps):
            down = sweep % 2 == 0
            for layer in self._layers if down else reversed(self._layers):
                wanted = [self._mean_cross(point, down) for point in layer]
                for point, cross in zip(layer, _separate(wanted, self._distances(layer)), strict=True):
                    self._cross[point] = cross

    def _distances(self, layer: list[int]) -> list[float]:
        """Least distance of each point from the one before it, centre to centre; lanes may run close together."""
        n_nodes = len(self._graph.main)
        distances = [0.0] * len(layer)
        for at in range(1, len(layer)):
            one, other = layer[at - 1], layer[at]
            gap = self._graph.gap_cross * (_LANE_GAP if one >= n_nodes and other >= n_nodes else 1.0)
            distances[at] = (self._cross_size[one] + self._cross_size[other]) / 2 + gap
        return distances

    def _mean_cross(self, point: int, down: bool) -> float:
        near = (self._before if down else self._after)[point] or (self._after if down else self._before)[point]
        if not near:
            return self._cross[point]
        # Neighbours that are nodes pull harder, so that the main path runs straight and the long ways round it bend.
        n_nodes = len(self._graph.main)
        weights = [1.0 if n < n_nodes else _LANE_WEIGHT for n in near]
        return sum(self._cross[n] * w for n, w in zip(near, weights, strict=True)) / sum(weights)

    def placement(self) -> LayeredPlacement:
        graph, n = self._graph, len(self._graph.main)
        thickness = [max((graph.main[p] for p in layer if p < n), default=_LANE) for layer in self._layers]
        middles, at = [], 0.0
        for size in thickness:
            middles.append(at + size / 2)
            at += size + graph.gap_main
        edges_of = [(self._cross[p] - s / 2, self._cross[p] + s / 2) for p, s in enumerate(self._cross_size)]
        low = min((low for low, _ in edges_of), default=0.0)
        points = [(middles[self._layer[p]], self._cross[p] - low) for p in range(len(self._layer))]
        bends = []
        for edge, ahead, chain in zip(graph.edges, self._forward, self._chains, strict=True):
            path = [points[p] for p in chain]
            if edge != ahead:
                path = path[::-1] or self._side_step(edge, points)
            bends.append(path)
        breadth = max((high for _, high in edges_of), default=0.0) - low
        return LayeredPlacement(at - graph.gap_main, breadth, points[:n], bends)

    def _side_step(self, edge: tuple[int, int], points: Sequence[Point]) -> list[Point]:
        """A way back between neighbouring layers bows out, so that it does not lie on the way there."""
        (m0, c0), (m1, c1) = points[edge[0]], points[edge[1]]
        bow = (self._cross_size[edge[0]] + self._cross_size[edge[1]]) / 4 + self._graph.gap_cross / 2
        return [((m0 + m1) / 2, (c0 + c1) / 2 + bow)]


def _separate(wanted: Iterable[float], distances: Iterable[float]) -> list[float]:
    """The places nearest to `wanted` (least squares) that keep order and distances: pool adjacent violators."""
    shifts = list(accumulate(distances))
    pools: list[tuple[float, int]] = []
    for want, shift in zip(wanted, shifts, strict=True):
        total, count = want - shift, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    means = [total / count for total, count in pools for _ in range(count)]
    return [mean + shift for mean, shift in zip(means, shifts, strict=True)]
