"""The kernel of funnels in polars: for every engagement, the executions that reached each step.

Nothing is grouped and nothing loops over engagements. Rows lie engagement after engagement, so "the next execution of
this step" is one backward fill over whole columns, and following an engagement through the funnel is a look-up by row.
Linear in rows, also where an agent loops a thousand times.
"""

from __future__ import annotations

import polars as pl

from ._engines import head_rows
from ._funnel_plain import furthest, is_for
from ._funnel_rows import PAYLOAD, Rows, where
from ._funnel_spec import Spec, earlier_alike, stops_after


def paths(rows: Rows) -> pl.DataFrame:
    """One row an engagement that got anywhere; with attempts="every", one an attempt.

    `member`, `attempt` (from 1), `is_last` (no attempt after it), and for each step k `x{k}` (reached it) and
    `t{k}`, `d{k}` … as far as they are known; in mode `any` also `s{k}`, when the first of the steps up to it was; and
    `furthest`, the place of the last step that was reached, where that is known at once.
    """
    spec = rows.spec
    if spec.mode == "visited":
        found = _visited(rows)
    elif spec.mode == "any":
        found = _any(rows)
    else:
        found = furthest(rows) if is_for(spec) else _in_order(rows)
    told = [name for name in PAYLOAD if name in rows.frame.columns]
    values = rows.frame.select(told).with_columns(rows.t.alias("t")).rechunk()
    columns = [pl.lit(rows.members).gather(pl.lit(found["run"])).alias("member"), pl.lit(found["attempt"]),
               pl.lit(found["is_last"])]  # fmt: skip
    if "furthest" in found.columns:
        columns.append(pl.lit(found["furthest"]))
    for k in range(len(spec.items)):
        at = pl.lit(found[f"p{k}"])
        columns.append(at.is_not_null().alias(f"x{k}"))
        columns += [pl.col(name).gather(at).alias(f"{name}{k}") for name in told]
        if f"s{k}" in found.columns:
            columns.append(pl.col("t").gather(pl.lit(found[f"s{k}"])).alias(f"s{k}"))
    got = values.select(columns)
    if spec.mode in ("ordered", "strict"):
        return got  # each began with the first step
    return got.filter(pl.any_horizontal(pl.col(f"x{k}") for k in range(len(spec.items))))


def _once(rows: Rows, reached: dict[str, pl.Series]) -> pl.DataFrame:
    """One row an engagement."""
    whole = pl.DataFrame({"run": pl.int_range(len(rows.starts), eager=True), **reached})
    return whole.with_columns(pl.lit(1, pl.Int64).alias("attempt"), pl.lit(True).alias("is_last"))


def _visited(rows: Rows) -> pl.DataFrame:
    items = enumerate(rows.spec.items)
    return _once(rows, {f"p{k}": rows.at_or_after(frozenset(item.names), rows.starts, rows.ends) for k, item in items})


def _any(rows: Rows) -> pl.DataFrame:
    """For each step, the first execution with which it and all steps before it were executed within the window."""
    spec, row = rows.spec, pl.int_range(pl.len(), dtype=pl.Int64)
    start = rows.starts.gather(rows.run)
    latest: list[pl.Expr] = []
    for k, item in enumerate(spec.items):
        names = frozenset(item.names)
        # Of a step that comes for the n-th time in the order, the n-th latest execution.
        place = pl.when(rows.is_any(names)).then(row)
        for _ in range(earlier_alike(spec, k)):
            place = pl.when(rows.is_any(names)).then(place.shift(1).forward_fill())
        latest.append(place.forward_fill())
    frame = rows.frame.select(place.alias(f"l{k}") for k, place in enumerate(latest)).with_columns(
        start.alias("start"), rows.t.alias("t"), row.alias("i")
    )
    reached: dict[str, pl.Series] = {}
    for k in range(len(spec.items)):
        needed = [f"l{i}" for i in [*(m for m in spec.mandatory if m < k), k]]
        first = pl.min_horizontal(needed)
        whole = pl.all_horizontal(pl.col(name) >= pl.col("start") for name in needed).fill_null(False)
        if spec.within_us is not None:
            whole = whole & (pl.col("t") - pl.col("t").gather(first.fill_null(0)) <= spec.within_us)
        at = frame.select(pl.when(whole).then("i").backward_fill().alias("at"), first.alias("first"))
        found = at["at"].gather(rows.starts)
        found = where(found, found < rows.ends)
        reached[f"p{k}"], reached[f"s{k}"] = found, at["first"].gather(found)
    return _once(rows, reached)


