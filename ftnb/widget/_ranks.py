"""Which layer of a layered drawing each node belongs to, cycles cut where they return. Nodes are 0 … n-1."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence


def cut_cycles(n: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The edges, those that lead back turned round.

    Edges that lead away from the sources are kept first; any other is kept unless it closes a cycle. So a loop is cut
    where it returns, wherever a walk would have met it.
    """
    depth = _depths(n, edges)
    kept: defaultdict[int, list[int]] = defaultdict(list)
    uncertain = []
    for source, target in edges:
        if depth[target] > depth[source]:
            kept[source].append(target)
        else:
            uncertain.append((source, target))
    back = set()
    for source, target in sorted(uncertain, key=lambda edge: depth[edge[0]] - depth[edge[1]]):
        if _reaches(kept, target, source):
            back.add((source, target))
            kept[target].append(source)
        else:
            kept[source].append(target)
    return [(t, s) if (s, t) in back else (s, t) for s, t in edges]


def _depths(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Fewest edges from a source; in a part without sources, from its first node."""
    following = defaultdict(list)
    for source, target in edges:
        following[source].append(target)
    entered = {target for _, target in edges}
    depth = [-1] * n
    nodes = range(len(depth))
    queue = [node for node in nodes if node not in entered]
    for node in queue:
        depth[node] = 0
    for root in (-1, *nodes):
        if root >= 0 and depth[root] < 0:
            depth[root] = 0
            queue = [root]
        for node in queue:
            for target in following[node]:
                if depth[target] < 0:
                    depth[target] = depth[node] + 1
                    queue.append(target)
        queue = []
    return depth


def _reaches(following: dict[int, list[int]], start: int, goal: int) -> bool:
    seen, stack = {start}, [start]
    while stack:
        node = stack.pop()
        if node == goal:
            return True
        fresh = [target for target in following.get(node, ()) if target not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return False


def assign_layers(n: int, forward: Sequence[tuple[int, int]], last: set[int]) -> list[int]:
    """Longest path from the sources; sources then move up to what they lead to."""
    following, leading, missing = defaultdict(list), defaultdict(list), [0] * n
    for source, target in forward:
        following[source].append(target)
        leading[target].append(source)
        missing[target] += 1
    layer = [0] * n
    ready = [node for node in range(n) if not missing[node]]
    for node in ready:
        for target in following[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    for node in range(n):
        if following[node] and not leading[node]:
            layer[node] = min(layer[target] for target in following[node]) - 1
    for node in last:
        layer[node] = max(layer)
    return layer
