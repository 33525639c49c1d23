"""Money as bars: costs, costs under other prices, and what a success costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ._scales import axis, height, nothing, percent, short
from .theme import BLUE, GREY, ORANGE, SKY, Theme, headline, template

if TYPE_CHECKING:
    import polars as pl


def costs_figure(
    frame: pl.DataFrame, by: Sequence[str], *, currency: str = "", title: str = "Costs", theme: Theme = "light"
) -> go.Figure:
    """A bar a row of the frame of `analytics.Costs`: work that counted, and beside it work that a pause discarded.

    A row whose cost is not known at all has no bar, and says so.
    """
    rows = frame.to_dicts()
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, height=height(len(rows)))
    if not rows:
        return nothing(figure, "no model was called")
    hovers = [_cost_text(row, by, currency) for row in rows]
    keys = list(range(len(rows)))
    known = [row["cost"] or 0.0 for row in rows]
    gone = [min(row["discarded_cost"] or 0.0, cost) for row, cost in zip(rows, known, strict=True)]
    common: dict[str, Any] = {
        "orientation": "h", "y": keys, "customdata": hovers, "meta": keys, "width": 0.7,
        "hovertemplate": "%{customdata}<extra></extra>",
    }  # fmt: skip
    texts = ["unknown" if row["cost"] is None else f"{money(row['cost'])}  {percent(row['share'], 0)}" for row in rows]
    has_gone = any(gone)
    kept = [cost - lost for cost, lost in zip(known, gone, strict=True)]
    hue = BLUE if theme == "light" else SKY
    outside: dict[str, Any] = {} if has_gone else {"text": texts, "textposition": "outside", "cliponaxis": False}
    figure.add_trace(
        go.Bar(x=kept, name="work that counted", marker={"color": hue},
               **common, **outside)
    )  # fmt: skip
    if has_gone:
        figure.add_trace(
            go.Bar(x=gone, name="discarded by a pause", marker={"color": ORANGE, "pattern": {"shape": "/"}}, text=texts,
                   textposition="outside", cliponaxis=False, **common)
        )  # fmt: skip
    figure.update_layout(barmode="stack", showlegend=has_gone, legend={"orientation": "h", "y": -0.15})
    figure.update_yaxes(**axis([_label(row, by) for row in rows]), autorange="reversed")
    most = max(known) or 1.0
    figure.update_xaxes(title={"text": currency or "cost"}, range=[0, most * 1.22])
    return figure


def cost_change_figure(
    frame: pl.DataFrame, by: Sequence[str], *, currency: str = "", title: str = "What if", theme: Theme = "light"
) -> go.Figure:
    """Two bars a row of the frame of `analytics.CostChange`: before and after."""
    rows = [row for row in frame.to_dicts() if row["cost_before"] is not None]
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, height=height(len(rows), row=48))
    if not rows:
        return nothing(figure, "no call has a price under both")
    places = list(range(len(rows)))
    hovers = [_change_text(row, by, currency) for row in rows]
    for name, column, colour in (("before", "cost_before", GREY), ("after", "cost_after", BLUE)):
        options: dict[str, Any] = {"customdata": hovers, "hovertemplate": "%{customdata}<extra></extra>"}
        if column == "cost_after":
            options["text"] = ["" if row["change"] is None else f"{row['change']:+.0%}" for row in rows]
            options |= {"textposition": "outside", "cliponaxis": False}
            colour = colour if theme == "light" else SKY
        figure.add_trace(
            go.Bar(orientation="h", name=name, y=places, x=[row[column] for row in rows], marker={"color": colour},
                   **options)
        )  # fmt: skip
    most = max(max(row["cost_before"], row["cost_after"]) for row in rows) or 1.0
    figure.update_layout(barmode="group", legend={"orientation": "h", "y": -0.15, "traceorder": "normal"})
    figure.update_yaxes(**axis([_label(row, by) for row in rows]), autorange="reversed")
    figure.update_xaxes(title={"text": currency or "cost"}, range=[0, most * 1.15])
    return figure


def money(value: float | None) -> str:
    """An amount as text, without its currency."""
    if value is None:
        return "unknown"
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:,.4g}"


def _label(row: dict[str, Any], by: Sequence[str]) -> str:
    return short(" · ".join("(none)" if row[key] is None else str(row[key]) for key in by), 40)


def _cost_text(row: dict[str, Any], by: Sequence[str], currency: str) -> str:
    lines = [
        f"<b>{_label(row, by)}</b>",
        f"{money(row['cost'])} {currency} ({percent(row['share'])} of what is known)",
        f"{row['n_calls']:,} calls in {row['n_engagements']:,} engagements, {money(row['cost_per_engagement'])} each",
        f"prompt tokens: {row['prompt_tokens']:,}, {row['cache_read_tokens']:,} of them from the cache",
        f"completion tokens: {row['completion_tokens']:,}, {row['reasoning_tokens']:,} of them reasoning",
    ]
    if row["discarded_tokens"]:
        lines.append(f"discarded by pauses: {money(row['discarded_cost'])} {currency}")
    if row["n_unpriced"]:
        lines.append(f"not in it: {row['n_unpriced']:,} calls of unknown cost")
    return "<br>".join(lines)


def _change_text(row: dict[str, Any], by: Sequence[str], currency: str) -> str:
    lines = [
        f"<b>{_label(row, by)}</b>",
        f"{money(row['cost_before'])} → {money(row['cost_after'])} {currency}, {row['n_calls']:,} calls",
    ]
    if row["n_left_out"]:
        lines.append(f"left out: {row['n_left_out']:,} calls without both prices")
    return "<br>".join(lines)
