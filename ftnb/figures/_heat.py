"""Heat maps: the step matrix, cohorts, directly-follows probabilities and the difference of two graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ._scales import axis, diverging, duration, height, nothing, percent, sequential, short, side
from .theme import Theme, headline, template

if TYPE_CHECKING:
    import polars as pl

_STATES = {"ended": "(ended)", "open": "(still open)", "not_begun": "(not begun)"}
_MAX_NAMES = 40
_MAX_TEXT_CELLS = 900
"""Beyond this many cells numbers in them are too small to read; hovering still tells them."""


def _heat(
    values: Sequence[Sequence[float | None]],
    hovers: Sequence[Sequence[str]],
    xs: Sequence[str],
    ys: Sequence[str],
    *,
    title: str,
    theme: Theme,
    most: float = 1.0,
    least: float = 0.0,
    texts: Sequence[Sequence[str]] | None = None,
    x_title: str = "",
) -> go.Figure:
    """Rows of `values` from the top; what is None stays empty."""
    figure = go.Figure()
    figure.update_layout(template=template(theme), title={"text": headline(title)}, height=height(len(ys), row=30))
    if not ys or not xs:
        return nothing(figure)
    small = len(xs) * len(ys) <= _MAX_TEXT_CELLS
    shown = texts or [[percent(value, 0) if value else "" for value in row] for row in values]
    options: dict[str, Any] = {
        "z": values,
        "x": list(range(len(xs))),
        "y": list(range(len(ys))),
        "customdata": hovers,
        "colorscale": diverging(theme) if least < 0 else sequential(theme),
        **({"text": shown, "texttemplate": "%{text}"} if small else {}),
    }
    figure.add_trace(
        go.Heatmap(
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=False,
            zmin=least,
            zmax=most,
            xgap=1,
            ygap=1,
            colorbar={"tickformat": ".0%", "thickness": 12, "outlinewidth": 0},
            **options,
        )
    )
    figure.update_xaxes(**axis(xs), side="top", title={"text": x_title, "font": {"size": 12}, "standoff": 4})
    figure.update_yaxes(**axis(ys), autorange="reversed")
    # Labels stand above the matrix, and the title above these.
    figure.update_layout(margin={"t": 120 if any(len(x) > 4 for x in xs) else 100})
    return figure


def step_matrix_figure(frame: pl.DataFrame, *, title: str = "Step matrix", theme: Theme = "light") -> go.Figure:
    """A row a step, a column a place in the path, from the frame of `analytics.StepMatrix`."""
    rows = frame.to_dicts()
    places = sorted({row["index"] for row in rows})
    weight: dict[tuple[str, str | None], int] = {}
    place: dict[tuple[str, str | None], int] = {}
    for row in rows:
        key = (row["state"], row["name"])
        weight[key] = weight.get(key, 0) + row["n"]
        place[key] = place.get(key, 0) + row["n"] * row["index"]
    most = sorted((key for key in weight if key[0] == "step"), key=lambda key: -weight[key])[:_MAX_NAMES]
    steps = sorted(most, key=lambda key: place[key] / weight[key])
    keys = [*steps, *(key for key in weight if key[0] != "step")]
    cells = {((row["state"], row["name"]), row["index"]): row for row in rows}
    labels = [short(name) if name is not None else _STATES[state] for state, name in keys]

    def hover(label: str, place: int, row: dict[str, Any] | None) -> str:
        if row is None:
            return f"<b>{label}</b> at step {place}: nobody"
        return f"<b>{label}</b> at step {place}<br>{row['n']:,} engagements, {percent(row['share'])}"

    figure = _heat(
        [[(cells.get((key, place)) or {"share": 0.0})["share"] for place in places] for key in keys],
        [
            [hover(label, place, cells.get((key, place))) for place in places]
            for label, key in zip(labels, keys, strict=True)
        ],
        [str(place) for place in places],
        labels,
        title=title,
        theme=theme,
        x_title="step",
    )
    figure.update_traces(
        meta=[[[place, key[1]] if key[0] == "step" and (key, place) in cells else None for place in places]
              for key in keys]
    )  # fmt: skip
    return figure


def cohorts_figure(
    frame: pl.DataFrame, *, period: str = "week", title: str = "Cohorts", theme: Theme = "light"
) -> go.Figure:
    """A row a cohort, a column a period after its first, from the frame of `analytics.Cohorts`.

    A star marks the period that may not be over.
    """
    rows = frame.to_dicts()
    cohorts = {row["cohort_at"]: row["size"] for row in rows}
    offsets = list(range(max((row["offset"] for row in rows), default=-1) + 1))
    cells = {(row["cohort_at"], row["offset"]): row for row in rows}

    def value(row: dict[str, Any] | None) -> float | None:
        return None if row is None else row["returning_rate"]

    def text(row: dict[str, Any] | None) -> str:
        return "" if row is None else percent(row["returning_rate"], 0) + ("" if row["is_complete"] else "*")

    def hover(row: dict[str, Any] | None) -> str:
        if row is None:
            return "not yet"
        soon = "" if row["is_complete"] else f"<br>this {period} may not be over"
        return (
            f"<b>first came in the {period} of {row['cohort_at']:%Y-%m-%d}</b><br>{period} {row['offset']}: "
            f"{row['n_users']:,} of {row['size']:,} users, {percent(row['returning_rate'])}<br>"
            f"{row['n_engagements']:,} engagements{soon}"
        )

    table = [[cells.get((at, offset)) for offset in offsets] for at in cohorts]
    return _heat(
        [[value(row) for row in line] for line in table],
        [[hover(row) for row in line] for line in table],
        [str(offset) for offset in offsets],
        [f"{at:%Y-%m-%d}  ({size:,})" for at, size in cohorts.items()],
        title=title,
        theme=theme,
        texts=[[text(row) for row in line] for line in table],
        x_title=f"{period}s later",
    )


def flow_matrix_figure(
    edges: pl.DataFrame, nodes: pl.DataFrame, *, title: str = "Directly-follows graph", theme: Theme = "light"
) -> go.Figure:
    """Probabilities of what follows what, a row each step, from the frames of `analytics.DirectlyFollows`."""
    names: list[str | None] = list(_most(nodes, "n_visits"))
    cells = {(row["from_name"], row["to_name"]): row for row in edges.to_dicts()}
    sources, targets = [None, *names], [*names, None]
    keys = [[["edge", a, b] if (a, b) in cells else None for b in targets] for a in sources]

    def hover(a: str | None, b: str | None) -> str:
        row = cells.get((a, b))
        head = f"<b>{side(a, 'start')} → {side(b, 'end')}</b>"
        if row is None:
            return f"{head}<br>never"
        return f"{head}<br>{_edge_text(row)}"

    figure = _heat(
        [[(cells.get((a, b)) or {"probability": 0.0})["probability"] for b in targets] for a in sources],
        [[hover(a, b) for b in targets] for a in sources],
        [side(name, "end") for name in targets],
        [side(name, "start") for name in sources],
        title=title,
        theme=theme,
    )
    figure.update_traces(meta=keys)
    return figure


def _most(nodes: pl.DataFrame, column: str) -> list[str]:
    """The names with most of `column`, in the order that they have."""
    kept = set(nodes.sort(column, descending=True)["name"].head(_MAX_NAMES))
    return [name for name in nodes["name"] if name in kept]


def cost_text(row: dict[str, Any]) -> str:
    """What a row with `cost` and `n_unpriced` cost, as text."""
    known = "unknown" if row["cost"] is None else f"{row['cost']:,.4g}"
    return f"cost: {known}" + (f", and {row['n_unpriced']:,} calls of unknown cost" if row["n_unpriced"] else "")


def _signed(change: float) -> str:
    return "" if abs(change) < 0.005 else f"{change:+.0%}"


def _edge_text(row: dict[str, Any]) -> str:
    lines = [
        f"{row['n']:,} moves in {row['n_engagements']:,} engagements ({percent(row['share'])})",
        f"follows in {percent(row['probability'])} of cases",
        f"median {duration(row['median_ms'])}, quartiles {duration(row['q1_ms'])} to {duration(row['q3_ms'])}",
        f"waited for a human: {duration(row['wait_ms'])} in all",
        f"tokens of the step that it leaves: {row['total_tokens']:,}",
    ]
    if "cost" in row:
        lines.append(cost_text(row))
    return "<br>".join(lines)


def flow_difference_figure(
    edges: pl.DataFrame,
    nodes: pl.DataFrame,
    *,
    names: tuple[str, str],
    title: str = "Difference",
    theme: Theme = "light",
) -> go.Figure:
    """Differences in the share of engagements that took an edge, from the frames of `analytics.FlowDifference`."""
    rows = edges.to_dicts()
    weight = (nodes["share_before"] + nodes["share_after"]).alias("weight")
    steps: list[str | None] = list(nodes.select("name", weight).sort(-weight, "name")["name"].head(_MAX_NAMES))
    cells = {(row["from_name"], row["to_name"]): row for row in rows}
    sources, targets = [None, *steps], [*steps, None]
    a_name, b_name = (short(name) for name in names)

    def value(row: dict[str, Any] | None) -> float | None:
        return None if row is None else row["share_difference"]

    def hover(a: str | None, b: str | None) -> str:
        row = cells.get((a, b))
        head = f"<b>{side(a, 'start')} → {side(b, 'end')}</b>"
        if row is None:
            return f"{head}<br>in neither"
        return (
            f"{head}<br>{a_name}: {percent(row['share_before'])} of engagements, {row['n_before']:,} moves"
            f"<br>{b_name}: {percent(row['share_after'])} of engagements, {row['n_after']:,} moves"
            f"<br>median {duration(row['median_before_ms'])} → {duration(row['median_after_ms'])}"
        )

    table = [[cells.get((a, b)) for b in targets] for a in sources]
    most = max((abs(row["share_difference"]) for row in rows), default=0.0) or 1.0
    figure = _heat(
        [[value(row) for row in line] for line in table],
        [[hover(a, b) for b in targets] for a in sources],
        [side(name, "end") for name in targets],
        [side(name, "start") for name in sources],
        title=title,
        theme=theme,
        least=-most,
        most=most,
        texts=[["" if row is None else _signed(row["share_difference"]) for row in line] for line in table],
    )
    return figure
