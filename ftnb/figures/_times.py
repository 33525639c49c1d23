"""Rework and durations drawn as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ._scales import INK, axis, duration, height, nothing, percent, short
from .theme import BLUE, ORANGE, SKY, VERMILION, Theme, headline, template

if TYPE_CHECKING:
    import polars as pl

_TICKS = (1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 86_400_000, 864_000_000)
_FINE = (*(digit * size for size in (1, 10, 100, 1_000) for digit in (1, 2, 5)), 10_000, 20_000, 30_000,
         *(minutes * 60_000 for minutes in (1, 2, 5, 10, 20, 30)),
         *(hours * 3_600_000 for hours in (1, 2, 4, 8, 12)),
         *(days * 86_400_000 for days in (1, 2, 4, 7, 14, 30, 60, 120, 365)))  # fmt: skip


def loops_figure(
    nodes: pl.DataFrame, cycles: pl.DataFrame, *, title: str = "Rework", theme: Theme = "light"
) -> go.Figure:
    """Repeat visits by node beside the cycles behind them, from the frames of `analytics.Loops`."""
    share = max(nodes.height, 1) / max(nodes.height + cycles.height, 2)
    figure = make_subplots(
        rows=2,
        cols=1,
        subplot_titles=["visits after the first, by step", "times round a cycle"],
        row_heights=[share, 1 - share],
        vertical_spacing=min(90 / height(nodes.height + cycles.height, row=28, frame=200), 0.4),
    )
    tall = height(nodes.height + cycles.height, row=28, frame=200)
    figure.update_layout(template=template(theme), title={"text": headline(title)}, height=tall, showlegend=False)
    figure.update_annotations(font={"size": 13}, x=0, xanchor="left")
    figure.update_layout(margin={"t": 90})
    if nodes.is_empty():
        figure.layout.annotations = ()
        return nothing(figure, "no step was visited twice")
    rows = nodes.to_dicts()
    _bars(figure, 1, [short(row["name"]) for row in rows], [row["n_repeats"] for row in rows],
          [_loop_text(row) for row in rows], [percent(row["rework_rate"], 0) for row in rows], BLUE)  # fmt: skip
    figure.data[-1].meta = [row["name"] for row in rows]
    rounds = cycles.to_dicts()
    _bars(figure, 2, [_round(row["path"], 60) for row in rounds], [row["n"] for row in rounds],
          [_cycle_text(row) for row in rounds], [percent(row["share"], 0) for row in rounds], ORANGE)  # fmt: skip
    return figure


def _bars(
    figure: go.Figure, row: int, labels: list[str], values: list[int], hovers: list[str], texts: list[str], hue: str
) -> None:
    options: dict[str, Any] = {"customdata": hovers}
    bar = go.Bar(
        orientation="h", x=values, y=list(range(len(values))), marker={"color": hue}, **options,
        hovertemplate="%{customdata}<extra></extra>", text=texts, textposition="auto", cliponaxis=False, width=0.7,
    )  # fmt: skip
    figure.add_trace(bar, row=row, col=1)
    figure.update_yaxes(**axis(labels), autorange="reversed", row=row, col=1)


def _round(path: list[str], limit: int) -> str:
    steps = [*path, path[0]]
    if len(steps) > 6:
        steps = [*steps[:4], f"+{len(steps) - 5}", steps[-1]]
    each = max(limit // len(steps), 6)
    return " → ".join(short(step, each) for step in steps)


def _loop_text(row: dict[str, Any]) -> str:
    lines = [
        f"<b>{short(row['name'], 80)}</b>",
        f"{row['n_repeats']:,} of {row['n_visits']:,} visits were repeats ({percent(row['repeat_share'])}), "
        f"{row['n_self_loops']:,} right after the same step",
        f"{row['n_engagements_repeated']:,} of {row['n_engagements']:,} engagements came back "
        f"({percent(row['rework_rate'])}); at most {row['max_visits']:,} visits",
        f"{duration(row['rework_ms'])} of work and {row['rework_tokens']:,} tokens went into repeats "
        f"({percent(row['rework_token_share'])} of all tokens)",
    ]
    return "<br>".join(lines)


def _cycle_text(row: dict[str, Any]) -> str:
    path = [short(step, 40) for step in [*row["path"], row["path"][0]]]
    return (
        f"<b>{' → '.join(path[:12])}{' …' if len(path) > 12 else ''}</b><br>{row['n']:,} times round in "
        f"{row['n_engagements']:,} engagements ({percent(row['share'])})<br>"
        f"{duration(row['work_ms'])} of work, {row['total_tokens']:,} tokens"
    )


def durations_figure(frame: pl.DataFrame, *, title: str = "Durations", theme: Theme = "light") -> go.Figure:
    """Quartiles as a bar, the median and the tail as marks, from the frame of `analytics.Durations`; the axis is
    logarithmic, so what took no time at all is drawn at its left edge."""
    rows = [row for row in frame.to_dicts() if row["n_measured"]]
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, height=height(len(rows)))
    if not rows:
        return nothing(figure, "no duration was measured")
    positive = [row[name] for row in rows for name in ("q1_ms", "median_ms") if row[name]]
    floor = min(positive, default=1.0) / 2
    y = list(range(len(rows)))
    hovers = [_duration_text(row) for row in rows]
    common: dict[str, Any] = {"y": y, "customdata": hovers, "hovertemplate": "%{customdata}<extra></extra>"}

    def at(name: str) -> list[float | None]:
        return [None if row.get(name) is None else max(row[name], floor) for row in rows]

    low, high = at("q1_ms"), at("q3_ms")
    figure.add_trace(
        go.Bar(
            orientation="h", name="quartiles", base=low, width=0.5, marker={"color": SKY}, opacity=0.6,
            x=[b - a for a, b in zip(low, high, strict=True) if a is not None and b is not None], **common,
        )
    )  # fmt: skip
    for name, column, symbol, colour in (
        ("median", "median_ms", "line-ns-open", INK[theme]),
        ("p90", "p90_ms", "circle-open", BLUE if theme == "light" else SKY),
        ("p99", "p99_ms", "circle", BLUE if theme == "light" else SKY),
        ("wait for a human (median)", "median_wait_ms", "diamond", VERMILION),
    ):
        if any(row.get(column) is not None for row in rows):
            size = 20 if column == "median_ms" else 10
            marker = {"symbol": symbol, "size": size, "color": colour, "line": {"width": 2, "color": colour}}
            figure.add_trace(go.Scatter(x=at(column), mode="markers", name=name, marker=marker, **common))
    figure.update_yaxes(**axis([short(row["name"]) for row in rows]), autorange="reversed")
    ticks = ticks_of(floor, [row[name] for row in rows for name in _SHOWN if row.get(name)])
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[duration(tick) for tick in ticks])
    figure.update_layout(barmode="overlay", legend={"orientation": "h", "y": -0.12})
    return figure


_SHOWN = ("q3_ms", "p99_ms", "median_wait_ms")


def ticks_of(least: float, values: list[float]) -> tuple[int, ...]:
    """Few over many powers of ten, more where a few would be one or none."""
    return _FINE if max(values, default=least) < 200 * least else _TICKS


def _duration_text(row: dict[str, Any]) -> str:
    lines = [
        f"<b>{short(row['name'], 80)}</b>",
        f"{row['n']:,} executions, {row['n_measured']:,} measured, {duration(row['total_ms'])} in all",
        f"mean {duration(row['mean_ms'])}, median {duration(row['median_ms'])}, quartiles {duration(row['q1_ms'])} "
        f"to {duration(row['q3_ms'])}",
        f"p90 {duration(row['p90_ms'])}, p95 {duration(row['p95_ms'])}, p99 {duration(row['p99_ms'])}, longest "
        f"{duration(row['max_ms'])}",
    ]
    if row.get("n_waits"):
        lines.append(
            f"waited for a human {row['n_waits']:,} times: median {duration(row['median_wait_ms'])}, "
            f"{duration(row['total_wait_ms'])} in all"
        )
    if row.get("median_ttft_ms") is not None:
        lines.append(
            f"to the first token: median {duration(row['median_ttft_ms'])}, p95 {duration(row['p95_ttft_ms'])}"
        )
    return "<br>".join(lines)
