"""An `EngagementDiff` as HTML that needs no script: a graph in two colours, and the steps of both, side by side."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from ..widget.layout import place_graph
from ._view import FAINT, STYLE

if TYPE_CHECKING:
    from ._diff import EngagementDiff, Pair

A, B, BOTH, PARTED = "#0072b2", "#d55e00", "#808080", "#cc79a7"
"""Colours that colour-blind readers tell apart (Okabe and Ito)."""
_SHOWN = 40
_WIDTH = 260.0


def diff_html(diff: EngagementDiff) -> str:
    """The whole view."""
    lines = diff.text.splitlines()
    head = "".join(f"<div>{escape(text)}</div>" for text in lines[:3])
    first = f'<pre style="margin:6px 0;white-space:pre-wrap"><b>{escape(chr(10).join(lines[3:]))}</b></pre>'
    legend = "".join(
        f'<span style="color:{color};margin-right:12px">■ {name}</span>'
        for color, name in ((BOTH, "in both, alike"), (PARTED, "in both, different"), (A, "only a"), (B, "only b"))
    )
    return f'<div style="{STYLE}">{head}{first}<div>{legend}</div>{graph_svg(diff)}{_table(diff)}</div>'


def graph_svg(diff: EngagementDiff) -> str:
    """The steps of both as a graph of nodes, with the ways that each took."""
    names: dict[str, set[str]] = {}
    ways: dict[tuple[str, str], set[str]] = {}
    for side, look in zip("ab", diff.looks, strict=True):
        for step in look.story.steps:
            names.setdefault(step.full, set()).add(side)
            for cause in step.triggers:
                if cause in look.story.by_id:
                    ways.setdefault((look.story.by_id[cause].full, step.full), set()).add(side)
    if not names or len(names) > 60:
        return ""
    parted = {pair.row.step.full for pair in diff if pair.side == "both" and not pair.same}
    at = {name: number for number, name in enumerate(names)}
    nodes: list[Any] = [_node(name) for name in names]
    edges: list[Any] = [_edge(at[one], at[other]) for one, other in ways]
    placed = place_graph(nodes, edges, across=True)
    body = [_way(placed["edges"][number], placed["nodes"], edges[number], ways[way]) for number, way in enumerate(ways)]
    body += [_box(name, placed["nodes"][at[name]], _color(names[name], name in parted)) for name in names]
    width, height = placed["width"], placed["height"]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Steps of both" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui,sans-serif" '
        f'font-size="12" fill="currentColor" style="max-width:100%;display:block;margin:8px 0">{"".join(body)}</svg>'
    )


def _node(name: str) -> dict[str, Any]:
    return {
        "name": name, "label": name, "kind": "step", "parent": None, "is_global": False, "is_goal": False,
        "declared": True, "n_steps": 1, "n_visits": 1, "status": None, "total_tokens": 0, "duration_ms": 0.0,
        "n_failing": 0, "tools": [],
    }  # fmt: skip


def _edge(source: int, target: int) -> dict[str, Any]:
    return {"source": source, "target": target, "kind": "static", "condition": None, "declared": True, "taken": 1}


def _color(sides: set[str], parted: bool) -> str:
    if len(sides) == 2:
        return PARTED if parted else BOTH
    return A if "a" in sides else B


def _box(name: str, place: list[float], color: str) -> str:
    x, y, width, height = place
    shown = name if len(name) <= 22 else f"{name[:10]}…{name[-10:]}"
    return (
        f'<rect x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6" '
        f'fill="{color}" fill-opacity=".15" stroke="{color}" stroke-width="2"/>'
        f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle">{escape(shown)}<title>{escape(name)}</title></text>'
    )


def _way(bends: list[float], places: list[list[float]], edge: dict[str, Any], sides: set[str]) -> str:
    source, target = places[edge["source"]], places[edge["target"]]
    start, end = (source[0] + source[2] / 2, source[1]), (target[0] - target[2] / 2, target[1])
    inner = list(zip(bends[::2], bends[1::2], strict=True))
    if target[0] <= source[0] and inner:  # a way back leaves and enters on the side of its bow
        sign = 1 if inner[0][1] > source[1] else -1
        start, end = (source[0], source[1] + sign * source[3] / 2), (target[0], target[1] + sign * target[3] / 2)
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in [start, *inner, end])
    color = _color(sides, parted=False)
    dash = ' stroke-dasharray="5 3"' if sides == {"b"} else ""
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"{dash}/>'


def _table(diff: EngagementDiff) -> str:
    """The steps of both side by side, around the first that differs, with their times as bars on one scale."""
    first = next((at for at, pair in enumerate(diff) if not pair.same), 0)
    begin = max(first - 8, 0) if len(diff) > _SHOWN else 0
    pairs = diff[begin : begin + _SHOWN]
    scale = _WIDTH / max([step.duration_us or 0 for pair in pairs for step in (pair.row.a, pair.row.b) if step] + [1])
    rows = "".join(_row(pair, scale) for pair in pairs)
    before = f'<div style="{FAINT}">… {begin:,} steps before</div>' if begin else ""
    left = len(diff) - begin - len(pairs)
    after = f'<div style="{FAINT}">… {left:,} steps after; .frame() has all</div>' if left else ""
    return f"{before}<table>{rows}</table>{after}"


def _row(pair: Pair, scale: float) -> str:
    both = pair.side == "both" or pair.same  # before a fork, both have it behind them
    color = _color({"a", "b"} if both else {pair.side}, not pair.same)
    bars = "".join(_bar(step, side, scale) for step, side in ((pair.row.a, A), (pair.row.b, B)))
    return (
        f'<tr><td style="text-align:left;border-left:4px solid {color};padding:1px 12px 1px 6px">'
        f'{escape(pair.label)}</td><td style="text-align:left;padding-right:12px">{escape(", ".join(pair.what))}</td>'
        f'<td style="text-align:left">{bars}</td></tr>'
    )


def _bar(step: Any, color: str, scale: float) -> str:
    if step is None or step.duration_us is None:
        return '<div style="height:7px"></div>'
    width = max(step.duration_us * scale, 2)
    return (
        f'<div style="height:6px;margin:1px 0;width:{width:.0f}px;background:{color}" '
        f'title="{step.duration_us / 1000:,.1f} ms"></div>'
    )
