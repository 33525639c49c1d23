"""Two groups of engagements in numbers: what they reach, how they end, what it takes, and the ways that they go.

Differences are b less a. Intervals are at 95 %: Newcombe's hybrid score interval for differences of shares (Newcombe
1998, Statistics in Medicine 17:873, method 10), Welch's for differences of means, with the normal quantile. They say
how far chance alone could carry a difference, and take no account of how many rows are looked at.
"""

from __future__ import annotations

from functools import cached_property
from html import escape
from math import sqrt
from typing import TYPE_CHECKING, Any

import polars as pl

from ..analytics import PriceSheet, prices
from ..analytics._funnel_reading import model_calls
from ..analytics._kept import keeps_table
from ..core.errors import InvalidArgumentError
from ._view import FAINT, STYLE

if TYPE_CHECKING:
    import plotly.graph_objects as go

_Z = 1.959963984540054
_ENDED = ("completed", "failed", "abandoned")
_SHOWN = 15


def wilson(k: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share of k in n; (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    p, z2 = k / n, _Z * _Z
    middle, spread = p + z2 / (2 * n), _Z * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max((middle - spread) / (1 + z2 / n), 0.0), min((middle + spread) / (1 + z2 / n), 1.0)


def difference(k_a: int, n_a: int, k_b: int, n_b: int) -> tuple[float | None, float | None, float | None]:
    """The difference of two shares, and its interval; None where a group has none."""
    if not n_a or not n_b:
        return None, None, None
    p_a, p_b = k_a / n_a, k_b / n_b
    (low_a, high_a), (low_b, high_b) = wilson(k_a, n_a), wilson(k_b, n_b)
    delta = p_b - p_a
    low = delta - sqrt((p_b - low_b) ** 2 + (high_a - p_a) ** 2)
    return delta, low, delta + sqrt((high_b - p_b) ** 2 + (p_a - low_a) ** 2)


class GroupDiff:
    """Two groups of engagements. As the last expression of a cell it shows itself."""

    def __init__(self, a: Any, b: Any, source: Any = None) -> None:
        """`a` and `b` are opened traces; their replays and forks are left out, unless they have nothing else. `source`
        is as for `ftnb.prices`."""
        self.a, self.b = repr(a), repr(b)
        sheet = prices(source)
        self.currency = sheet.currency
        """The currency of costs."""
        self._a, self._b = _Group(a, sheet), _Group(b, sheet)
        for name, group, said in (("first", self._a, self.a), ("second", self._b, self.b)):
            if not group.n:
                raise InvalidArgumentError(f"the {name} group is empty: no engagement in {said}")
        self.n_a, self.n_b = self._a.n, self._b.n
        """Engagements in each."""
        self.n_shared = len(self._a.ids & self._b.ids)
        """Engagements that are in both: they pull the groups together."""

    def frame(self) -> pl.DataFrame:
        """One row a step: ns, name, then of the engagements that reached it, of its time, tokens and errors.

        `reached` counts engagements, `reach_rate` is their share, with `reach_delta`, `reach_low` and `reach_high`;
        `median_duration_ms` is of one execution, `tokens_mean` of one engagement that reached it, `error_rate` the
        share of executions that failed, with its own difference and interval.
        """
        a, b = self._a.steps(), self._b.steps()
        rows = []
        for ns, name in dict.fromkeys([*a, *b]):
            one, other = a.get((ns, name), _NONE), b.get((ns, name), _NONE)
            row: dict[str, Any] = {"ns": ns, "name": name}
            row |= _share("reached", "reach", one[0], self.n_a, other[0], self.n_b)
            row |= {"n_runs_a": one[1], "n_runs_b": other[1]}
            row |= _pair("median_duration_ms", one[2], other[2]) | _pair("tokens_mean", one[3], other[3])
            row |= _share("errors", "error", one[4], one[1], other[4], other[1])
            rows.append(row)
        return pl.DataFrame(rows, schema=_STEPS)

    def outcomes(self) -> pl.DataFrame:
        """One row an outcome: how ended engagements ended, what they took, and each label that was put on engagements.

        `kind` is status, label (yes or no, and texts by value) or mean (of a number); `k` counts engagements of
        `n`; `value_a` and `value_b` are shares or means, with `delta`, `low` and `high`. `duration_ms`, `tokens` and
        `cost` are means of an engagement; cost is of those whose calls all have a price.
        """
        rows = [_outcome("status", name, self._a.ended(name), self._b.ended(name)) for name in _ENDED]
        for name in ("duration_ms", "tokens", "cost"):
            one, other = self._a.numbers(name), self._b.numbers(name)
            if any(one) or any(other):  # a group that calls no model says nothing by that
                rows.append(_mean(name, one, other))
        a, b = self._a.labels(), self._b.labels()
        for label in sorted({*a, *b}):
            rows += _labelled(label, a.get(label, []), b.get(label, []))
        return pl.DataFrame(rows, schema=_OUTCOMES)

    def transitions(self) -> pl.DataFrame:
        """One row a pair of consecutive steps (null: start or end): the share of engagements that went that way."""
        a, b = self._a.ways(), self._b.ways()
        rows = []
        for source, target in dict.fromkeys([*a, *b]):
            row: dict[str, Any] = {"from_name": source, "to_name": target}
            way = source, target
            rows.append(row | _share("engagements", "share", a.get(way, 0), self.n_a, b.get(way, 0), self.n_b))
        frame = pl.DataFrame(rows, schema=_WAYS)
        return frame.sort(pl.col("share_delta").abs(), descending=True, maintain_order=True)

    @keeps_table
    def figure(self) -> go.Figure:
        """How much more of b than of a reached each step, with intervals."""
        import plotly.graph_objects as go

        frame = self.frame().filter(pl.col("reach_delta").is_not_null())
        names: Any = [f"{ns}/{name}" if ns else name for ns, name in zip(frame["ns"], frame["name"], strict=True)]
        error = {
            "type": "data",
            "symmetric": False,
            "array": (frame["reach_high"] - frame["reach_delta"]).to_list(),
            "arrayminus": (frame["reach_delta"] - frame["reach_low"]).to_list(),
        }
        figure = go.Figure(
            go.Scatter(x=frame["reach_delta"].to_list(), y=names, mode="markers", error_x=error, name="b less a")
        )
        figure.add_vline(x=0, line_dash="dot")
        figure.update_layout(title=f"Reach of each step: b ({self.n_b:,}) less a ({self.n_a:,}), 95 % intervals")
        figure.update_xaxes(tickformat="+.0%")
        figure.update_yaxes(autorange="reversed")
        return figure

    def __repr__(self) -> str:
        lines = [f"a: {self.n_a:,} engagements, {self.a}", f"b: {self.n_b:,} engagements, {self.b}"]
        if self.n_shared:
            lines.append(f"{self.n_shared:,} engagements are in both")
        for row in self.outcomes().iter_rows(named=True):
            lines.append(f"  {row['name']}: {_number(row, 'value_a')} → {_number(row, 'value_b')}{_interval(row)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "<br>".join(escape(text) for text in repr(self).splitlines()[: 3 if self.n_shared else 2])
        steps = self.frame().select(
            "name", "reach_rate_a", "reach_rate_b", "reach_delta", "reach_low", "reach_high", "median_duration_ms_a",
            "median_duration_ms_b", "tokens_mean_a", "tokens_mean_b", "error_rate_a", "error_rate_b",
        )  # fmt: skip
        outcomes = self.outcomes().select("name", "value_a", "value_b", "delta", "low", "high")
        ways = self.transitions().select("from_name", "to_name", "share_rate_a", "share_rate_b", "share_delta")
        parts = [_html_table("how they ended", outcomes), _html_table("steps", steps), _html_table("ways", ways)]
        return f'<div style="{STYLE}">{head}{"".join(parts)}</div>'


_NONE: tuple[int, int, None, None, int] = (0, 0, None, None, 0)


class _Group:
    """One group's frames."""

    def __init__(self, traces: Any, sheet: PriceSheet) -> None:
        self._traces, self._sheet = traces, sheet
        engagements = _polars(traces.engagements())
        own = engagements.filter(pl.col("branch").is_null())
        self._engagements = engagements if own.is_empty() else own
        self._steps, self._moves, self._annotations = (
            _polars(rows).join(self._engagements, on="engagement_id", how="semi", maintain_order="left")
            for rows in (traces.steps(), traces.transitions(), traces.annotations())
        )
        self.ids = frozenset(self._engagements["engagement_id"])
        self.n = len(self.ids)

    def steps(self) -> dict[tuple[str, str], tuple[int, int, float | None, float | None, int]]:
        """By (ns, name): engagements, executions, median ms, tokens per engagement, failed executions."""
        found = self._steps.group_by("ns", "name", maintain_order=True).agg(
            pl.col("engagement_id").n_unique().alias("reached"),
            pl.len().alias("runs"),
            pl.col("duration_ms").median(),
            (pl.col("total_tokens").sum() / pl.col("engagement_id").n_unique()).alias("tokens"),
            (pl.col("status") == "failed").sum().alias("failed"),
        )
        return {(row[0], row[1]): tuple(row[2:]) for row in found.iter_rows()}

    def ended(self, status: str) -> tuple[int, int]:
        """Engagements that ended so, and all that ended."""
        ended = self._engagements.filter(pl.col("status").is_in(_ENDED))
        return ended.filter(pl.col("status") == status).height, ended.height

    def numbers(self, name: str) -> list[float]:
        """A number of each engagement that has one."""
        if name == "cost":
            return self._costs
        column = {"tokens": "total_tokens"}.get(name, name)
        return self._engagements[column].drop_nulls().cast(pl.Float64).to_list()

    @cached_property
    def _costs(self) -> list[float]:
        calls = model_calls(_polars(self._traces.events()).lazy()).collect()
        calls = calls.join(self._engagements, on="engagement_id", how="semi")
        if calls.is_empty():
            return []
        costs = calls.select("engagement_id", self._sheet.cost(calls))
        whole = costs.group_by("engagement_id", maintain_order=True).agg(
            pl.col("cost").sum(), pl.col("cost").null_count().alias("unpriced")
        )
        return whole.filter(pl.col("unpriced") == 0)["cost"].to_list()

    def labels(self) -> dict[str, list[Any]]:
        """The latest value of each label of each engagement."""
        latest: dict[tuple[str, str], Any] = {}
        for row in self._annotations.iter_rows(named=True):
            if row.get("step_id") is None:
                latest[row["label"], row["engagement_id"]] = row["text"] if row["value"] is None else row["value"]
        found: dict[str, list[Any]] = {}
        for (label, _), value in latest.items():
            found.setdefault(label, []).append(value)
        return found

    def ways(self) -> dict[tuple[str | None, str | None], int]:
        """Engagements by (from, to)."""
        counted = self._moves.group_by("from_name", "to_name", maintain_order=True).agg(
            pl.col("engagement_id").n_unique()
        )
        return {(row[0], row[1]): row[2] for row in counted.iter_rows()}


def _polars(frame: Any) -> pl.DataFrame:
    return frame if isinstance(frame, pl.DataFrame) else pl.from_pandas(frame)


def _share(counts: str, name: str, k_a: int, n_a: int, k_b: int, n_b: int) -> dict[str, Any]:
    delta, low, high = difference(k_a, n_a, k_b, n_b)
    return {
        f"{counts}_a": k_a,
        f"{counts}_b": k_b,
        f"{name}_rate_a": k_a / n_a if n_a else None,
        f"{name}_rate_b": k_b / n_b if n_b else None,
        f"{name}_delta": delta,
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _pair(name: str, a: float | None, b: float | None) -> dict[str, float | None]:
    return {f"{name}_a": a, f"{name}_b": b, f"{name}_delta": None if a is None or b is None else b - a}


def _outcome(kind: str, name: str, a: tuple[int, int], b: tuple[int, int]) -> dict[str, Any]:
    delta, low, high = difference(*a, *b)
    value_a, value_b = (k / n if n else None for k, n in (a, b))
    row: dict[str, Any] = {"kind": kind, "name": name, "k_a": a[0], "n_a": a[1], "k_b": b[0], "n_b": b[1]}
    return row | {"value_a": value_a, "value_b": value_b, "delta": delta, "low": low, "high": high}


def _labelled(label: str, a: list[Any], b: list[Any]) -> list[dict[str, Any]]:
    both = [*a, *b]
    if all(value in (0, 1) for value in both):  # yes and no are recorded as 1 and 0
        return [_outcome("label", label, (int(sum(a)), len(a)), (int(sum(b)), len(b)))]
    if all(isinstance(value, (int, float)) for value in both):
        return [_mean(label, [float(value) for value in a], [float(value) for value in b])]
    values = dict.fromkeys(str(value) for value in both)
    return [
        _outcome("label", f"{label}: {value}", *(((sum(str(v) == value for v in g)), len(g)) for g in (a, b)))
        for value in values
    ]


def _mean(label: str, a: list[float], b: list[float]) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": "mean", "name": label, "k_a": len(a), "n_a": len(a), "k_b": len(b), "n_b": len(b)}
    mean_a, mean_b = (sum(group) / len(group) if group else None for group in (a, b))
    delta = None if mean_a is None or mean_b is None else mean_b - mean_a
    spread = None
    if delta is not None and len(a) > 1 and len(b) > 1:
        spread = _Z * sqrt(_variance(a) / len(a) + _variance(b) / len(b))
    low, high = (None, None) if delta is None or spread is None else (delta - spread, delta + spread)
    return row | {"value_a": mean_a, "value_b": mean_b, "delta": delta, "low": low, "high": high}


def _variance(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _number(row: dict[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return "none"
    return f"{value:.3g}" if row["kind"] == "mean" else f"{value:.1%}"


def _interval(row: dict[str, Any]) -> str:
    if row["delta"] is None or row["low"] is None:
        return ""
    form = ".3g" if row["kind"] == "mean" else ".1%"
    return f" ({row['delta']:+{form}}, 95 %: {row['low']:+{form}} to {row['high']:+{form}})"


def _html_table(title: str, frame: pl.DataFrame) -> str:
    head = "".join(f'<th style="text-align:left;padding-right:10px">{escape(name)}</th>' for name in frame.columns)
    rows = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:left;padding-right:10px">{_cell(value)}</td>' for value in row)
        + "</tr>"
        for row in frame.head(_SHOWN).iter_rows()
    )
    more = f'<div style="{FAINT}">… {frame.height - _SHOWN:,} more</div>' if frame.height > _SHOWN else ""
    return f"<h4>{escape(title)}</h4><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return escape(f"{value:,.3f}" if isinstance(value, float) else str(value))


def _share_schema(counts: str, name: str) -> dict[str, Any]:
    rates = (f"{name}_rate_a", f"{name}_rate_b", f"{name}_delta", f"{name}_low", f"{name}_high")
    return {f"{counts}_a": pl.Int64, f"{counts}_b": pl.Int64, **dict.fromkeys(rates, pl.Float64)}


def _pair_schema(name: str) -> dict[str, Any]:
    return dict.fromkeys((f"{name}_a", f"{name}_b", f"{name}_delta"), pl.Float64)


_STEPS: dict[str, Any] = {
    "ns": pl.String, "name": pl.String, **_share_schema("reached", "reach"), "n_runs_a": pl.Int64,
    "n_runs_b": pl.Int64, **_pair_schema("median_duration_ms"), **_pair_schema("tokens_mean"),
    **_share_schema("errors", "error"),
}  # fmt: skip
_OUTCOMES: dict[str, Any] = {
    "kind": pl.String, "name": pl.String, **dict.fromkeys(("k_a", "n_a", "k_b", "n_b"), pl.Int64),
    **dict.fromkeys(("value_a", "value_b", "delta", "low", "high"), pl.Float64),
}  # fmt: skip
_WAYS: dict[str, Any] = {"from_name": pl.String, "to_name": pl.String, **_share_schema("engagements", "share")}


def group_diff(a: Any, b: Any, source: Any = None) -> GroupDiff:
    """Compare two groups of engagements, given as opened traces, with the prices of `source` (see `ftnb.prices`).

    Raises InvalidArgumentError for an empty one.
    """
    return GroupDiff(a, b, source)
