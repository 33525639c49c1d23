"""What was declared and what was done, as one graph; and rules, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ._flow_map import _MARGIN, _MAX_COUNTED, _add_hovers, _middle, _pixels, _set_ranges
from ._scales import INK, PAPER, axis, height, nothing, percent, short, side
from .theme import BLUE, GREY, SKY, VERMILION, Theme, headline, template

if TYPE_CHECKING:
    import polars as pl

_MAX_WIDTH, _MIN_WIDTH = 8.0, 1.2
_DASH = {"taken": "solid", "never taken": "dot", "undeclared": "dash"}


def conformance_figure(
    edges: pl.DataFrame,
    nodes: pl.DataFrame,
    places: dict[str, Any],
    *,
    title: str = "Conformance",
    theme: Theme = "light",
) -> go.Figure:
    """Boxes and arrows from the frames of `analytics.Conformance`; `places` as for `flow_map_figure`.

    What is declared and was taken is grey and as wide as it was often; declared and never taken, dotted; taken and not
    declared, vermilion and dashed; vermilion and whole where only some graphs have it.
    """
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, showlegend=True)
    rows = edges.to_dicts()
    if not rows:
        return nothing(figure, "no graph is declared")
    most = max(row["n"] for row in rows) or 1
    middles = []
    seen: set[str] = set()
    for place, row in enumerate(rows):
        points = places["edges"][(row["from_name"], row["to_name"])]
        width = _MIN_WIDTH + (_MAX_WIDTH - _MIN_WIDTH) * row["n"] / most
        colour = VERMILION if row["n_undeclared"] else GREY
        partly = row["state"] == "taken" and row["n_undeclared"] > 0
        name = "taken, in part where it is not declared" if partly else row["state"]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        figure.add_trace(
            go.Scatter(
                x=xs, y=ys, mode="lines+markers", hoverinfo="skip", opacity=0.8, name=name,
                legendgroup=name, showlegend=name not in seen,
                line={"width": width, "color": colour, "shape": "spline", "smoothing": 0.9,
                      "dash": _DASH[row["state"]]},
                marker={
                    "symbol": "arrow", "angleref": "previous", "color": colour,
                    "size": [0] * (len(xs) - 1) + [9 + 1.5 * width],
                },
            )
        )  # fmt: skip
        seen.add(name)
        middles.append((*_middle(points), _edge_text(row), ["edge", place]))
    dot = {"size": 9, "color": PAPER[theme], "line": {"width": 1, "color": GREY}}
    _add_points(figure, middles, dot)
    if len(rows) <= _MAX_COUNTED:
        for (x, y, _, _), row in zip(middles, rows, strict=True):
            red = row["n_undeclared"] > 0
            font = {"size": 10, "color": VERMILION if red else INK[theme]}
            figure.add_annotation(x=x, y=y, text=f"{row['n']:,}", showarrow=False, yshift=11, font=font)
    _add_boxes(figure, nodes, places, theme)
    tall = places["height"]
    _set_ranges(figure, places)
    figure.update_layout(
        height=int(min(max(tall + 2 * _MARGIN + 110, 300), 900)), legend={"orientation": "h", "y": -0.03}
    )
    return figure


def _add_boxes(figure: go.Figure, nodes: pl.DataFrame, places: dict[str, Any], theme: Theme) -> None:
    for name, (x, y, *_) in places["nodes"].items():
        if isinstance(name, tuple):
            figure.add_shape(
                type="circle", **_pixels(x, y),
                line={"color": INK[theme], "width": 2}, fillcolor=INK[theme] if name[0] == "end" else PAPER[theme],
            )  # fmt: skip
    hovers = []
    hues = {"taken": BLUE if theme == "light" else SKY, "never taken": GREY, "undeclared": VERMILION}
    for place, row in enumerate(nodes.to_dicts()):
        if row["name"] not in places["nodes"]:
            continue
        x, y, width, tall = places["nodes"][row["name"]]
        box = {"x0": x - width / 2, "x1": x + width / 2, "y0": y - tall / 2, "y1": y + tall / 2}
        hue = hues[row["state"]]
        figure.add_shape(type="rect", **box, fillcolor=PAPER[theme], line={"width": 0})
        figure.add_shape(
            type="rect", **box, fillcolor=hue, opacity=0.08 + 0.4 * (row["share"] or 0.0), line={"width": 0}
        )
        figure.add_shape(type="rect", **box, line={"color": hue, "width": 1.5, "dash": _DASH[row["state"]]})
        figure.add_annotation(
            x=x, y=y, showarrow=False, text=f"<b>{short(row['name'], 22)}</b><br>{row['n_visits']:,}",
            font={"size": 11, "color": INK[theme]}, captureevents=False,
        )  # fmt: skip
        text = (
            f"<b>{short(row['name'], 80)}</b>: {row['state']}<br>{row['n_visits']:,} visits in "
            f"{row['n_engagements']:,} engagements ({percent(row['share'])})"
        )
        hovers.append((x, y, text, ["node", place]))
    _add_points(figure, hovers, {"size": 32, "color": BLUE, "opacity": 0.0, "symbol": "square"})


def _add_points(figure: go.Figure, points: list[tuple[float, float, str, list[Any]]], marker: dict[str, Any]) -> None:
    _add_hovers(figure, [(x, y, text) for x, y, text, _ in points], marker)
    figure.data[-1].update(meta=[key for *_, key in points], showlegend=False)


def _edge_text(row: dict[str, Any]) -> str:
    head = f"<b>{side(row['from_name'], 'start')} → {side(row['to_name'], 'end')}</b>: {row['state']}"
    lines = [head, f"{row['n']:,} moves in {row['n_engagements']:,} engagements ({percent(row['share'])})"]
    if row["kind"]:
        lines.append(f"declared as {short(row['kind'])}")
    if row["n_undeclared"]:
        lines.append(f"{row['n_undeclared']:,} of them where the graph does not have it")
    return "<br>".join(lines)


def rules_figure(frame: pl.DataFrame, *, title: str = "Rules", theme: Theme = "light") -> go.Figure:
    """A bar a rule, from the frame `analytics.Conformance.rules()`: the share of engagements that broke it."""
    rows = frame.to_dicts()
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, height=height(len(rows), row=40))
    if not rows:
        return nothing(figure, "no rule was asked about")
    rates = [row["broken_rate"] or 0.0 for row in rows]
    more = [(row["broken_high"] or 0.0) - rate for row, rate in zip(rows, rates, strict=True)]
    less = [rate - (row["broken_low"] or 0.0) for row, rate in zip(rows, rates, strict=True)]
    options: dict[str, Any] = {
        "customdata": [_rule_text(row) for row in rows], "hovertemplate": "%{customdata}<extra></extra>",
        "meta": [["rule", place] for place in range(len(rows))],
        "text": [f"{row['n_broken']:,}" for row in rows],
    }  # fmt: skip
    figure.add_trace(
        go.Bar(
            orientation="h", y=list(range(len(rows))), x=rates, width=0.6, marker={"color": VERMILION},
            error_x={"type": "data", "symmetric": False, "array": more, "arrayminus": less, "thickness": 1, "width": 3,
                     "color": INK[theme]},
            textposition="inside", insidetextanchor="start", **options,
        )
    )  # fmt: skip
    figure.update_yaxes(**axis([short(row["rule"], 48) for row in rows]), autorange="reversed")
    most = max(rate + extra for rate, extra in zip(rates, more, strict=True))
    figure.update_xaxes(tickformat=".0%", range=[0, min(max(most * 1.1, 0.05), 1.02)],
                        title={"text": "of the engagements that it is about, broken"})  # fmt: skip
    return figure


def _rule_text(row: dict[str, Any]) -> str:
    low, high = row["broken_low"], row["broken_high"]
    interval = "" if low is None else f" [{low:.1%}, {high:.1%}]"
    return "<br>".join(
        (
            f"<b>{short(row['rule'], 120)}</b>",
            f"broken in {row['n_broken']:,} of {row['n_asked']:,} engagements: {percent(row['broken_rate'])}{interval}",
            f"kept in {row['n_kept']:,}, may still be kept in {row['n_pending']:,}; {row['n_breaks']:,} breaks in all",
        )
    )