def _in_order(rows: Rows) -> pl.DataFrame:
    begun = _begun(rows)
    if rows.spec.mode == "strict":
        found = _strictly(rows, begun)
    elif rows.spec.is_plain:
        found = _one_after_the_other(rows, begun)
    else:
        found = _by_completions(rows, begun)
    found = _within(rows, begun, found)
    if rows.spec.mode == "ordered":
        found |= _options(rows, begun, found)
    whole = begun.with_columns(at.alias(f"p{k}") for k, at in found.items())
    return _furthest(rows.spec, whole) if rows.spec.attempts == "best" else whole


def _begun(rows: Rows) -> pl.DataFrame:
    """The attempts to look at: `run`, `entry` (the row that reached the first step), `end`, `attempt`, `is_last`."""
    spec = rows.spec
    # With no limit of any kind, nobody who enters later gets further.
    first_is_best = spec.mode == "ordered" and spec.is_plain and spec.within_us is None
    if spec.attempts == "first" or (spec.attempts == "best" and first_is_best):
        entry = rows.at_or_after(frozenset(spec.items[0].names), rows.starts, rows.ends)
        frame = pl.DataFrame({"entry": entry, "end": rows.ends}).with_row_index("run").filter(
            pl.col("entry").is_not_null()
        )  # fmt: skip
        return frame.with_columns(
            pl.col("run").cast(pl.Int64), pl.lit(1, pl.Int64).alias("attempt"), pl.lit(True).alias("is_last")
        )
    entry = rows.executions(spec.items[0])
    run = rows.run_of(entry)
    frame = pl.DataFrame({"run": run, "entry": entry, "end": rows.ends.gather(run)})
    if spec.attempts == "best":
        return frame.with_columns(pl.lit(1, pl.Int64).alias("attempt"), pl.lit(True).alias("is_last"))
    heads = head_rows(run).cast(pl.Int64)
    is_head = pl.Series([False]).new_from_index(0, len(run)).scatter(heads, True)
    number = pl.int_range(len(run), eager=True)
    last = (frame["run"] != frame["run"].shift(-1)).fill_null(True)
    return frame.with_columns(
        pl.when(last).then("end").otherwise(pl.col("entry").shift(-1)).alias("end"),
        (number - heads.gather(is_head.cum_sum() - 1) + 1).alias("attempt"),
        last.alias("is_last"),
    )


Found = dict[int, pl.Series]
"""For each step, the rows that reached it, an attempt each; null where it was not reached."""


def _one_after_the_other(rows: Rows, begun: pl.DataFrame) -> Found:
    found = {0: begun["entry"]}
    at = begun["entry"]
    for k in rows.spec.mandatory[1:]:
        at = rows.at_or_after(frozenset(rows.spec.items[k].names), at + 1, begun["end"])
        found[k] = at
    return found


def _by_completions(rows: Rows, begun: pl.DataFrame) -> Found:
    """With limits between steps an earlier execution may be the worse one, so each goal is looked at on its own.

    From the goal back: for each execution of a step, the earliest execution of the goal that can be got to from it.
    Time never runs backwards, so of the executions that it can go on to, the earliest is the best one and the first
    to fall out of a limit: one look-up a row is enough.
    """
    spec, places = rows.spec, rows.spec.mandatory
    ends = rows.ends.gather(rows.run) if spec.attempts != "every" else _ends_of_attempts(rows, begun)
    found = {0: begun["entry"]}
    at = {k: rows.executions(spec.items[k]) for k in places}
    for goal in range(1, len(places)):
        done = _column(rows.n, at[places[goal]], at[places[goal]])
        for j in range(goal - 1, -1, -1):
            here, after = at[places[j]], spec.items[places[j + 1]]
            then = _next_open(rows, done, stops_after(spec, j), here, ends.gather(here))
            if after.within_us is not None:
                then = where(then, rows.t.gather(then) - rows.t.gather(here) <= after.within_us)
            done = _column(rows.n, here, done.gather(then))
        found[places[goal]] = done.gather(begun["entry"])
    return found


