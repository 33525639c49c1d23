"""Transitions: pairs of causally consecutive steps, with the start and the end of each engagement."""

from __future__ import annotations

import polars as pl

from ..store.reconstruct import UNKNOWN_NAME
from .schema import TRANSITIONS, polars_schema

_SIDE = ["engagement_id", "step_id", "name", "turn", "ns", "started_at", "ended_at"]
_GOES_ON = ("active", "paused")


def transitions_frame(steps: pl.DataFrame, engagements: pl.DataFrame) -> pl.DataFrame:
    """The `transitions` frame from `step_rows` and the `engagements` frame.

    Steps name what caused them. In an engagement where none does (plain `Recorder` use), steps at the top follow one
    another in their order. A later turn's first step that names no cause follows the last step before it (`resume`).
    Starts and ends are of the engagement, so they are steps at the top.
    """
    caused = _caused(steps)
    tops = _followed(steps, caused)
    chained = tops.filter(~pl.col("_is_start"))
    starts = tops.filter("_is_start").with_columns(pl.lit(None, pl.String).alias("from_step_id"))
    inner = pl.concat([caused, _with_kind(chained)])
    moves = pl.concat([_with_kind(starts), inner])
    named = steps.select("engagement_id", pl.col("step_id").alias("from_step_id"), pl.col("name").alias("from_name"))
    named = named.unique(["engagement_id", "from_step_id"], keep="last")
    moves = moves.join(named, on=["engagement_id", "from_step_id"], how="left", maintain_order="left")
    lost = pl.col("from_step_id").is_not_null() & pl.col("from_name").is_null()
    moves = moves.with_columns(pl.when(lost).then(pl.lit(UNKNOWN_NAME)).otherwise("from_name").alias("from_name"))
    both = pl.concat([moves, _ends(steps, inner, engagements)], how="diagonal").sort("pos", maintain_order=True)
    return both.select(pl.col(name).cast(dtype) for name, dtype in polars_schema(TRANSITIONS).items())


def _with_kind(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        "pos", "engagement_id", "from_step_id", pl.col("step_id").alias("to_step_id"), pl.col("name").alias("to_name"),
        "kind", pl.col("started_at").alias("at"), "turn", "ns",
    )  # fmt: skip


def _caused(steps: pl.DataFrame) -> pl.DataFrame:
    """One row for each cause that a step names."""
    rows = steps.select("pos", *_SIDE, "attempt", "triggers", "routes")
    rows = rows.filter((pl.col("triggers").list.len() > 0) | pl.col("routes").is_not_null())
    pairs = _with_cause(rows, pl.col("triggers"))
    # Routes mostly repeat the triggers. Only where they do not, their keys are looked at, which takes far longer.
    n_routes = pl.col("routes").str.count_matches('":', literal=True)
    uneven = rows.filter(n_routes.fill_null(0) != pl.col("triggers").list.len()).select("pos")
    unlike = pairs.filter(pl.col("routes").is_not_null() & pl.col("kind").is_null()).select("pos")
    odd = pl.concat([uneven, unlike]).unique()
    keys = pl.col("routes").str.extract_all(r'"(?:[^"\\]|\\.)*":').list.eval(_unescaped(pl.element()))
    keys = keys.fill_null(pl.lit([], pl.List(pl.String)))
    both = pl.concat_list("triggers", keys).list.unique(maintain_order=True)
    pairs = pl.concat(
        [pairs.join(odd, on="pos", how="anti"), _with_cause(rows.join(odd, on="pos", how="semi"), both)]
    ).with_columns(pl.col("kind").fill_null("static"))
    # A retry or a resume is the same visit: what led to it has been counted with its first attempt.
    return _with_kind(
        pairs.filter((pl.col("attempt") == 1) | (pl.col("kind") == "resume")).sort("pos", maintain_order=True)
    )


def _with_cause(rows: pl.DataFrame, causes: pl.Expr) -> pl.DataFrame:
    """A row for each cause of each of `rows`, with its kind from the routes; null where they do not have it."""
    pairs = rows.with_columns(causes.alias("from_step_id")).explode("from_step_id", empty_as_null=True)
    pairs = pairs.filter(pl.col("from_step_id").is_not_null())
    quoted = pl.concat_str(pl.lit('"'), _escaped(pl.col("from_step_id")), pl.lit('":"'))
    kind = pl.col("routes").str.split(quoted).list.get(1, null_on_oob=True).str.extract(r"^(\w+)")
    return pairs.with_columns(kind.alias("kind"))


