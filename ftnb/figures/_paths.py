"""Paths drawn: variants as rows of coloured steps, and flows from place to place."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ._scales import PAPER, axis, colours, duration, hatches, height, nothing, on, percent, short
from .theme import BLUE, GREY, VERMILION, YELLOW, Theme, headline, template

if TYPE_CHECKING:
    import polars as pl

_MAX_STEPS = 30
_STATES = {"other": "(other steps)", "ended": "(completed)", "dropped": "(dropped)", "open": "(still open)",
           "cut": "(goes on)"}  # fmt: skip
_STATE_COLOURS = {"other": GREY, "ended": BLUE, "dropped": VERMILION, "open": YELLOW, "cut": GREY}


def variants_figure(frame: pl.DataFrame, *, title: str = "Variants", theme: Theme = "light") -> go.Figure:
    """A row a variant, a box a step, from the frame of `analytics.Variants`; of long paths the first steps."""
    rows = frame.to_dicts()
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, height=height(len(rows)))
    if not rows:
        return nothing(figure)
    boxes: dict[str, list[tuple[int, int, str]]] = {}
    for y, row in enumerate(rows):
        for x, name in enumerate(row["path"][:_MAX_STEPS]):
            boxes.setdefault(name, []).append((x, y, _variant_text(row, name, x)))
    longest = max(min(len(row["path"]), _MAX_STEPS) for row in rows)
    palette, patterns = colours(boxes), hatches(boxes)
    room = max(int(96 / max(longest, 1)), 3)
    for name, places in boxes.items():
        options: dict[str, Any] = {"customdata": [text for _, _, text in places]}
        # What a click selects: the variant.
        options["meta"] = [rows[y]["rank"] for _, y, _ in places]
        figure.add_trace(
            go.Bar(
                orientation="h", name=short(name), x=[0.94] * len(places), base=[x for x, _, _ in places],
                y=[y for _, y, _ in places], width=0.8, **options,
                hovertemplate="%{customdata}<extra></extra>",
                marker={"color": palette[name], "pattern": patterns[name]},
                text=[short(name, room)] * len(places), textposition="inside", insidetextanchor="middle",
                textfont={"size": 11, "color": on(palette[name])}, constraintext="inside", textangle=0,
            )
        )  # fmt: skip
    for y, row in enumerate(rows):
        if not row["path"]:
            figure.add_annotation(x=0, y=y, text="(no step)", showarrow=False, xanchor="left")
        elif len(row["path"]) > _MAX_STEPS:
            more = f"+{len(row['path']) - _MAX_STEPS} steps"
            figure.add_annotation(x=_MAX_STEPS, y=y, text=more, showarrow=False, xanchor="left")
    labels = [f"{percent(row['share'])}  ({row['n']:,})" for row in rows]
    figure.update_yaxes(**axis(labels), autorange="reversed")
    figure.update_xaxes(title="step", showgrid=False, zeroline=False, showticklabels=False)
    figure.update_layout(barmode="overlay", legend={"title": "", "orientation": "v"})
    return figure


def _variant_text(row: dict[str, Any], name: str, place: int) -> str:
    lines = [
        f"<b>{short(name, 80)}</b>, step {place + 1} of {len(row['path'])}",
        f"variant {row['rank']}: {row['n']:,} engagements, {percent(row['share'])} "
        f"(with those before it {percent(row['cumulative_share'])})",
        f"completed: {percent(row['success_rate'])}, dropped: {row['n_dropped']:,}, still open: {row['n_open']:,}",
        f"median {duration(row['median_ms'])}, median tokens {row['median_tokens']:,.0f}",
    ]
    return "<br>".join(lines)


def sankey_figure(frame: pl.DataFrame, *, title: str = "Flows", theme: Theme = "light") -> go.Figure:
    """Flows from place to place, from the frame of `analytics.Sankey`."""
    rows = frame.to_dicts()
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)})
    if not rows:
        return nothing(figure)
    places: dict[tuple[int, str, str | None], int] = {}
    for row in rows:
        for index, end in ((row["index"], "from"), (row["index"] + 1, "to")):
            places.setdefault((index, row[f"{end}_state"], row[f"{end}_name"]), len(places))
    palette = colours(name for _, _, name in places if name is not None)
    colour = [_STATE_COLOURS[state] if name is None else palette[name] for _, state, name in places]
    labels = [_STATES[state] if name is None else short(name) for _, state, name in places]
    links = [
        (places[(row["index"], row["from_state"], row["from_name"])],
         places[(row["index"] + 1, row["to_state"], row["to_name"])], row)
        for row in rows
    ]  # fmt: skip
    depth = max(index for index, _, _ in places)
    names = _told(labels, list(places), links, depth)
    figure.add_trace(
        go.Sankey(
            arrangement="snap",
            node={
                "label": names, "color": colour, "pad": 14, "thickness": 14, "line": {"width": 0}, "align": "left",
                "customdata": [f"<b>{name}</b>, step {at}" for name, (at, _, _) in zip(labels, places, strict=True)],
                "hovertemplate": "%{customdata}<br>%{value:,} engagements<extra></extra>",
            },
            link={
                "source": [a for a, _, _ in links], "target": [b for _, b, _ in links],
                "value": [row["n"] for _, _, row in links],
                "color": [_faint(colour[b] if labels[b] == _STATES["dropped"] else colour[a]) for a, b, _ in links],
                "customdata": [[f"{labels[a]} → {labels[b]}", percent(row["share"])] for a, b, row in links],
                "hovertemplate": "<b>%{customdata[0]}</b><br>"
                "%{value:,} engagements, %{customdata[1]} of all<extra></extra>",
            },
            textfont={"shadow": f"0 0 3px {PAPER[theme]}"},
        )
    )  # fmt: skip
    per_place = max(sum(1 for index, _, _ in places if index == at) for at in range(1, depth + 1))
    figure.update_layout(height=height(per_place, row=48, frame=160, most=900))
    return figure


def _told(
    labels: list[str],
    places: list[tuple[int, str, str | None]],
    links: list[tuple[int, int, dict[str, Any]]],
    depth: int,
) -> list[str]:
    """The labels that there is room for. Hovering tells the others.

    Those of the last place are written to its left, where those of the place before it are.
    """
    came, left = Counter[int](), Counter[int]()
    for a, b, row in links:
        left[a] += row["n"]
        came[b] += row["n"]
    flow = {place: max(came[place], left[place]) for place in range(len(places))}
    most = max(flow.values())
    told = []
    for place, (index, state, _) in enumerate(places):
        is_last = index == depth and depth > 1
        label = "…" if is_last and state == "cut" else labels[place]
        told.append(label if flow[place] >= most * (0.08 if is_last else 0.012) else "")
    return told


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.35)"
