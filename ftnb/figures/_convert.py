"""How long it takes to convert: the share that has got to a step, by the time since the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ._scales import INK, duration, nothing, percent, short
from ._times import ticks_of
from .theme import COLORWAY, Theme, headline, template

if TYPE_CHECKING:
    import polars as pl

_MOST_POINTS = 200
_MOST_LINES = len(COLORWAY)
_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Curve:
    """One line: a step, or a group at the last step."""

    label: str
    n_entered: int
    times: pl.Series
    """Milliseconds from the first step, sorted, of those that got there."""
    key: Any
    """What a click selects."""


def times_figure(curves: Sequence[Curve], *, title: str = "Time to convert", theme: Theme = "light") -> go.Figure:
    """A line for each curve: by when which share of those that entered had got there. It ends at the share that ever
    did; the mark is the median of these. Of many curves, the first; the axis of times is logarithmic."""
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, height=380)
    shown = [curve for curve in curves if len(curve.times)][:_MOST_LINES]
    if not shown:
        return nothing(figure, "nobody got any further, or no times are known")
    positive = [float(curve.times.filter(curve.times > 0).min() or 1.0) for curve in shown]  # type: ignore[arg-type]
    floor, longest = min(positive), max(float(curve.times[-1]) for curve in shown)
    for place, curve in enumerate(shown):
        colour = COLORWAY[place]
        _add_line(figure, curve, floor, {"color": colour, "width": 2, "dash": _DASHES[place % len(_DASHES)]}, theme)
    ticks = ticks_of(floor, [longest])
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[duration(tick) for tick in ticks])
    figure.update_xaxes(title={"text": "since the first step"})
    figure.update_yaxes(
        tickformat=".0%", rangemode="tozero", title={"text": "of those that entered", "font": {"size": 13}}
    )
    figure.update_layout(legend={"itemclick": False, "itemdoubleclick": False})
    return figure


def _add_line(figure: go.Figure, curve: Curve, floor: float, line: dict[str, Any], theme: Theme) -> None:
    n = len(curve.times)
    ranks = sorted({round(part * (n - 1) / (_MOST_POINTS - 1)) for part in range(_MOST_POINTS)})
    label = short(curve.label)
    times = [float(curve.times[rank]) for rank in ranks]
    shares = [(rank + 1) / curve.n_entered for rank in ranks]
    hovers: list[Any] = [
        f"<b>{label}</b><br>{percent(share)} of those that entered were there within {duration(time)}"
        for share, time in zip(shares, times, strict=True)
    ]
    middle = (n - 1) // 2
    half = duration(float(curve.times[middle]))
    median: list[Any] = [f"<b>{label}</b><br>{n:,} of {curve.n_entered:,} got there, half of them within {half}"]
    common: dict[str, Any] = {"hovertemplate": "%{customdata}<extra></extra>", "legendgroup": label}
    figure.add_scatter(
        x=[max(time, floor) for time in times], y=shares, mode="lines", name=label, line={"shape": "hv", **line},
        customdata=hovers, meta=[curve.key] * len(ranks), **common,
    )  # fmt: skip
    figure.add_scatter(
        x=[max(float(curve.times[middle]), floor)], y=[(middle + 1) / curve.n_entered], mode="markers",
        showlegend=False, marker={"color": line["color"], "size": 10, "line": {"width": 2, "color": INK[theme]}},
        customdata=median, meta=[curve.key], **common,
    )  # fmt: skip
