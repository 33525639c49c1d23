"""Graph and timeline as plain SVG: no script, no style sheet, no outside reference, colours for light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from html import escape

from .protocol import Edge, EngagementPayload, Lane, Node, Placement, StepRow, Timeline

_WIDTH = 760.0
_LANE = 15.0
_GUTTER = 150.0
_MAX_NODES = 60
_IDLE_SHARE = 0.07

# Okabe-Ito, dark enough for white and light enough for black.
STATUS_COLORS = {
    "completed": "#2a8fcb",
    "running": "#d08c00",
    "active": "#d08c00",
    "failed": "#d9601a",
    "waiting": "#16a079",
    "paused": "#16a079",
}
OTHER_COLOR = "#8a8a8a"
_SIGNS = {"completed": "✓", "running": "▸", "failed": "✕", "waiting": "‖", "cancelled": "⊘", "skipped": "»"}
BETWEEN = " · "
"""Between texts, where SVG draws none: it is read where a viewer left out the drawing and kept its texts, as notebooks
do with outputs that are not trusted."""


def duration_text(ms: float) -> str:
    """As "320 ms", "1.24 s", "2 min 5 s", "1 h 3 min"."""
    if ms < 1_000:
        return f"{ms:.0f} ms" if ms >= 10 or ms < 0.05 else f"{ms:.1f} ms"
    seconds = ms / 1_000
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def graph_svg(payload: EngagementPayload) -> str:
    """The workflow graph; a note instead where it is too large to be read."""
    nodes, edges, place = payload["nodes"], payload["edges"], payload["layout"]["across"]
    if not nodes:
        return ""
    if len(nodes) > _MAX_NODES:
        return f"<p>The graph of {len(nodes)} nodes is left out of this static picture.</p>"
    if place["width"] > 2.2 * _WIDTH:
        place = payload["layout"]["down"]
    width, height = place["width"] + 8, place["height"] + 24
    scale = min(_WIDTH / width, 420.0 / height, 1.0)
    body = [_edge_svg(edge, place, index) for index, edge in enumerate(edges)]
    parents = {node["parent"] for node in nodes}
    for index, node in enumerate(nodes):
        body.append(_node_svg(node, place["nodes"][index], is_group=index in parents))
    # Several pictures share one page, and the first of them may be hidden: a marker of its own for each.
    name = f"ftnb-{sha256(payload['engagement']['id'].encode()).hexdigest()[:10]}"
    arrow = f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
    arrow += f'<path d="M0 0 8 4 0 8z" fill="{OTHER_COLOR}"/></marker>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Workflow graph" width="{width * scale:.0f}" '
        f'height="{height * scale:.0f}" viewBox="-4 -14 {width:.0f} {height:.0f}" font-family="system-ui,sans-serif" '
        f'font-size="12.5" text-anchor="middle" style="max-width:100%;display:block">'
        f'<defs>{arrow}</defs><g fill="none" stroke="{OTHER_COLOR}" marker-end="url(#{name})">'
        f"{''.join(body[: len(edges)])}</g>{''.join(body[len(edges) :])}</svg>"
    )


def _node_svg(node: Node, box: Sequence[float], *, is_group: bool) -> str:
    x, y, w, h = box
    if node["kind"] != "step":
        fill = OTHER_COLOR if node["kind"] == "start" else "none"
        return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="6" fill="{fill}" stroke="{OTHER_COLOR}" stroke-width="2"/>'
    visited = node["n_steps"] > 0
    color = STATUS_COLORS.get(node["status"] or "", OTHER_COLOR)
    dash = ' stroke-dasharray="5 3"' if not node["declared"] else ""
    strength = "3" if node["n_failing"] else "1.6" if visited else "1"
    stroke = STATUS_COLORS["failed"] if node["n_failing"] else color
    corner = "2" if node["is_global"] else "8"
    label = node["label"] if len(node["label"]) <= 22 else node["label"][:21] + "…"
    sign = _SIGNS.get(node["status"] or "", "")
    text = f"{sign} {label}" if sign else label
    text_y = y - h / 2 + 14 if is_group else y + 4.5
    opacity = "" if visited else ' opacity=".6"'
    return (
        f'<g{opacity}><rect x="{x - w / 2:.0f}" y="{y - h / 2:.0f}" width="{w:.0f}" height="{h:.0f}" rx="{corner}" '
        f'fill="{color}" fill-opacity="{".12" if visited else "0"}" stroke="{stroke}" stroke-width="{strength}"{dash}/>'
        f'<text x="{x:.0f}" y="{text_y:.0f}" fill="currentColor">{escape(text)}</text>'
        f"{_badge_svg(node['n_visits'], x + w / 2, y - h / 2, color)}</g>{BETWEEN}"
    )


def _badge_svg(n_visits: int, right: float, top: float, color: str) -> str:
    """How often a node ran, on its upper right corner; beside its label there may be no room."""
    if n_visits < 2:
        return ""
    text = f"×{n_visits}"
    width = 10 + 6.5 * len(text)
    return (
        f'<rect x="{right + 8 - width:.0f}" y="{top - 8:.0f}" width="{width:.0f}" height="16" rx="8" fill="{color}"/>'
        f'<text x="{right + 8 - width / 2:.0f}" y="{top + 4:.0f}" font-size="10.5" fill="#fff">{text}</text>'
    )


def _edge_svg(edge: Edge, place: Placement, index: int) -> str:
    (x0, y0, w0, h0), (x1, y1, w1, h1) = place["nodes"][edge["source"]], place["nodes"][edge["target"]]
    bends = place["edges"][index]
    points = list(zip(bends[::2], bends[1::2], strict=True))
    if edge["source"] == edge["target"]:
        top = y0 - h0 / 2
        path = (
            f"M{x0 - 9:.0f} {top:.0f}C{x0 - 22:.0f} {top - 18:.0f} {x0 + 22:.0f} {top - 18:.0f} {x0 + 9:.0f} {top:.0f}"
        )
    else:
        start = _leave((x0, y0), (w0, h0), points[0] if points else (x1, y1))
        end = _leave((x1, y1), (w1, h1), points[-1] if points else (x0, y0))
        path = _curve([start, *points, end])
    if not edge["taken"]:
        return f'<path d="{path}" stroke-dasharray="2 4" opacity=".7"/>'
    failed = "" if edge["declared"] else f' stroke="{STATUS_COLORS["failed"]}" stroke-dasharray="7 4"'
    return f'<path d="{path}" stroke-width="1.7"{failed}/>'


def _leave(centre: tuple[float, float], size: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Where a line from the centre of a box leaves it."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    reach = max(abs(dx) / (size[0] / 2), abs(dy) / (size[1] / 2), 1e-9)
    share = min((1 / reach) * 1.02, 1.0)
    return centre[0] + dx * share, centre[1] + dy * share


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A smooth path that bends at the inner points."""
    path = f"M{points[0][0]:.0f} {points[0][1]:.0f}"
    inner = points[1:-1]
    for at, (x, y) in enumerate(inner):
        last = at == len(inner) - 1
        nx, ny = points[-1] if last else ((x + inner[at + 1][0]) / 2, (y + inner[at + 1][1]) / 2)
        path += f"Q{x:.0f} {y:.0f} {nx:.0f} {ny:.0f}"
    return path if inner else f"{path}L{points[-1][0]:.0f} {points[-1][1]:.0f}"