def _escaped(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)


def _unescaped(key: pl.Expr) -> pl.Expr:
    """A quoted JSON key with its colon, as the text that it stands for."""
    inner = key.str.head(-2).str.tail(-1)
    return inner.str.replace_all('\\"', '"', literal=True).str.replace_all("\\\\", "\\", literal=True)


def _followed(steps: pl.DataFrame, caused: pl.DataFrame) -> pl.DataFrame:
    """Steps at the top that name no cause, with the step that they follow (`from_step_id`) or `_is_start`."""
    has_causes = caused.select("engagement_id").unique().with_columns(pl.lit(True).alias("_causal"))
    is_caused = caused.select("engagement_id", pl.col("to_step_id").alias("step_id")).unique()
    is_caused = is_caused.with_columns(pl.lit(True).alias("_caused"))
    tops = steps.filter(pl.col("parent_step_id").is_null() & (pl.col("ns") == ""))
    tops = tops.join(has_causes, on="engagement_id", how="left", maintain_order="left")
    tops = tops.join(is_caused, on=["engagement_id", "step_id"], how="left", maintain_order="left")
    before = pl.col("step_id").shift(1).over("engagement_id")
    turn_before = pl.col("turn").shift(1).over("engagement_id")
    new_turn = (turn_before < pl.col("turn")).fill_null(False)
    # Of the step before a turn, for all steps of that turn: parallel entries follow the same one.
    before_turn = pl.when(new_turn).then(before).forward_fill().over("engagement_id")
    causal, again = pl.col("_causal").fill_null(False), pl.col("attempt") > 1
    tops = tops.with_columns(
        pl.when(causal).then(before_turn).otherwise(before).alias("from_step_id"),
        pl.when(new_turn | causal).then(pl.lit("resume")).otherwise(pl.lit("static")).alias("kind"),
    )
    tops = tops.filter(pl.col("_caused").is_null() & ~(again & pl.col("from_step_id").is_not_null() & ~new_turn))
    is_start = pl.col("from_step_id").is_null()
    return tops.with_columns(
        is_start.alias("_is_start"), pl.when(is_start).then(pl.lit("static")).otherwise("kind").alias("kind")
    )


def _ends(steps: pl.DataFrame, moves: pl.DataFrame, engagements: pl.DataFrame) -> pl.DataFrame:
    """Steps at the top, in the last turn of an engagement that ended, after which nothing came.

    Of the attempts of one visit it is the last after which nothing came, and only when nothing came after any of them.
    """
    over = engagements.filter(~pl.col("status").is_in(_GOES_ON)).select("engagement_id")
    tops = steps.with_columns(pl.col("pos").max().over("engagement_id").alias("_last_pos"))
    tops = tops.filter(pl.col("parent_step_id").is_null() & (pl.col("ns") == ""))
    tops = tops.filter(pl.col("turn") == pl.col("turn").max().over("engagement_id"))
    gone = moves.select("engagement_id", pl.col("from_step_id").alias("step_id")).drop_nulls().unique()
    last = tops.join(over, on="engagement_id", how="semi", maintain_order="left")
    went_on = gone.with_columns(pl.lit(True).alias("_went_on"))
    last = last.join(went_on, on=["engagement_id", "step_id"], how="left", maintain_order="left")
    # An attempt belongs to the first one before it; of several visits at once their number tells which.
    node = ["engagement_id", "name"]
    first = pl.when(pl.col("attempt") <= 1).then("pos").forward_fill()
    firsts = [first.over(*node, "visit")] if "visit" in last.columns else []
    last = last.with_columns(pl.coalesce(*firsts, first.over(node), pl.col("pos").min().over(node)).alias("_first"))
    last = last.filter(~pl.col("_went_on").fill_null(False).any().over(*node, "_first"))
    last = last.unique([*node, "_first"], keep="last", maintain_order=True)
    return last.select(
        pl.col("_last_pos").alias("pos"), "engagement_id", pl.col("step_id").alias("from_step_id"),
        pl.col("name").alias("from_name"), pl.lit("static").alias("kind"), pl.col("ended_at").alias("at"), "turn", "ns",
    )  # fmt: skip