def _ends_of_attempts(rows: Rows, begun: pl.DataFrame) -> pl.Series:
    """For each row, where the attempt that it belongs to ends."""
    place = _column(rows.n, begun["entry"], begun["end"]).forward_fill()
    return place.fill_null(0)


def _column(n: int, at: pl.Series, values: pl.Series) -> pl.Series:
    """A column of n rows: `values` in the rows `at`, null elsewhere."""
    empty = pl.Series([None], dtype=pl.Int64).new_from_index(0, n)
    return empty.scatter(at, values.cast(pl.Int64))


def _next_open(rows: Rows, done: pl.Series, blocked: frozenset[str], here: pl.Series, end: pl.Series) -> pl.Series:
    """The next row in which `done` is not null, unless one of the names `blocked` comes before it."""
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    stop = pl.when(rows.is_any(blocked)).then(pl.lit(-1, pl.Int64)) if blocked else pl.lit(None, pl.Int64)
    target = pl.when(done.is_not_null()).then(row).otherwise(stop)
    following = rows.frame.select(target.backward_fill().alias("then"))["then"]
    then = following.gather(where(here + 1, here + 1 < end))
    return where(then, (then >= 0) & (then < end))


def _strictly(rows: Rows, begun: pl.DataFrame) -> Found:
    """Each step is the very next execution, or is left out when it may be."""
    spec = rows.spec
    found = {0: begun["entry"]}
    at = since = begun["entry"]
    open_ = at.is_not_null()
    for k, item in list(enumerate(spec.items))[1:]:
        then = at + 1
        then = where(then, (then < begun["end"]) & open_)
        then = where(then, rows.frame.select(rows.is_any(frozenset(item.names))).to_series().gather(then))
        if item.within_us is not None:
            then = where(then, rows.t.gather(then) - rows.t.gather(since) <= item.within_us)
        found[k] = then
        at = then.fill_null(-1).zip_with(then.is_not_null(), at)
        if not item.optional:
            open_ = then.is_not_null()
            since = at
    return found


def _within(rows: Rows, begun: pl.DataFrame, found: Found) -> Found:
    """Without what came after the window of the whole funnel."""
    limit = rows.spec.within_us
    if limit is None:
        return found
    begin = rows.t.gather(begun["entry"])
    return {k: at if k == 0 else where(at, rows.t.gather(at) - begin <= limit) for k, at in found.items()}


def _options(rows: Rows, begun: pl.DataFrame, found: Found) -> Found:
    """Optional steps: executed between the executions that reached the steps around them."""
    spec, places = rows.spec, rows.spec.mandatory
    got: Found = {}
    for k, item in enumerate(spec.items):
        if not item.optional:
            continue
        before = max(m for m in places if m < k)
        after = next((m for m in places if m > k), None)
        end = begun["end"] if after is None else found[after].fill_null(2**62).zip_with(
            found[after].is_not_null(), begun["end"]
        )  # fmt: skip
        then = rows.at_or_after(frozenset(item.names), found[before] + 1, end)
        blocked = stops_after(spec, places.index(before))
        if blocked:
            stop = rows.at_or_after(blocked, found[before] + 1, begun["end"])
            then = where(then, stop.is_null() | (stop >= then))
        if item.within_us is not None:
            then = where(then, rows.t.gather(then) - rows.t.gather(found[before]) <= item.within_us)
        got[k] = then
    return _within(rows, begun, got)


def _furthest(spec: Spec, whole: pl.DataFrame) -> pl.DataFrame:
    """Of the attempts of each engagement the one that got furthest; the first of these."""
    level = pl.sum_horizontal(pl.col(f"p{k}").is_not_null() for k in spec.mandatory)
    marked = whole.select("run", level.alias("level")).with_row_index("i")
    same = marked["run"] == marked["run"].shift(1)
    again = same.fill_null(False)
    if not again.any():
        return whole
    # Most engagements have one attempt: only the others are compared.
    several = again | again.shift(-1, fill_value=False)
    compared = marked.filter(several).sort("run", "level", "i", descending=[False, True, False])
    best = compared.filter((pl.col("run") != pl.col("run").shift(1)).fill_null(True))["i"]
    keep = (~several).scatter(best, True)
    return whole.filter(keep)
