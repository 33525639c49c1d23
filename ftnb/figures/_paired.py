"""Two engagements on one axis of time, step under step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ._scales import axis, duration, height, nothing, short
from .theme import BLUE, GREY, PURPLE, Theme, plain, template

if TYPE_CHECKING:
    import polars as pl

_MAX_ROWS = 100
_BEFORE = 10
"""Rows that are kept before the first that differs, where not all are drawn."""


def paired_figure(
    frame: pl.DataFrame, *, names: tuple[str, str] = ("a", "b"), title: str = "", theme: Theme = "light"
) -> go.Figure:
    """Bars of both, from the frame of an `EngagementDiff`: grey where they are alike, in colour where they differ.

    Of long engagements the hundred rows around the first difference are drawn.
    """
    figure = go.Figure()
    rows, left_out = _around(frame.to_dicts())
    tall = height(len(rows), row=34, frame=130)
    note = f", {left_out:,} steps not drawn" if left_out else ""
    heading = title or f"{names[0]} above {names[1]}{note}"
    figure.update_layout(template=template(theme), title={"text": plain(heading)}, height=tall, barmode="overlay")
    if not rows:
        return nothing(figure, "no step in either")
    for place, (side, hue) in enumerate((("a", BLUE), ("b", PURPLE))):
        for differs in (False, True):
            _bars(figure, rows, side, place, differs, names[place], hue if differs else GREY)
    figure.update_yaxes(**axis([short(_label(row)) for row in rows]), autorange="reversed")
    figure.update_xaxes(title={"text": "milliseconds since the first step began"}, rangemode="tozero")
    figure.update_layout(legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 1, "xanchor": "right"})
    return figure


def _around(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    if len(rows) <= _MAX_ROWS:
        return rows, 0
    first = next((at for at, row in enumerate(rows) if not row["same"]), 0)
    begin = min(max(first - _BEFORE, 0), len(rows) - _MAX_ROWS)
    return rows[begin : begin + _MAX_ROWS], len(rows) - _MAX_ROWS


def _bars(
    figure: go.Figure, rows: list[dict[str, Any]], side: str, place: int, differs: bool, name: str, hue: str
) -> None:
    found = [(at, row) for at, row in enumerate(rows) if row[f"started_ms_{side}"] is not None]
    found = [(at, row) for at, row in found if row["same"] is not differs]
    if not found:
        return
    options: dict[str, Any] = {"customdata": [_hover(row, side, name) for _, row in found]}
    figure.add_trace(
        go.Bar(
            orientation="h", name=f"{name}, {'differs' if differs else 'alike'}", width=0.36,
            y=[at + (-0.2, 0.2)[place] for at, _ in found], base=[row[f"started_ms_{side}"] for _, row in found],
            x=[row[f"duration_ms_{side}"] or 0 for _, row in found], hovertemplate="%{customdata}<extra></extra>",
            marker={"color": hue, "line": {"color": hue, "width": 2}},
            **options,
        )
    )  # fmt: skip


def _label(row: dict[str, Any]) -> str:
    full = f"{row['ns']}/{row['name']}" if row["ns"] else row["name"]
    return f"{full} #{row['visit']}" if row["visit"] > 1 else str(full)


def _hover(row: dict[str, Any], side: str, name: str) -> str:
    took = row[f"duration_ms_{side}"]
    parts = [f"<b>{plain(_label(row))}</b> in {plain(name)}", str(row[f"status_{side}"])]
    if took is not None:
        parts.append(duration(took))
    if row[f"tokens_{side}"]:
        parts.append(f"{row[f'tokens_{side}']:,} tokens")
    if row["what"]:
        parts.append("differs in " + ", ".join(row["what"]) if not row["same"] else ", ".join(row["what"]))
    if row["keys"]:
        parts.append("keys: " + plain(", ".join(row["keys"])))
    return "<br>".join(parts)
