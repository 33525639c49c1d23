"""The directly-follows graph where the steps are: DuckDB or Spark count, and answer with a row an edge.

What they answer is put together as `_flows` does it with polars, so that numbers agree to the last digit: times are
whole microseconds, and quartiles come as the two ranks between which they lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ..store.reconstruct import UNKNOWN_NAME
from ._moves import Relation
from ._sql import SqlSteps, quoted, text
from ._visits import OPEN, Level

_CAUSES = ("step_id", "turn", "started_at", "ended_at", "parent_step_id", "triggers")
_QUARTERS = (("q1_ms", 1), ("median_ms", 2), ("q3_ms", 3))


@dataclass(frozen=True)
class Graph:
    """What was counted, as `_flows` counts it."""

    names: list[str]
    edges: pl.DataFrame
    """`from_name`, `to_name` (null: start, end), `n`, `n_engagements`, quartiles, `wait_ms`, `total_tokens`."""
    nodes: pl.DataFrame
    """`name`, `n_visits`, `n_engagements`, quartiles, `total_tokens`."""


def graph_of(steps: SqlSteps, engagements: pl.DataFrame, relation: Relation, level: Level) -> Graph | None:
    """The graph of these engagements; None where the engine's rows need a closer look, one by one.

    That is: retries, engagements of the source that are not asked about or whose rows do not lie together, and causes
    that are not simply the step before.
    """
    asked = _Asked(steps, level)
    if not asked.is_told:
        return None
    each = steps.query(asked.engagements(relation))
    if each.is_empty() or not _is_plain(each, engagements, relation):
        return None
    nodes = steps.query(asked.nodes()).sort("first").rename({"a": "name"})
    moves = steps.query(asked.moves())
    status = engagements.select(pl.col("engagement_id").cast(pl.String).alias("e"), "status")
    ends = each.filter(pl.col("first_name").is_not_null()).join(status, on="e", how="left")
    parts = [_with_quartiles(moves).rename({"a": "from_name", "b": "to_name"}), *_at_the_ends(ends)]
    edges = pl.concat([part.select(_EDGE) for part in parts])
    return Graph(nodes["name"].to_list(), edges, _with_quartiles(nodes))


_EDGE = ("from_name", "to_name", "n", "n_engagements", "q1_ms", "median_ms", "q3_ms", "wait_ms", "total_tokens")


def _is_plain(each: pl.DataFrame, engagements: pl.DataFrame, relation: Relation) -> bool:
    ids = engagements["engagement_id"].cast(pl.String)
    if each["e"].null_count() or ids.n_unique() < len(ids) or not each["e"].is_in(ids.implode()).all():
        return False
    row = each.sort("low").select(
        (pl.col("low") > pl.col("high").shift(1)).fill_null(True).all().alias("together"),
        (pl.col("attempts") <= 1).all().alias("no_retries"),
        (pl.col("lost_turns") == 0).all().alias("turns"),
        (pl.col("is_chain") if relation == "causal" else pl.lit(1)).eq(1).all().alias("chain"),
    )
    return all(row.row(0))


def _at_the_ends(ends: pl.DataFrame) -> list[pl.DataFrame]:
    """The moves from the start and to the end; an engagement that may go on has no end yet."""
    count = pl.len().cast(pl.Int64)
    nothing = {name: pl.lit(None, pl.Float64) for name, _ in _QUARTERS}
    none = {"wait_ms": pl.lit(0.0), "n_engagements": pl.col("n")}
    starts = ends.group_by(pl.col("first_name").alias("to_name")).agg(n=count)
    starts = starts.with_columns(
        pl.lit(None, pl.String).alias("from_name"), total_tokens=pl.lit(0, pl.Int64), **nothing
    )
    over = ends.filter(~pl.col("status").is_in(OPEN)).group_by(pl.col("last_name").alias("from_name"))
    quartiles = (pl.col("us").quantile(q / 4, "linear").alias(name) for name, q in _QUARTERS)
    finished = over.agg(count.alias("n"), *quartiles, pl.col("tokens").sum().alias("total_tokens"))
    finished = in_ms(finished).with_columns(pl.lit(None, pl.String).alias("to_name"))
    return [starts.with_columns(**none), finished.with_columns(**none)]


def _with_quartiles(found: pl.DataFrame) -> pl.DataFrame:
    """Quartiles from the ranks around them, interpolated as polars does."""
    columns = []
    for name, q in _QUARTERS:
        place = (pl.col("measured") - 1).cast(pl.Float64) * (q / 4)
        low, high = (pl.col(f"{side}{q}").cast(pl.Float64) for side in ("low", "high"))
        columns.append(((place - place.floor()) * (high - low) + low).alias(name))
    return in_ms(found.with_columns(*columns, *([pl.col("waited").alias("wait_ms")] if "waited" in found else [])))


def in_ms(found: pl.DataFrame) -> pl.DataFrame:
    """Quartiles and waits, which are in microseconds so far, as milliseconds."""
    # Polars may divide by a scalar as a product with its reciprocal, which is off in the last digit; not by a column.
    thousand = pl.repeat(1000.0, found.height, dtype=pl.Float64, eager=True)
    names = [name for name in (*(name for name, _ in _QUARTERS), "wait_ms") if name in found.columns]
    return found.with_columns((found[name] / thousand).alias(name) for name in names)


class _Asked:
    """The statements, in the words of one engine."""

    def __init__(self, steps: SqlSteps, level: Level) -> None:
        self.steps, self.level = steps, level
        self.there = steps.schema
        self.text = "VARCHAR" if steps.engine == "duckdb" else "STRING"

    @property
    def is_told(self) -> bool:
        """Whether the columns are of kinds that are known here."""
        return all(name in self.there for name in ("engagement_id", "name", "duration_ms", "total_tokens")) and all(
            self.there[name].startswith("timestamp") for name in ("started_at", "ended_at") if name in self.there
        )

    def _column(self, name: str, otherwise: str) -> str:
        return quoted(self.steps, name) if name in self.there else otherwise

    def _base(self) -> str:
        """Every step: `e` `pos` `a` (name) `attempt` `turn` `inside` `t` `over` `us` `tokens`."""
        even = "round_even" if self.steps.engine == "duckdb" else "bround"
        times = {name: self.steps.micros(name) if name in self.there else "CAST(NULL AS BIGINT)"
                 for name in ("started_at", "ended_at")}  # fmt: skip
        inside = [f"coalesce({quoted(self.steps, 'ns')}, '') <> ''"] if "ns" in self.there else []
        inside += [f"{quoted(self.steps, 'parent_step_id')} IS NOT NULL"] if "parent_step_id" in self.there else []
        return f"""SELECT CAST(engagement_id AS {self.text}) AS e, pos,
            coalesce(CAST(name AS {self.text}), {text(self.steps, UNKNOWN_NAME)}) AS a,
            coalesce({self._column("attempt", "1")}, 1) AS attempt, {self._column("turn", "1")} AS turn,
            {" OR ".join(inside) or "FALSE"} AS inside, {times["started_at"]} AS t, {times["ended_at"]} AS over_at,
            CAST({even}(CAST(duration_ms AS DOUBLE) * 1000, 0) AS BIGINT) AS us,
            coalesce(CAST(total_tokens AS BIGINT), 0) AS tokens,
            {self._column("step_id", "NULL")} AS step_id, {self._causes()} FROM steps"""

    def _causes(self) -> str:
        if "triggers" not in self.there:
            return "0 AS n_causes, CAST(NULL AS BIGINT) AS cause"
        size = "len" if self.steps.engine == "duckdb" else "size"
        triggers = quoted(self.steps, "triggers")
        return f"coalesce({size}({triggers}), 0) AS n_causes, {self.steps.at(triggers, 0)} AS cause"

    def _visits(self) -> str:
        """The steps asked about, each with the one that follows it."""
        top = "" if self.level == "all" else "WHERE NOT inside"
        return f"""WITH base AS ({self._base()}),
            turns AS (SELECT e, turn, MIN(t) AS begun, MAX(greatest(t, coalesce(over_at, t))) AS over_at FROM base
                GROUP BY e, turn),
            gaps AS (SELECT e, turn, begun - lag(over_at) OVER (PARTITION BY e ORDER BY turn) AS gap FROM turns),
            waits AS (SELECT e, turn, SUM(CASE WHEN gap > 0 THEN gap ELSE 0 END)
                OVER (PARTITION BY e ORDER BY turn) AS waited FROM gaps),
            clocked AS (SELECT base.*, CAST(waited AS BIGINT) AS waited, t - CAST(waited AS BIGINT) AS clock FROM base
                LEFT JOIN waits ON base.e = waits.e AND base.turn = waits.turn),
            visits AS (SELECT e, pos, a, us, tokens, waited, clock,
                lead(a) OVER (PARTITION BY e ORDER BY pos) AS b,
                lead(clock) OVER (PARTITION BY e ORDER BY pos) - clock AS took,
                lead(waited) OVER (PARTITION BY e ORDER BY pos) - waited AS waited_between FROM clocked {top})"""

    def _ranked(self, rows: str, key: str, sums: str) -> str:
        """Counts, sums and the ranks around the quartiles of `us`, by `key`."""
        place = {q: f"CAST(floor((measured - 1) * {q} / 4.0) AS BIGINT)" for _, q in _QUARTERS}
        ranks = ", ".join(
            f"MAX(CASE WHEN place = {place[q]} THEN us END) AS low{q}, "
            f"MAX(CASE WHEN place = least({place[q]} + 1, measured - 1) THEN us END) AS high{q}"
            for _, q in _QUARTERS
        )
        return f""", counted AS (SELECT *, COUNT(us) OVER (PARTITION BY {key}) AS measured,
                row_number() OVER (PARTITION BY {key} ORDER BY us NULLS LAST) - 1 AS place FROM ({rows}) AS rows_of)
            SELECT {key}, MAX(measured) AS measured, {sums}, {ranks} FROM counted GROUP BY {key}"""

    def moves(self) -> str:
        """A row a pair of steps that follow one another."""
        rows = """SELECT e, a, b, coalesce(CASE WHEN took < 0 THEN 0 ELSE took END, us) AS us, tokens,
            CASE WHEN waited_between > 0 THEN waited_between ELSE 0 END AS waited FROM visits WHERE b IS NOT NULL"""
        sums = """CAST(COUNT(*) AS BIGINT) AS n, COUNT(DISTINCT e) AS n_engagements,
            CAST(SUM(waited) AS BIGINT) AS waited, CAST(SUM(tokens) AS BIGINT) AS total_tokens"""
        return self._visits() + self._ranked(rows, "a, b", sums)

    def nodes(self) -> str:
        """A row a step."""
        sums = """CAST(COUNT(*) AS BIGINT) AS n_visits, COUNT(DISTINCT e) AS n_engagements, MIN(pos) AS first,
            CAST(SUM(tokens) AS BIGINT) AS total_tokens"""
        return self._visits() + self._ranked("SELECT * FROM visits", "a", sums)

    def engagements(self, relation: Relation) -> str:
        """A row an engagement: where its rows lie, its first and last step, and whether its order tells all."""
        counts = "NOT inside" if self.level == "top" else "TRUE"
        caused = relation == "causal" and all(name in self.there for name in _CAUSES)
        # A step that names no cause follows the one before it only when no step of the engagement names any, or when
        # it begins a turn.
        follows = """CASE WHEN inside THEN 0 WHEN before_id IS NULL THEN CASE WHEN n_causes <= 0 THEN 1 ELSE 0 END
            WHEN n_causes = 1 AND cause = before_id THEN 1
            WHEN n_causes <= 0 AND before_turn < turn THEN 1 ELSE 0 END"""
        chain = f"""CASE WHEN COUNT(step_id) = COUNT(DISTINCT step_id) AND COUNT(step_id) = COUNT(*)
            AND (MIN({follows}) = 1 OR (MAX(n_causes) <= 0 AND MAX(CASE WHEN inside THEN 1 ELSE 0 END) = 0))
            THEN 1 ELSE 0 END"""
        ends = "arg_min({0}, pos) FILTER (WHERE {1})", "arg_max({0}, pos) FILTER (WHERE {1})"
        if self.steps.engine == "spark":
            ends = "min_by({0}, pos) FILTER (WHERE {1})", "max_by({0}, pos) FILTER (WHERE {1})"
        # Of values that may be null the engines skip those, so they travel inside an array.
        last = ends[1].format(self.steps.array("us", "tokens"), counts)
        return f"""WITH base AS ({self._base()}), placed AS (SELECT *,
                lag(step_id) OVER (PARTITION BY e ORDER BY pos) AS before_id,
                lag(turn) OVER (PARTITION BY e ORDER BY pos) AS before_turn FROM base),
            each AS (SELECT e, MIN(pos) AS low, MAX(pos) AS high, MAX(attempt) AS attempts,
                COUNT(*) - COUNT(turn) AS lost_turns, {chain if caused else "1"} AS is_chain,
                {ends[0].format("a", counts)} AS first_name, {ends[1].format("a", counts)} AS last_name, {last} AS final
                FROM placed GROUP BY e)
            SELECT e, low, high, attempts, lost_turns, is_chain, first_name, last_name,
                {self.steps.at("final", 0)} AS us, {self.steps.at("final", 1)} AS tokens FROM each"""
