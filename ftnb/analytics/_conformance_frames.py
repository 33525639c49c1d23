"""From judged moves and held rules to the frames of `Conformance`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from ._declared import Declared, first_seen
from ._intervals import wilson
from ._rule_check import Held
from ._rules import Rule
from ._visits import Visits

_ARROW = " → "


def _move() -> pl.Expr:
    return pl.concat_str(pl.col("from_name").fill_null("(start)"), pl.lit(_ARROW), pl.col("to_name").fill_null("(end)"))


def by_engagement(
    rules: Sequence[Rule], held: Sequence[Held], declared: Declared, visits: Visits, moves: pl.DataFrame
) -> pl.DataFrame:
    """A row an engagement: see `Conformance.frame`."""
    judged = moves.filter(pl.col("is_declared").is_not_null())
    counts = judged.group_by("eng").agg(
        pl.len().cast(pl.Int64).alias("n_moves"),
        (~pl.col("is_declared")).sum().cast(pl.Int64).alias("n_undeclared"),
        _move().filter(~pl.col("is_declared")).alias("undeclared"),
    )
    broken = [
        one.broken.select("eng").unique().with_columns(pl.lit(str(rule)).alias("rule"), pl.lit(k).alias("k"))
        for k, (rule, one) in enumerate(zip(rules, held, strict=True))
    ]
    whole = visits.engagements.select("eng", "engagement_id", "status", (declared.of + 1).alias("version"))
    found = whole.join(counts, on="eng", how="left", maintain_order="left")
    nothing: Any = pl.lit([], pl.List(pl.String))
    if broken:
        lists = pl.concat(broken).sort("k").group_by("eng", maintain_order=True).agg(pl.col("rule").alias("broken"))
        pending = pl.concat([one.pending.alias("eng").to_frame() for one in held]).group_by("eng").agg(
            pl.len().cast(pl.Int64).alias("n_pending")
        )  # fmt: skip
        for part in (lists, pending):
            found = found.join(part, on="eng", how="left", maintain_order="left")
    else:
        found = found.with_columns(nothing.alias("broken"), pl.lit(0, pl.Int64).alias("n_pending"))
    found = found.with_columns(
        pl.col("n_moves", "n_undeclared", "n_pending").fill_null(0),
        pl.col("undeclared").fill_null(nothing), pl.col("broken").fill_null(nothing),
    )  # fmt: skip
    fitness = pl.when(pl.col("n_moves") > 0).then(1 - pl.col("n_undeclared") / pl.col("n_moves"))
    n_broken = pl.col("broken").list.len().cast(pl.Int64)
    return found.select(
        "engagement_id", "status", "version", "n_moves", "n_undeclared", fitness.alias("fitness"), "undeclared",
        n_broken.alias("n_broken"), "broken", "n_pending",
        ((pl.col("n_undeclared") == 0) & (n_broken == 0)).alias("fits"),
    )  # fmt: skip


def edges(declared: Declared, moves: pl.DataFrame) -> pl.DataFrame:
    """A row an edge: see `Conformance.edges`."""
    keys = ["from_name", "to_name"]
    judged = moves.filter(pl.col("is_declared").is_not_null())
    taken = judged.group_by(keys).agg(
        pl.len().cast(pl.Int64).alias("n"),
        (~pl.col("is_declared")).sum().cast(pl.Int64).alias("n_undeclared"),
        pl.col("eng").n_unique().cast(pl.Int64).alias("n_engagements"),
        pl.col("is_declared").any().alias("ever"),
    )
    # The newest version that has the edge says of what kind it is.
    kinds = {edge: kind for shape in declared.shapes for edge, kind in shape.edges.items()}
    known = pl.DataFrame(
        [(a, b, kind) for (a, b), kind in kinds.items()],
        schema={"from_name": pl.String, "to_name": pl.String, "kind": pl.String}, orient="row",
    )  # fmt: skip
    found = taken.join(known, on=keys, how="full", coalesce=True, nulls_equal=True)
    counts = ("n", "n_undeclared", "n_engagements")
    total = int(declared.of.count())
    # A move into a global node, or at the beginning of a turn, is declared without an edge of its own.
    is_declared = pl.col("kind").is_not_null() | pl.col("ever").fill_null(False)
    found = found.with_columns(pl.col(*counts).fill_null(0), is_declared.alias("declared"))
    state = pl.when(~pl.col("declared")).then(pl.lit("undeclared")).when(pl.col("n") == 0).then(pl.lit("never taken"))
    found = found.with_columns(
        (pl.col("n_engagements") / total if total else pl.lit(None, pl.Float64)).alias("share"),
        state.otherwise(pl.lit("taken")).alias("state"),
    )
    return found.select(*keys, "kind", "declared", *counts, "share", "state").sort(
        "n", *keys, descending=[True, False, False], nulls_last=False
    )


def nodes(declared: Declared, visits: Visits) -> pl.DataFrame:
    """A row a node: see `Conformance.nodes`."""
    with_graph = visits.engagements.filter(declared.of.is_not_null())["eng"]
    rows = visits.rows.filter(pl.col("eng").is_in(with_graph.implode()))
    counts = rows.group_by("code", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n_visits"), pl.col("eng").n_unique().cast(pl.Int64).alias("n_engagements")
    )
    found = counts.select(
        pl.Series(visits.names, dtype=pl.String).gather(counts["code"].cast(pl.Int64)).alias("name"),
        "n_visits", "n_engagements",
    )  # fmt: skip
    names = list(dict.fromkeys(name for shape in declared.shapes for name in shape.nodes))
    known = pl.DataFrame({"name": pl.Series(names, dtype=pl.String), "declared": [True] * len(names)},
                         schema={"name": pl.String, "declared": pl.Boolean})  # fmt: skip
    found = known.join(found, on="name", how="full", coalesce=True, maintain_order="left_right")
    found = found.with_columns(pl.col("n_visits", "n_engagements").fill_null(0), pl.col("declared").fill_null(False))
    missing = pl.when(pl.col("n_visits") == 0).then(pl.lit("never taken")).otherwise(pl.lit("taken"))
    state = pl.when(~pl.col("declared")).then(pl.lit("undeclared")).otherwise(missing)
    total = int(declared.of.count())
    share = pl.col("n_engagements") / total if total else pl.lit(None, pl.Float64)
    return found.select("name", "declared", "n_visits", "n_engagements", share.alias("share"), state.alias("state"))


def versions(declared: Declared, visits: Visits, moves: pl.DataFrame) -> pl.DataFrame:
    """A row a version of the graph: see `Conformance.versions`."""
    rows: list[dict[str, Any]] = []
    before_nodes: set[str] = set()
    before_edges: set[Any] = set()
    for version, shape in enumerate(declared.shapes):
        n, first_at, last_at = first_seen(visits.engagements, declared.of, version)
        here = moves.filter(pl.col("version") == version)
        wrong = here.filter(~pl.col("is_declared"))["eng"].n_unique()
        now_nodes, now_edges = set(shape.nodes), set(shape.edges)
        first = version == 0
        rows.append(
            {
                "version": version + 1, "n_engagements": n, "first_at": first_at, "last_at": last_at,
                "n_nodes": len(now_nodes), "n_edges": len(now_edges),
                "added_nodes": [] if first else sorted(now_nodes - before_nodes),
                "removed_nodes": sorted(before_nodes - now_nodes),
                "added_edges": [] if first else _said(now_edges - before_edges),
                "removed_edges": _said(before_edges - now_edges),
                "fitness": float(here["is_declared"].mean()) if here.height else None,  # type: ignore[arg-type]
                "n_fitting": n - wrong,
            }
        )  # fmt: skip
        before_nodes, before_edges = now_nodes, now_edges
    texts = pl.List(pl.String)
    schema: dict[str, Any] = {
        "version": pl.Int64, "n_engagements": pl.Int64, "first_at": pl.Datetime("us", "UTC"),
        "last_at": pl.Datetime("us", "UTC"), "n_nodes": pl.Int64, "n_edges": pl.Int64, "added_nodes": texts,
        "removed_nodes": texts, "added_edges": texts, "removed_edges": texts, "fitness": pl.Float64,
        "n_fitting": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _said(found: set[Any]) -> list[str]:
    return sorted(f"{a or '(start)'}{_ARROW}{b or '(end)'}" for a, b in found)


def by_rule(rules: Sequence[Rule], held: Sequence[Held], visits: Visits, confidence: float) -> pl.DataFrame:
    """A row a rule: see `Conformance.rules`."""
    ids = visits.engagements["engagement_id"]
    rows = []
    for rule, one in zip(rules, held, strict=True):
        broken = one.broken["eng"].unique().sort()
        pending = one.pending.filter(~one.pending.is_in(broken.implode()))
        asked, n_broken = len(one.asked), len(broken)
        decided = asked - len(pending)
        low, high = wilson(n_broken, decided, confidence) or (None, None)
        rows.append(
            {
                "rule": str(rule), "n_asked": asked, "n_kept": decided - n_broken, "n_broken": n_broken,
                "n_pending": len(pending), "broken_rate": n_broken / decided if decided else None, "broken_low": low,
                "broken_high": high, "n_breaks": one.broken.height,
                "engagement_id": ids[int(broken[0])] if n_broken else None,
            }
        )  # fmt: skip
    schema: dict[str, Any] = {
        "rule": pl.String, "n_asked": pl.Int64, "n_kept": pl.Int64, "n_broken": pl.Int64, "n_pending": pl.Int64,
        "broken_rate": pl.Float64, "broken_low": pl.Float64, "broken_high": pl.Float64, "n_breaks": pl.Int64,
        "engagement_id": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def violations(
    rules: Sequence[Rule], held: Sequence[Held], visits: Visits, moves: pl.DataFrame, everywhere: Visits
) -> pl.DataFrame:
    """A row an undeclared move or a break: see `Conformance.violations`."""
    wrong = moves.filter(~pl.col("is_declared"))
    at = pl.coalesce("to_row", "from_row")
    found = [
        wrong.select("eng", at.alias("row"), pl.lit(None, pl.String).alias("rule"), _move().alias("move"),
                     pl.lit(None, pl.Int64).alias("lag_us"))
        .pipe(_named, visits)
    ]  # fmt: skip
    for rule, one in zip(rules, held, strict=True):
        rows = one.broken.select("eng", "row", pl.lit(str(rule)).alias("rule"),
                                 pl.lit(None, pl.String).alias("move"), "lag_us")  # fmt: skip
        found.append(_named(rows, everywhere))
    whole = pl.concat(found).sort("eng", maintain_order=True)
    ids = visits.engagements["engagement_id"].gather(whole["eng"]).alias("engagement_id")
    return whole.select(ids, "rule", "step_id", "name", "move", (pl.col("lag_us") / 1000).alias("lag_ms"))


def _named(rows: pl.DataFrame, visits: Visits) -> pl.DataFrame:
    """`rows` with the name of the visit and the id of its first execution."""
    assert visits.places is not None
    firsts = visits.places.filter(~pl.col("again")).select(pl.col("place").alias("row"), "step_id")
    names = pl.Series("name", visits.names, pl.String).gather(visits.rows["code"].cast(pl.Int64))
    known = pl.DataFrame({"row": pl.int_range(visits.rows.height, dtype=pl.Int64, eager=True), "name": names})
    rows = rows.with_columns(pl.col("row").cast(pl.Int64))
    found = rows.join(known, on="row", how="left", maintain_order="left")
    return found.join(firsts, on="row", how="left", maintain_order="left").select(
        "eng", "rule", "step_id", "name", "move", "lag_us"
    )
