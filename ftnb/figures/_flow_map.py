"""The process map: nodes and edges of a directly-follows graph, laid out from left to right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ._heat import _edge_text, cost_text
from ._scales import INK, PAPER, duration, nothing, percent, short, side
from .theme import BLUE, GREY, SKY, Theme, headline, template

if TYPE_CHECKING:
    import polars as pl

_MAX_WIDTH, _MIN_WIDTH = 9.0, 1.0
_MARGIN = 40
_LEAST_WIDTH = 800
"""Narrower maps are not stretched to the whole width."""
_RADIUS = 7
"""Of start and end, in pixels."""
_MAX_COUNTED = 40
"""Beyond this many edges numbers beside them would cover one another; hovering still tells them."""


def flow_map_figure(
    edges: pl.DataFrame,
    nodes: pl.DataFrame,
    places: dict[str, Any],
    *,
    title: str = "Process map",
    theme: Theme = "light",
) -> go.Figure:
    """Boxes and arrows from the frames of `analytics.DirectlyFollows`.

    `places` holds `width`, `height`, `nodes` (name, None for start and end under the keys `start` and `end`, to x, y,
    width, height) and `edges` ((from, to) to points). An arrow's width tells how often its move was made, a box's
    depth of colour how many engagements came there.
    """
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, showlegend=False)
    rows = edges.to_dicts()
    if not rows:
        return nothing(figure)
    most = max(row["n"] for row in rows)
    middles: list[tuple[float, float, str]] = []
    for row in rows:
        points = places["edges"][(row["from_name"], row["to_name"])]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        width = _MIN_WIDTH + (_MAX_WIDTH - _MIN_WIDTH) * row["n"] / most
        figure.add_trace(
            go.Scatter(
                x=xs, y=ys, mode="lines+markers", hoverinfo="skip", opacity=0.75,
                line={"width": width, "color": GREY, "shape": "spline", "smoothing": 0.9},
                marker={
                    "symbol": "arrow", "angleref": "previous", "color": GREY,
                    "size": [0] * (len(xs) - 1) + [9 + 1.6 * width],
                },
            )
        )  # fmt: skip
        x, y = _middle(points)
        middles.append(
            (x, y, f"<b>{side(row['from_name'], 'start')} → {side(row['to_name'], 'end')}</b><br>{_edge_text(row)}")
        )
    _add_hovers(figure, middles, {"size": 9, "color": PAPER[theme], "line": {"width": 1, "color": GREY}})
    figure.data[-1].meta = [["edge", row["from_name"], row["to_name"]] for row in rows]
    if len(rows) <= _MAX_COUNTED:
        for (x, y, _), row in zip(middles, rows, strict=True):
            count = {"size": 10, "color": INK[theme]}
            figure.add_annotation(x=x, y=y, text=f"{row['n']:,}", showarrow=False, yshift=11, font=count)
    _add_nodes(figure, nodes, places, theme)
    tall = places["height"]
    _set_ranges(figure, places)
    figure.update_layout(height=int(min(max(tall + 2 * _MARGIN + 80, 260), 900)))
    return figure


def _set_ranges(figure: go.Figure, places: dict[str, Any]) -> None:
    """Axes of the layout. Heights are nearly pixels; widths are stretched, so that there is room for the counts."""
    width, tall = places["width"], places["height"]
    spare = max(_LEAST_WIDTH - width, 2 * _MARGIN) / 2
    figure.update_xaxes(visible=False, range=[-spare, width + spare])
    figure.update_yaxes(visible=False, range=[tall + _MARGIN, -_MARGIN])


def _pixels(x: float, y: float) -> dict[str, Any]:
    """A circle about a point, as round whatever the axes are."""
    each = {"x0": -_RADIUS, "x1": _RADIUS, "y0": -_RADIUS, "y1": _RADIUS}
    return {"xsizemode": "pixel", "ysizemode": "pixel", "xanchor": x, "yanchor": y, **each}


def _middle(points: list[tuple[float, float]]) -> tuple[float, float]:
    if len(points) % 2:
        return points[len(points) // 2]
    (ax, ay), (bx, by) = points[len(points) // 2 - 1], points[len(points) // 2]
    return (ax + bx) / 2, (ay + by) / 2


def _add_nodes(figure: go.Figure, nodes: pl.DataFrame, places: dict[str, Any], theme: Theme) -> None:
    hue = BLUE if theme == "light" else SKY
    for name, (x, y, *_) in places["nodes"].items():
        if not isinstance(name, tuple):
            continue
        figure.add_shape(
            type="circle", **_pixels(x, y),
            line={"color": INK[theme], "width": 2}, fillcolor=INK[theme] if name[0] == "end" else PAPER[theme],
        )  # fmt: skip
    hovers: list[tuple[float, float, str]] = []
    for row in nodes.to_dicts():
        x, y, width, tall = places["nodes"][row["name"]]
        box = {"x0": x - width / 2, "x1": x + width / 2, "y0": y - tall / 2, "y1": y + tall / 2}
        figure.add_shape(type="rect", **box, fillcolor=PAPER[theme], line={"width": 0})
        figure.add_shape(type="rect", **box, fillcolor=hue, opacity=0.08 + 0.5 * row["share"], line={"width": 0})
        figure.add_shape(type="rect", **box, line={"color": hue, "width": 1.5})
        figure.add_annotation(
            x=x, y=y, showarrow=False, text=f"<b>{short(row['name'], 22)}</b><br>{row['n_visits']:,}",
            font={"size": 11, "color": INK[theme]}, captureevents=False,
        )  # fmt: skip
        hovers.append((x, y, _node_text(row)))
    _add_hovers(figure, hovers, {"size": 32, "color": hue, "opacity": 0.0, "symbol": "square"})
    figure.data[-1].meta = [["node", name] for name in nodes["name"]]


def _add_hovers(figure: go.Figure, points: list[tuple[float, float, str]], marker: dict[str, Any]) -> None:
    options: dict[str, Any] = {"customdata": [text for _, _, text in points]}
    figure.add_trace(
        go.Scatter(
            x=[x for x, _, _ in points], y=[y for _, y, _ in points], mode="markers", marker=marker,
            hovertemplate="%{customdata}<extra></extra>", **options,
        )
    )  # fmt: skip


def _node_text(row: dict[str, Any]) -> str:
    lines = [
        f"<b>{short(row['name'], 80)}</b>",
        f"{row['n_visits']:,} visits in {row['n_engagements']:,} engagements ({percent(row['share'])})",
        f"dropped off here: {row['n_dropped']:,} ({percent(row['drop_off_rate'])} of those that came)",
        f"median {duration(row['median_ms'])}, quartiles {duration(row['q1_ms'])} to {duration(row['q3_ms'])}",
        f"{row['total_tokens']:,} tokens, {row['tokens_per_visit']:,.0f} a visit",
    ]
    if "cost" in row:
        lines.append(cost_text(row))
    return "<br>".join(lines)
