"""Success rates with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ._money import money
from ._scales import INK, axis, height, nothing, percent, short
from .theme import BLUE, GREY, SKY, Theme, headline, template

if TYPE_CHECKING:
    import polars as pl


def outcomes_figure(
    frame: pl.DataFrame,
    rate: float | None,
    *,
    confidence: float = 0.95,
    title: str = "Outcomes",
    theme: Theme = "light",
) -> go.Figure:
    """A point a row of the frame of `analytics.Outcomes`, with its interval; `rate` of all is a line."""
    whole = frame.to_dicts()
    shown = [(place, row) for place, row in enumerate(whole) if row["n"]]
    rows = [row for _, row in shown]
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, height=height(len(rows)))
    if not rows:
        return nothing(figure, "no outcome is known")
    hue = BLUE if theme == "light" else SKY
    options: dict[str, Any] = {
        "customdata": [_text(row, confidence) for row in rows], "hovertemplate": "%{customdata}<extra></extra>",
        "meta": [place for place, _ in shown],
    }  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[row["success_rate"] for row in rows], y=list(range(len(rows))), mode="markers+text",
            marker={"color": hue, "size": 11},
            text=[f"  {percent(row['success_rate'], 0)} of {row['n']:,}" for row in rows],
            textposition="top center", textfont={"size": 11, "color": INK[theme]}, showlegend=False, cliponaxis=False,
            error_x={
                "type": "data", "symmetric": False, "color": hue, "thickness": 2, "width": 4,
                "array": [row["success_high"] - row["success_rate"] for row in rows],
                "arrayminus": [row["success_rate"] - row["success_low"] for row in rows],
            },
            **options,
        )
    )  # fmt: skip
    if rate is not None:
        line = {"color": GREY, "width": 1, "dash": "dot"}
        figure.add_vline(
            x=rate,
            line=line,
            # Above the plot, where no point has its number.
            annotation={
                "text": f"all: {percent(rate)}",
                "font": {"size": 11},
                "y": 1,
                "yanchor": "bottom",
                "xanchor": "center",
            },
        )
    figure.update_yaxes(**axis([_label(row) for row in rows]), range=[len(rows) - 0.4, -0.9])
    figure.update_xaxes(tickformat=".0%", range=[-0.08, 1.08], title={"text": "success rate"})
    return figure


def _label(row: dict[str, Any]) -> str:
    if "path" in row:
        return _path(row["path"], 44)
    value = row.get("name", row.get("group"))
    return "(none)" if value is None else short(str(value), 40)


def _path(path: list[str], limit: int) -> str:
    if not path:
        return "(no step)"
    if len(path) > 4:
        path = [*path[:2], f"+{len(path) - 3}", path[-1]]
    return " → ".join(short(step, max(limit // len(path), 6)) for step in path)


def _text(row: dict[str, Any], confidence: float) -> str:
    head = " → ".join(short(step, 40) for step in row["path"][:14]) if "path" in row else _label(row)
    lines = [
        f"<b>{head}</b>",
        f"{row['n_success']:,} of {row['n']:,}: {percent(row['success_rate'])} "
        f"[{row['success_low']:.1%}, {row['success_high']:.1%}] ({confidence:.0%}, Wilson)",
    ]
    if row["n_unknown"]:
        lines.append(f"without an outcome: {row['n_unknown']:,}")
    if row.get("rate_difference") is not None:
        lines.append(
            f"without this step: {percent(row['rate_without'])}; difference {row['rate_difference']:+.1%} "
            f"[{row['difference_low']:+.1%}, {row['difference_high']:+.1%}]"
        )
    if row["tokens_per_success"] is not None:
        lines.append(f"tokens per success: {row['tokens_per_success']:,.0f}")
    if row.get("cost_per_success") is not None:
        unknown = f", {row['n_unpriced']:,} calls of unknown cost" if row["n_unpriced"] else ""
        lines.append(f"cost per success: {money(row['cost_per_success'])}{unknown}")
    return "<br>".join(lines)
