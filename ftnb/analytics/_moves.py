"""Moves: from one visit of a node to the next, by cause or by order, with the start and the end of each engagement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import polars as pl

from ..core.errors import InvalidArgumentError
from ..frames._transitions import transitions_frame
from ._visits import OPEN, Level, Visits

Relation = Literal["causal", "sequence"]
_CAUSES = ("step_id", "turn", "started_at", "ended_at", "parent_step_id", "triggers")


@dataclass(frozen=True)
class Moves:
    """A row a move: `eng`, `from` and `to` (codes; null: start, end), `us` (from the start of the one to the start of
    the other, waits for a human taken out; of an end, the work of the last step; null: unknown), `waited`
    (microseconds waited for a human in between), `tokens` (of the step that it leaves)."""

    rows: pl.DataFrame
    names: list[str]
    """What codes stand for: those of the visits, and of steps whose record was lost."""


class LaterMoves:
    """Moves that are looked up only when somebody asks for engagements behind an edge."""

    def __init__(self, find: Callable[[], Moves]) -> None:
        self._find = find

    @cached_property
    def _moves(self) -> Moves:
        return self._find()

    @property
    def rows(self) -> pl.DataFrame:
        """As of `Moves`."""
        return self._moves.rows

    @property
    def names(self) -> list[str]:
        """As of `Moves`."""
        return self._moves.names


def checked_relation(relation: str) -> None:
    """Raises InvalidArgumentError for a relation that there is not."""
    if relation not in get_args(Relation):
        raise InvalidArgumentError(
            f"no relation {relation!r}; relations: causal (what led to what), sequence (what came next in the log)"
        )


def moves_of(visits: Visits, transitions: pl.DataFrame | None, *, level: Level) -> Moves:
    """All moves, by the causes in `transitions` (the frame of that name); without it, by the order of the visits."""
    if transitions is None or visits.places is None:
        return Moves(_sequence(visits), visits.names)
    if level == "top":
        transitions = transitions.filter(pl.col("ns") == "")
    if is_chain(transitions, visits.places):
        return Moves(_sequence(visits), visits.names)
    return _causal(transitions, visits)


def _sequence(visits: Visits) -> pl.DataFrame:
    rows = visits.rows
    same = rows["eng"].shift(-1) == rows["eng"]
    before = rows["eng"].shift(1) == rows["eng"]
    going = visits.engagements["status"].is_in(OPEN)
    on = same.fill_null(False)
    moves = rows.select(
        "eng",
        pl.col("code").alias("from"),
        pl.when(on).then(pl.col("code").shift(-1)).alias("to"),
        pl.when(on).then(_between(pl.col("clock"), pl.col("clock").shift(-1), pl.col("us"))).otherwise("us")
        .alias("us"),
        pl.when(on).then((pl.col("waited").shift(-1) - pl.col("waited")).clip(lower_bound=0)).otherwise(0)
        .alias("waited"),
        "tokens",
    )  # fmt: skip
    open_end = ~on & going.gather(rows["eng"])
    moves = moves.filter(~open_end) if open_end.any() else moves
    first = rows.filter(~before.fill_null(False)).select(
        "eng", pl.lit(None, pl.UInt32).alias("from"), pl.col("code").alias("to"), pl.lit(None, pl.Int64).alias("us"),
        pl.lit(0, pl.Int64).alias("waited"), pl.lit(0, pl.Int64).alias("tokens"),
    )  # fmt: skip
    return pl.concat([moves, first])


def _between(start: pl.Expr, end: pl.Expr, work: pl.Expr) -> pl.Expr:
    # A clock that was set back gives no negative time. Without clocks the work itself is what is known.
    return pl.coalesce((end - start).clip(lower_bound=0), work)


def transitions_from(steps: pl.DataFrame, engagements: pl.DataFrame) -> pl.DataFrame | None:
    """The `transitions` frame from frames that somebody brought; None when their columns do not tell causes."""
    if any(name not in steps.columns for name in _CAUSES):
        return None
    routes = pl.lit(None, pl.String).alias("routes")
    return transitions_frame(steps.with_row_index("pos").with_columns(routes), engagements)


def is_chain(transitions: pl.DataFrame, places: pl.DataFrame) -> bool:
    """Whether each step was caused by the one before it and by no other, so that order tells all.

    False where that cannot be told quickly; causes are then looked at one by one.
    """
    # After a retry, what follows may have been caused by any of its attempts.
    if not places["again"].not_().all():
        return False
    moves = transitions.filter(pl.col("to_step_id").is_not_null())
    if moves.height != places.height or not (moves["to_step_id"] == places["step_id"]).all():
        return False
    same = places["engagement_id"] == places["engagement_id"].shift(1)
    before = places.select(pl.when(same).then(pl.col("step_id").shift(1)))["step_id"]
    return bool(before.eq_missing(moves["from_step_id"]).all())


def _causal(transitions: pl.DataFrame, visits: Visits) -> Moves:
    numbered = visits.engagements.select("engagement_id", "eng")
    pairs = transitions.select("engagement_id", "from_step_id", "to_step_id", "from_name")
    pairs = pairs.join(numbered, on="engagement_id", how="inner", maintain_order="left")
    if visits.places is not None:
        known = visits.places.unique(["engagement_id", "step_id"], keep="last")
        for side in ("from", "to"):
            step_id = pl.col("step_id").alias(f"{side}_step_id")
            place = known.select("engagement_id", step_id, pl.col("place").alias(side), again=pl.col("again"))
            pairs = pairs.drop("again", strict=False)
            pairs = pairs.join(place, on=["engagement_id", f"{side}_step_id"], how="left", maintain_order="left")
    is_end = pl.col("to_step_id").is_null()
    pairs = pairs.filter(
        (is_end | pl.col("to").is_not_null())
        # What led to a visit led to its first attempt.
        & (is_end | ~pl.col("again").fill_null(False))
        & (pl.col("from") != pl.col("to")).fill_null(True)
    )
    # Attempts of one visit that led to the same are one move, and a visit that went on with any attempt is no end.
    has_from = pairs["from"].is_not_null()
    pairs = pl.concat([pairs.filter(has_from).unique(["from", "to"], maintain_order=True), pairs.filter(~has_from)])
    went_on = pairs["from"].filter(pairs["to"].is_not_null()).drop_nulls().unique()
    pairs = pairs.filter(pl.col("to_step_id").is_not_null() | ~pl.col("from").is_in(went_on.implode()))
    lost = pairs["from_step_id"].is_not_null() & pairs["from"].is_null()
    names = [*visits.names, *sorted(set(pairs["from_name"].filter(lost)) - set(visits.names))]
    rows = visits.rows
    codes, clock, waited = rows["code"], rows["clock"], rows["waited"]
    a, b = pairs["from"], pairs["to"]
    lost_code = pairs["from_name"].cast(pl.Enum(names), strict=False).to_physical().cast(pl.UInt32)
    found = pl.DataFrame(
        {
            "eng": pairs["eng"],
            "from": codes.gather(a),
            "to": codes.gather(b),
            "work": rows["us"].gather(a),
            "tokens": rows["tokens"].gather(a).fill_null(0),
            "begun": clock.gather(a),
            "next": clock.gather(b),
            "waited_a": waited.gather(a),
            "waited_b": waited.gather(b),
            "lost": lost,
            "lost_code": lost_code,
        }
    )
    on = pl.col("to").is_not_null()
    us = pl.when(on).then(_between(pl.col("begun"), pl.col("next"), pl.col("work"))).otherwise("work")
    wait = (pl.col("waited_b") - pl.col("waited_a")).clip(lower_bound=0).fill_null(0)
    moved = found.select(
        "eng", pl.when("lost").then("lost_code").otherwise("from").alias("from"), "to", us.alias("us"),
        wait.alias("waited"), "tokens",
    )  # fmt: skip
    return Moves(moved, names)
