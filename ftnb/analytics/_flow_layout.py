"""Where the nodes of a directly-follows graph are drawn: as the widget draws a workflow's graph."""

from __future__ import annotations

from math import hypot
from typing import Any, cast

import polars as pl

from ..widget.layout import place_graph
from ..widget.protocol import Edge, Node

_START, _END = ("start",), ("end",)
Point = tuple[float, float]
_STRETCH = 1.2
"""Wider gaps than the widget's: an arrow has its count beside it."""


def placed(edges: pl.DataFrame, nodes: pl.DataFrame) -> dict[str, Any]:
    """`width`, `height`, `nodes` (name, or the one-element tuple of start and end, to x, y, width, height) and `edges`
    ((from, to) to the points of the line, its ends on the borders of the nodes)."""
    keys: list[Any] = [_START, *nodes.sort("n_starts", descending=True, maintain_order=True)["name"], _END]
    known = set(nodes["name"])
    lost = [name for side in ("from_name", "to_name") for name in edges[side].drop_nulls() if name not in known]
    keys += list(dict.fromkeys(lost))
    at = {key: place for place, key in enumerate(keys)}
    pairs = [(_START if a is None else a, _END if b is None else b)
             for a, b in zip(edges["from_name"], edges["to_name"], strict=True)]  # fmt: skip
    drawn = [(a, b) for a, b in pairs if a != b]
    place = place_graph(
        [cast(Node, {"name": _label(key), "label": _label(key), "kind": _kind(key), "parent": None}) for key in keys],
        [cast(Edge, {"source": at[a], "target": at[b], "kind": "static", "condition": None, "declared": True,
                     "taken": 1}) for a, b in drawn],
        across=True,
    )  # fmt: skip
    boxes: dict[Any, Any] = {}
    for key in keys:
        x, *others = place["nodes"][at[key]]
        boxes[key] = (x * _STRETCH, *others)
    lines: dict[Any, list[Point]] = {}
    for (a, b), flat in zip(drawn, place["edges"], strict=True):
        bends = [(x * _STRETCH, y) for x, y in zip(flat[::2], flat[1::2], strict=True)]
        lines[_as_names(a, b)] = _line(boxes[a], boxes[b], bends)
    for a, b in pairs:
        if a == b:
            lines[_as_names(a, b)] = _turn(boxes[a])
    return {"width": place["width"] * _STRETCH, "height": place["height"], "nodes": boxes, "edges": lines}


def _label(key: Any) -> str:
    return key[0] if isinstance(key, tuple) else str(key)


def _kind(key: Any) -> str:
    return key[0] if isinstance(key, tuple) else "step"


def _as_names(a: Any, b: Any) -> tuple[str | None, str | None]:
    return None if a == _START else a, None if b == _END else b


def _line(a: Any, b: Any, bends: list[Point]) -> list[Point]:
    inner = bends or [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)]
    return [_border(a, inner[0]), *inner, _border(b, inner[-1])]


def _border(box: Any, towards: Point) -> Point:
    """Where the line from the middle of a box to a point leaves the box."""
    x, y, width, height = box
    dx, dy = towards[0] - x, towards[1] - y
    if hypot(dx, dy) == 0:
        return x, y
    scale = min(width / 2 / abs(dx) if dx else float("inf"), height / 2 / abs(dy) if dy else float("inf"))
    return x + dx * scale, y + dy * scale


def _turn(box: Any) -> list[Point]:
    """A loop above a box, back into it."""
    x, y, _, height = box
    top = y - height / 2
    return [(x - 12, top), (x - 14, top - 16), (x, top - 24), (x + 14, top - 16), (x + 12, top)]
