"""Funnels: how many engagements reached each of some steps, where the others stopped, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from ..core.errors import UnknownStepError
from ._engines import PolarsSteps
from ._funnel_cost import PriceSource, call_costs
from ._funnel_numbers import UNFINISHED, Evidence, numbers
from ._funnel_reach import Members, Reach, reach_of
from ._funnel_reading import Reading, chosen, ensure_clock, ensure_zones, latest, moment_us, reading_of
from ._funnel_result import Funnel, FunnelGroup, FunnelStep
from ._funnel_spec import Attempts, Mode, Spec, Step, Window, optional, spec_of
from ._funnel_split import grouped, needed_columns, with_codes
from ._intervals import checked_confidence
from ._source import Source, asked

__all__ = ["Funnel", "FunnelGroup", "FunnelStep", "funnel", "optional"]


def funnel(
    source: Source,
    order: Sequence[Step],
    *,
    where: Mapping[str, Any] | None = None,
    mode: Mode = "visited",
    within: Window | None = None,
    step_within: Mapping[str, Window] | None = None,
    exclude: Iterable[str] | Mapping[str, tuple[str, str]] | None = None,
    attempts: Attempts = "best",
    by: Any = None,
    nested: bool = True,
    prices: PriceSource | None = None,
    as_of: datetime | None = None,
    confidence: float = 0.95,
    branches: bool = False,
) -> Funnel:
    """How many engagements reached each step of `order`, where the others stopped, and what that cost.

    `source` is a store, opened traces, a path, or frames (steps, engagements, events; steps alone will do) of polars,
    pandas, DuckDB, Spark; rows are in the order of execution, in DuckDB and Spark by a column `seq`.

    An entry of `order` is a step's name, a tuple of alternatives, or `optional("refine")`. Modes:

    - `visited`: an engagement reached a step when it executed it at all, whatever else it did and in what order.
    - `ordered`: it executed the steps in this order, one execution a step; others in between do not matter.
    - `strict`: as `ordered`, with no other step in between; steps before and after do not matter.
    - `any`: it reached a step when it executed it and all steps before it in `order`, in whatever order.

    A retry or a resume is no execution of its own. Order is that of the log, never the clock; where the clock went
    back, no time has passed.

    - `within` ("1h", a timedelta): the longest time from the first step, inclusive; `step_within={"search": "5m"}`: the
      longest time to that step from the one before it that cannot be left out.
    - `exclude=["escalate"]`: steps that must not come between two steps of the funnel; a dict says between which:
      `{"escalate": ("search", "submitted")}`.
    - `attempts`: every execution of the first step begins an attempt. `best` counts for each engagement the one that
      got furthest (the first of these), `first` the first. `every` counts attempts in place of engagements; there, the
      next execution of the first step ends an attempt.
    - `nested=False` leaves out steps inside subgraphs and inside other steps.
    - `by` splits: a metadata key, a column of the engagements, a label of annotations, `"model"`, a dict of engagement
      ids, a frame of ids and values, or a column in the order of `.engagements()`.
    - `where` keeps engagements whose metadata equals it; None also stands for a key that is not there. Model calls
      recorded outside any workflow are left out, unless `where` says `standalone`; so are replays and forks, which
      debugging made, unless `branches`, or `where` asks for them (`{"ftnb_branch": "fork"}`), or nothing else is there.
    - `prices` gives money: see `Prices`. Of an unknown model the cost is unknown, and counted so.
    - `as_of`: when it is judged whether a window can still be met; the last time in the source when None.

    A step that nobody reached counts 0. A name that is neither recorded nor declared in any graph raises
    UnknownStepError (frames do not know the graphs, so there it counts 0); what cannot be asked, InvalidArgumentError.
    """
    spec = spec_of(order, mode=mode, within=within, step_within=step_within, exclude=exclude, attempts=attempts,
                   nested=nested)  # fmt: skip
    checked_confidence(confidence)
    moment = None if as_of is None else moment_us(as_of)
    reading = reading_of(source)
    ensure_zones(reading)
    if spec.needs_clock:
        ensure_clock(reading)
    columns = ["status", "dropped_at", "total_tokens", *needed_columns(by, reading)]
    engagements = chosen(reading, asked(where, branches), columns)
    if by is not None:
        engagements = with_codes(grouped(engagements, by, reading))
    engagements = engagements.drop("metadata", strict=False)
    reach = reach_of(reading.steps, spec, Members.of(engagements))
    _ensure_known(spec, reach, reading)
    calls = None if prices is None else call_costs(reading, spec, prices)
    evidence = _evidence(spec, engagements, reach, calls, moment if moment is not None else _now(spec, reading))
    groups = None
    if by is not None:
        groups = [
            FunnelGroup(value=value, total=part.engagements.height, steps=_steps(part, confidence))
            for value, part in _parts(evidence)
        ]
    result = Funnel(
        order=[item.label for item in spec.items],
        total=engagements.height,
        steps=_steps(evidence, confidence),
        mode=mode,
        attempts=attempts,
        n_attempts=evidence.paths.height if attempts == "every" else None,
        confidence=confidence,
        groups=groups,
    )
    return result.backed_by(evidence, reading)


def _steps(evidence: Evidence, confidence: float) -> list[FunnelStep]:
    return [FunnelStep(**row) for row in numbers(evidence, confidence)]


def _now(spec: Spec, reading: Reading) -> int | None:
    return latest(reading) if spec.within_us is not None else None


def _ensure_known(spec: Spec, reach: Reach, reading: Reading) -> None:
    seen = set(reach.spent["name"])
    missing = [name for name in spec.names if name not in seen]
    if not missing or reading.declared is None:
        return
    recorded = _recorded(reading)
    missing = [name for name in missing if name not in recorded]
    declared: set[str] = set()
    for name in reading.declared() if missing else ():
        declared.add(name)
        if name in missing:
            missing.remove(name)
            if not missing:
                return
    if missing:
        raise UnknownStepError.of(missing[0], declared | recorded, "any graph or record of these engagements")


def _recorded(reading: Reading) -> set[str]:
    steps = reading.steps
    if isinstance(steps, PolarsSteps):
        return set(steps.ask(pl.col("name").cast(pl.String).unique())["name"].drop_nulls())
    return set(steps.query("SELECT DISTINCT name FROM steps")["name"].drop_nulls())


def _evidence(
    spec: Spec, engagements: pl.DataFrame, reach: Reach, calls: pl.DataFrame | None, now_us: int | None
) -> Evidence:
    """What the funnel counts, of the engagements that were asked for."""

    going = engagements["status"].is_in(UNFINISHED)
    member = reach.paths["member"]
    told = [name for name in ("engagement_id", "total_tokens", "code") if name in engagements.columns]
    known = engagements.select(*told, going.alias("_going"), pl.col("dropped_at").is_null().alias("_undropped"))
    paths = reach.paths.hstack(known.select(pl.all().gather(member)))
    if "furthest" not in paths.columns:
        places = range(len(spec.items))
        furthest = pl.max_horizontal(pl.when(pl.col(f"x{k}")).then(pl.lit(k, pl.UInt32)) for k in places)
        paths = paths.with_columns(furthest.alias("furthest"))
    still = pl.col("_going")
    if spec.within_us is not None and now_us is not None:
        # Who was recorded as dropped is no question of time.
        young = (now_us - pl.col("t0") < spec.within_us) & pl.col("_undropped")
        still = still | young.fill_null(False)
    paths = paths.with_columns((still.fill_null(False) & pl.col("is_last")).alias("open"))
    paths = paths.drop("_going", "_undropped")
    if reach.turns is not None:
        paths = _with_waits(paths, reach.turns, len(spec.items))
    if calls is not None:
        calls = calls.join(engagements.select("engagement_id"), on="engagement_id", how="semi")
    return Evidence(spec, engagements, paths, reach.spent, calls)


def _with_waits(paths: pl.DataFrame, turns: pl.DataFrame, n: int) -> pl.DataFrame:
    """`w{k}`: how long the agent had waited between turns, up to the turn in which step k was reached (us)."""
    ordered = turns.sort("engagement_id", "turn")
    same = pl.col("engagement_id") == pl.col("engagement_id").shift(1)
    gap = pl.when(same).then(pl.col("begun") - pl.col("over").shift(1)).fill_null(0).clip(lower_bound=0)
    waits = ordered.with_columns(gap.alias("gap")).select(
        "engagement_id", "turn", pl.col("gap").cum_sum().over("engagement_id").alias("w")
    )
    for k in range(n):
        here = waits.rename({"turn": f"turn{k}", "w": f"w{k}"})
        paths = paths.join(here, on=["engagement_id", f"turn{k}"], how="left", maintain_order="left")
    reached = (pl.col(f"turn{k}").is_not_null() for k in range(n))
    return paths.with_columns(
        pl.when(is_there).then(pl.col(f"w{k}").fill_null(0)).alias(f"w{k}") for k, is_there in enumerate(reached)
    )


def _parts(evidence: Evidence) -> list[tuple[Any, Evidence]]:
    """The evidence of each group, in order of the values; engagements without one come last."""
    values = evidence.engagements.unique("code").sort("code")["group"]
    return [(value, part_of(evidence, code)) for code, value in enumerate(values)]


def part_of(evidence: Evidence, code: int) -> Evidence:
    """The evidence of one group."""
    is_here = pl.col("code") == code
    engagements = evidence.engagements.filter(is_here)
    calls = evidence.calls
    if calls is not None:
        calls = calls.join(engagements.select("engagement_id"), on="engagement_id", how="semi")
    spent = evidence.spent.filter(is_here)
    return Evidence(evidence.spec, engagements, evidence.paths.filter(is_here), spent, calls)
