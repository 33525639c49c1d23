"""Variants: the distinct paths that engagements took, how many took each, and how that went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl

from ..core.errors import InvalidArgumentError
from ._collapse import without_loops, without_repeats
from ._groups import attribute, label, of_group, place_of, shown_group
from ._kept import keeps_table
from ._paths import Paths, paths_of
from ._result import Result, counted
from ._source import Source, asked
from ._visits import OPEN, Level

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from ..figures.theme import Theme

Collapse = Literal["none", "repeats", "loops"]
_FOLD = {"repeats": without_repeats, "loops": without_loops}


@dataclass(frozen=True, repr=False, eq=False)
class Variants(Result):
    """The distinct paths, the most frequent first."""

    by: str | None
    groups: list[Any]
    totals: list[int]
    """Engagements of each group."""
    collapse: Collapse
    _frame: pl.DataFrame
    _members: pl.DataFrame = field(repr=False)
    """`group_code`, `rank`, `engagement_id`."""

    _shown = ("group", "rank", "n", "share", "cumulative_share", "success_rate", "median_ms", "median_tokens", "path")

    def frame(self) -> pl.DataFrame:
        """One row a variant (of each group).

        `group` (only with `by`), `rank` from 1, `path` (list of names), `n_steps`, `n` engagements, `share` of its
        group's, `cumulative_share` with all before it, `n_open` still active or paused, so that their path is not yet
        whole, `n_success` completed, `success_rate` of those that ended (null: none did), `n_dropped` abandoned or
        failed, `q1_ms median_ms q3_ms` from start to end without waits for a human, `median_tokens`, `total_tokens`;
        with `outcome` also `mean_outcome` and `n_outcome`, the engagements that have it; `engagement_id`, an example.
        """
        return self._frame

    def engagements(self, rank: int, *, group: Any = None) -> list[str]:
        """Ids of the engagements that took the variant of this rank, in the order of the source."""
        at = 0 if self.by is None else place_of(self.groups, group, self.by)
        found = self._members.filter((pl.col("group_code") == at) & (pl.col("rank") == rank))
        if found.is_empty():
            n = self._members.filter(pl.col("group_code") == at)["rank"].n_unique()
            ranks = f"ranks: 1 to {n}" if n else "there are none"
            raise InvalidArgumentError(f"no variant of rank {rank!r}; {ranks}")
        return found["engagement_id"].to_list()

    def _picked(self, key: Any, group: Any) -> pl.DataFrame:
        return pl.DataFrame({"engagement_id": self.engagements(key, group=shown_group(self.groups, group))})

    @keeps_table
    def figure(self, *, theme: Theme = "light", top: int = 15, group: Any = None) -> go.Figure:
        """The `top` variants as rows of coloured steps, with their shares; of one `group` (else the first)."""
        from ..figures import variants_figure

        frame, title = self._frame, self._title()
        if self.by is not None and self.groups:
            value = shown_group(self.groups, group)
            frame = of_group(frame, self.groups, value, self.by)
            title = f"{title}: {label(value)}"
        return variants_figure(frame.head(top), title=title, theme=theme)

    def _title(self) -> str:
        n = self._frame.height
        by = f" by {self.by}" if self.by else ""
        return f"{counted(n, 'variant')} of {counted(sum(self.totals), 'engagement')}{by}"


def variants(
    source: Source,
    *,
    where: Mapping[str, Any] | None = None,
    by: str | None = None,
    collapse: Collapse = "none",
    outcome: str | None = None,
    level: Level = "top",
    branches: bool = False,
) -> Variants:
    """The distinct paths of engagements, with counts, shares, success, time and tokens.

    Retries and resumes of a visit are no steps of their own. Steps that ran side by side come in the order of their
    names, so that the chance of who was first makes no variants. `collapse`: `repeats` folds a step that follows
    itself, `loops` any stretch that repeats at once. `outcome` names a column or metadata key with numbers or truth
    values, as a reward. `source`, `where`, `by`, `level` and `branches` are as for `directly_follows`.
    """
    if collapse not in get_args(Collapse):
        raise InvalidArgumentError(f"no collapse {collapse!r}; known: {', '.join(get_args(Collapse))}")
    paths = paths_of(source, asked(where, branches), by, level)
    engagements, groups = paths.visits.engagements, paths.groups
    of, distinct = _classes(paths, collapse)
    rows = pl.DataFrame(
        {
            "group_code": groups.of,
            "variant": of,
            "engagement_id": engagements["engagement_id"],
            "status": engagements["status"],
            "tokens": _tokens(paths),
            "active_ms": _active_ms(paths),
        }
    )
    more = []
    if outcome is not None:
        rows = rows.with_columns(_numbers(attribute(engagements, outcome, "outcome"), outcome))
        value = pl.col("outcome")
        more = [value.mean().alias("mean_outcome"), value.count().cast(pl.Int64).alias("n_outcome")]
    found = rows.group_by("group_code", "variant", maintain_order=True).agg(*_aggregates(), *more)
    names = pl.Series("path", [paths.names(path) for path in distinct], pl.List(pl.String))
    found = found.with_columns(names.gather(found["variant"]), groups.column(found["group_code"]))
    found = _ranked(found, groups.sizes)
    members = rows.join(
        found.select("group_code", "variant", "rank"), on=["group_code", "variant"], maintain_order="left"
    )
    order = ["rank", "path", "n_steps", "n", "share", "cumulative_share", "n_open", "n_success", "success_rate",
             "n_dropped", "q1_ms", "median_ms", "q3_ms", "median_tokens", "total_tokens",
             *(["mean_outcome", "n_outcome"] if more else []), "engagement_id"]  # fmt: skip
    return Variants(
        by, groups.values, groups.sizes, collapse, found.select(*(["group"] if by else []), *order),
        members.select("group_code", "rank", "engagement_id"),
    )  # fmt: skip


def _classes(paths: Paths, collapse: Collapse) -> tuple[pl.Series, list[list[int]]]:
    """For each engagement the number of its variant, and the variants as lists of codes."""
    same = paths.lists().group_by("path", maintain_order=True).agg("eng").with_row_index("raw")
    distinct: list[list[int]] = same["path"].to_list()
    of = same["raw"]
    if collapse != "none":
        numbers: dict[tuple[int, ...], int] = {}
        fold = _FOLD[collapse]
        of = pl.Series("raw", [numbers.setdefault(tuple(fold(path)), len(numbers)) for path in distinct], pl.UInt32)
        distinct = [list(path) for path in numbers]
    each = same.select(of.alias("variant"), "eng").explode("eng").sort("eng")
    return each["variant"], distinct


def _tokens(paths: Paths) -> pl.Series:
    """Tokens of each engagement, over all its steps, also those inside subgraphs."""
    tokens = pl.col("total_tokens").cast(pl.Int64).sum().alias("tokens")
    spent = paths.given.tables.steps.group_by("engagement_id").agg(tokens)
    every = paths.visits.engagements.select("engagement_id")
    return every.join(spent, on="engagement_id", how="left", maintain_order="left")["tokens"].fill_null(0)


def _active_ms(paths: Paths) -> pl.Series:
    """Time from start to end of each engagement without its pauses; null: not known, or not over."""
    engagements = paths.visits.engagements
    if "duration_ms" not in engagements.columns:
        return pl.repeat(None, engagements.height, dtype=pl.Float64, eager=True)
    waited = pl.col("wait_ms").fill_null(0.0) if "wait_ms" in engagements.columns else 0.0
    return engagements.select((pl.col("duration_ms") - waited).clip(lower_bound=0.0).alias("active_ms"))["active_ms"]


def _numbers(values: pl.Series, name: str) -> pl.Series:
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)) and values.null_count() < values.len():
        raise InvalidArgumentError(f"outcome={name!r} holds no numbers and no truth values, but {values.dtype}")
    return values.cast(pl.Float64, strict=False).alias("outcome")


def _aggregates() -> list[pl.Expr]:
    status, active = pl.col("status"), pl.col("active_ms")
    return [
        pl.len().cast(pl.Int64).alias("n"),
        status.is_in(OPEN).sum().cast(pl.Int64).alias("n_open"),
        (status == "completed").sum().cast(pl.Int64).alias("n_success"),
        status.is_in(["abandoned", "failed"]).sum().cast(pl.Int64).alias("n_dropped"),
        active.quantile(0.25, "linear").alias("q1_ms"),
        active.median().alias("median_ms"),
        active.quantile(0.75, "linear").alias("q3_ms"),
        pl.col("tokens").median().alias("median_tokens"),
        pl.col("tokens").sum().cast(pl.Int64).alias("total_tokens"),
        pl.col("engagement_id").first(),
    ]


def _ranked(found: pl.DataFrame, sizes: list[int]) -> pl.DataFrame:
    """The most frequent first; of equals the shorter, then by names: the same on every machine."""
    total = pl.Series(sizes, dtype=pl.Float64).gather(found["group_code"].cast(pl.Int64))
    over = pl.col("n") - pl.col("n_open")
    return (
        found.with_columns(
            pl.col("path").list.len().cast(pl.Int64).alias("n_steps"),
            (pl.col("n") / total).alias("share"),
            pl.when(over > 0).then(pl.col("n_success") / over).alias("success_rate"),
            pl.col("path").list.join("\x00").alias("_text"),
            total.alias("_total"),
        )
        .sort("group_code", -pl.col("n"), "n_steps", "_text")
        .with_columns(
            (pl.col("n").cum_sum().over("group_code") / pl.col("_total")).alias("cumulative_share"),
            pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("group_code").alias("rank"),
        )
    )
