"""The picture of a funnel."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ._scales import INK
from .theme import BLUE, COLORWAY, Theme, headline, plain, template

if TYPE_CHECKING:
    import polars as pl

_ROW_PX, _FRAME_PX = 52, 100
_GROUP_PX = 18
_PALE = "rgba(153, 153, 153, 0.3)"
_MAX_GROUPS = len(COLORWAY)


def funnel_figure(
    frame: pl.DataFrame, *, title: str = "Funnel", theme: Theme = "light", confidence: float = 0.95
) -> go.Figure:
    """A bar for each step of a funnel, in its order, from the frame of `analytics.Funnel`.

    A bar's length is the number of engagements that reached the step; hovering shows rates with their intervals,
    drop-off, times, tokens and money. With a column `group`, a bar a group: the share of those that entered, with its
    interval; of many groups, the largest.
    """
    if "group" in frame.columns:
        figure = _split(frame, confidence)
        figure.update_traces(error_x={"color": INK[theme]})
    else:
        figure = _whole(frame.to_dicts(), confidence)
    figure.update_layout(template=template(theme), title={"text": headline(title)})
    return figure


def _whole(rows: list[dict[str, Any]], confidence: float) -> go.Figure:
    labels = _labels(rows)
    places = list(range(len(rows)))
    trace = go.Funnel(
        # By place, never by name: Plotly keeps categories as keys of an object, where `__proto__` is no key.
        y=places,
        x=[row["reached"] for row in rows],
        text=[f"{row['reached']:,}  {_percent(row['overall_conversion_rate'])}" for row in rows],
        textinfo="text",
        customdata=[f"<b>{label}</b><br>{_hover(row, confidence)}" for label, row in zip(labels, rows, strict=True)],
        hovertemplate="%{customdata}<extra></extra>",
        # What a click selects: the place of the step, and of the group.
        meta=[[place, None] for place in places],
        marker={"color": BLUE},
        connector={"fillcolor": _PALE, "line": {"width": 0}},
        opacity=0.9,
    )
    figure = go.Figure(trace)
    figure.update_yaxes(tickvals=places, ticktext=labels, autorange="reversed")
    figure.update_layout(height=_FRAME_PX + _ROW_PX * max(len(rows), 1))
    return figure


def _split(frame: pl.DataFrame, confidence: float) -> go.Figure:
    """Bars side by side. Shares, not counts: groups differ in size, and the question is which converts better."""
    groups = frame.partition_by("group", maintain_order=True)
    shown = sorted(groups, key=lambda part: -int(part["reached"][0]))[:_MAX_GROUPS]
    kept = [part for part in groups if any(part is other for other in shown)]
    figure = go.Figure()
    labels: list[str] = []
    for part in kept:
        rows = part.to_dicts()
        at = next(place for place, group in enumerate(groups) if group is part)
        labels = _labels(rows)
        value = rows[0]["group"]
        name = "(none)" if value is None else plain(str(value))
        rates: list[float] = [row["overall_conversion_rate"] or 0.0 for row in rows]
        highs: list[float] = [row["overall_conversion_high"] or 0.0 for row in rows]
        lows: list[float] = [row["overall_conversion_low"] or 0.0 for row in rows]
        # Plotly's stubs know numbers only.
        told: list[Any] = [
            f"<b>{label}</b>, {name}<br>{_hover(row, confidence)}" for label, row in zip(labels, rows, strict=True)
        ]
        figure.add_bar(
            orientation="h",
            name=name,
            y=list(range(len(rows))),
            x=rates,
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [max(high - rate, 0.0) for high, rate in zip(highs, rates, strict=True)],
                "arrayminus": [max(rate - low, 0.0) for low, rate in zip(lows, rates, strict=True)],
                "thickness": 1,
                "width": 3,
            },
            customdata=told,
            meta=[[place, at] for place in range(len(rows))],
            hovertemplate="%{customdata}<extra></extra>",
        )
    places = list(range(len(labels)))
    figure.update_yaxes(tickvals=places, ticktext=labels, autorange="reversed")
    figure.update_xaxes(tickformat=".0%", range=[0, 1.05], title={"text": "of those that entered"})
    figure.update_layout(
        barmode="group", height=_FRAME_PX + 60 + max(len(labels), 1) * max(_ROW_PX, _GROUP_PX * len(kept))
    )
    if len(kept) < len(groups):
        figure.update_layout(
            legend={"title": {"text": f"the largest {len(kept)} of {len(groups)} groups"}},
        )
    return figure


def _labels(rows: list[dict[str, Any]]) -> list[str]:
    """Names as labels; a name that comes again gets its number, as equal labels would fall on one bar."""
    seen: Counter[str] = Counter()
    labels = []
    for row in rows:
        name = row["name"]
        seen[name] += 1
        again = "" if seen[name] == 1 else f" ({seen[name]})"
        labels.append(plain(name) + again + (" (optional)" if row.get("optional") else ""))
    return labels


def _hover(row: dict[str, Any], confidence: float) -> str:
    lines = [
        f"reached: {row['reached']:,}",
        f"of the step before: {_share(row, 'step_conversion')}",
        f"of the first step: {_share(row, 'overall_conversion')}",
        f"dropped: {row['dropped']:,}, still going: {row['censored']:,}",
        f"continued: {_share(row, 'continuation')}",
        f"median duration: {_duration(row['median_duration_ms'])}",
    ]
    if row.get("median_time_ms") is not None:
        quartiles = f"{_duration(row['q1_time_ms'])} to {_duration(row['q3_time_ms'])}"
        lines.append(f"time from the first step: {_duration(row['median_time_ms'])} (half of them {quartiles})")
    if row.get("median_wait_ms") is not None:
        lines.append(f"of which waiting for somebody: {_duration(row['median_wait_ms'])}")
    lines.append(f"visits: {row['n_visits']:,}, tokens: {row['total_tokens']:,}")
    if row.get("dropped_tokens"):
        lines.append(f"tokens of engagements that dropped here: {row['dropped_tokens']:,}")
    if row.get("n_unpriced") is not None:
        unknown = f", {row['n_unpriced']:,} calls without a price" if row["n_unpriced"] else ""
        lines.append(f"cost: {_money(row['cost'])}, of those dropped here: {_money(row['dropped_cost'])}{unknown}")
    lines.append(f"[ ]: {confidence:.0%} interval (Wilson)")
    return "<br>".join(lines)


def _share(row: dict[str, Any], name: str) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    interval = "" if low is None or high is None else f" [{low:.1%}, {high:.1%}]"
    return _percent(row[f"{name}_rate"]) + interval


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1%}"


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.4g}"


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "–"
    for limit, size, unit in ((1e3, 1.0, "ms"), (12e4, 1e3, "s"), (7.2e6, 6e4, "min"), (1.728e8, 3.6e6, "h")):
        if milliseconds < limit:
            return f"{milliseconds / size:.0f} {unit}" if unit == "ms" else f"{milliseconds / size:.1f} {unit}"
    return f"{milliseconds / 8.64e7:.1f} d"
