"""The picture of a funnel."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from .theme import BLUE, Theme, plain, template

if TYPE_CHECKING:
    import polars as pl

_ROW_PX, _FRAME_PX = 52, 100
_PALE = "rgba(153, 153, 153, 0.3)"


def funnel_figure(frame: pl.DataFrame, *, title: str = "Funnel", theme: Theme = "light") -> go.Figure:
    """A bar for each step of a funnel, in its order, from the frame of `analytics.Funnel`.

    A bar's length is the number of engagements that reached the step; hovering shows rates, drop-off, time and tokens.
    """
    rows = frame.to_dicts()
    labels = _labels([row["name"] for row in rows])
    places = list(range(len(rows)))
    trace = go.Funnel(
        # By place, never by name: Plotly keeps categories as keys of an object, where `__proto__` is no key.
        y=places,
        x=[row["reached"] for row in rows],
        text=[f"{row['reached']:,}  {_percent(row['overall_conversion_rate'])}" for row in rows],
        textinfo="text",
        customdata=[f"<b>{label}</b><br>{_hover(row)}" for label, row in zip(labels, rows, strict=True)],
        hovertemplate="%{customdata}<extra></extra>",
        marker={"color": BLUE},
        connector={"fillcolor": _PALE, "line": {"width": 0}},
        opacity=0.9,
    )
    figure = go.Figure(trace)
    figure.update_yaxes(tickvals=places, ticktext=labels, autorange="reversed")
    figure.update_layout(
        template=template(theme), title={"text": plain(title)}, height=_FRAME_PX + _ROW_PX * max(len(rows), 1)
    )
    return figure


def _labels(names: list[str]) -> list[str]:
    """Names as labels; a name that comes again gets its number, as equal labels would fall on one bar."""
    seen: Counter[str] = Counter()
    labels = []
    for name in names:
        seen[name] += 1
        labels.append(plain(name) if seen[name] == 1 else f"{plain(name)} ({seen[name]})")
    return labels


def _hover(row: dict[str, Any]) -> str:
    lines = [
        f"reached: {row['reached']:,}",
        f"of the step before: {_percent(row['step_conversion_rate'])}",
        f"of the first step: {_percent(row['overall_conversion_rate'])}",
        f"dropped: {row['dropped']:,}, still going: {row['censored']:,}",
        f"median duration: {_duration(row['median_duration_ms'])}",
        f"visits: {row['n_visits']:,}, tokens: {row['total_tokens']:,}",
    ]
    return "<br>".join(lines)


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1%}"


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "–"
    return f"{milliseconds:.0f} ms" if milliseconds < 1_000 else f"{milliseconds / 1_000:.1f} s"