def timeline_svg(payload: EngagementPayload, shown: Sequence[int | None]) -> str:
    """Lanes of the steps in `shown` (None: some are left out here); long idle stretches are drawn short."""
    timeline = payload["timeline"]
    if not timeline["lanes"]:
        return "<p>No step has been recorded yet.</p>"
    lanes = {lane["step"]: lane for lane in timeline["lanes"]}
    scale = _TimeScale(timeline)
    height = len(shown) * _LANE + 4
    body = []
    for start, end in timeline["idle"]:
        left, right = scale.x(start), scale.x(end)
        body.append(
            f'<rect x="{left:.0f}" y="0" width="{right - left:.0f}" height="{height:.0f}" fill-opacity=".1">'
            f"<title>{duration_text(end - start)} later</title></rect>"
        )
    for row, index in enumerate(shown):
        if index is None:
            body.append(f'<text y="{row * _LANE + 11:.0f}" fill="{OTHER_COLOR}">…</text>')
        else:
            body.append(_lane_svg(payload["steps"][index], lanes[index], row * _LANE, scale))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Timeline" width="{_WIDTH:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" font-family="system-ui,sans-serif" '
        f'font-size="11" fill="currentColor" style="max-width:100%;display:block;margin-top:8px">{"".join(body)}</svg>'
    )


class _TimeScale:
    """Milliseconds to pixels, each idle stretch drawn as a small share of the busy time."""

    def __init__(self, timeline: Timeline) -> None:
        self.total_ms = max(timeline["total_ms"], 1.0)
        self._idle = timeline["idle"]
        busy = max(self.total_ms - sum(end - start for start, end in self._idle), 1.0)
        self._idle_ms = _IDLE_SHARE * busy
        self._scale = (_WIDTH - _GUTTER - 60) / (busy + self._idle_ms * len(self._idle))

    def x(self, ms: float) -> float:
        saved = 0.0
        for start, end in self._idle:
            if ms > start:
                saved += (min(ms, end) - start) * (1 - self._idle_ms / (end - start))
        return _GUTTER + (ms - saved) * self._scale


def _lane_svg(step: StepRow, lane: Lane, top: float, scale: _TimeScale) -> str:
    end = scale.total_ms if lane["open"] else lane["offset_ms"] + lane["duration_ms"]
    left = scale.x(lane["offset_ms"])
    width = max(scale.x(end) - left, 2.0)
    name = step_title(step)
    name = name if len(name) <= 22 else f"{name[:13]}…{name[-8:]}"
    time = "running" if lane["open"] else duration_text(step["duration_ms"])
    color = STATUS_COLORS.get(step["status"], OTHER_COLOR)
    return (
        f'<text y="{top + 11:.0f}">{_sign(step)} {escape(name)}</text>'
        f'<rect x="{left:.1f}" y="{top + 2:.0f}" width="{width:.1f}" height="11" rx="2" fill="{color}"/>'
        f'{BETWEEN}<text x="{left + width + 4:.0f}" y="{top + 11:.0f}" fill="{OTHER_COLOR}">{time}</text>{BETWEEN}'
    )


def step_title(step: StepRow) -> str:
    """The step's name, with what tells it from others of that name."""
    title = step["name"] + (f" #{step['visit']}" if step["n_visits"] > 1 else "")
    return f"{title}, attempt {step['attempt']}" if step["attempt"] > 1 else title


def _sign(step: StepRow) -> str:
    return _SIGNS["failed"] if step["failing"] else _SIGNS.get(step["status"], "?")
