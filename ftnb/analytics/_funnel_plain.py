"""Ordered funnels without conditions between steps, which is what is mostly asked: the kernel in numpy.

The same as `_funnel_polars` finds, in fewer passes: an attempt that ends is not followed any further, and what is told
of executions is looked up only for the attempt of each engagement that got furthest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from ._funnel_rows import Rows
    from ._funnel_spec import Spec


def is_for(spec: Spec) -> bool:
    """Whether a funnel can be told this way."""
    plain = spec.mode == "ordered" and spec.is_plain and spec.attempts != "every"
    return plain and not any(item.optional for item in spec.items)


def furthest(rows: Rows) -> pl.DataFrame:
    """The attempt of each engagement that got furthest, the first of these: `run`, `attempt`, `is_last`, and `p{k}`,
    the row that reached step k."""
    import numpy as np

    spec, starts = rows.spec, rows.starts.to_numpy()
    entry = rows.places(spec.items[0])[:-1]
    run = np.searchsorted(starts, entry, side="right") - 1
    if len(run) and (spec.attempts == "first" or spec.within_us is None):
        # With no limit of any kind, nobody who enters later gets further.
        is_first = np.append(True, run[1:] != run[:-1])
        entry, run = entry[is_first], run[is_first]
    end = rows.ends.to_numpy()[run]
    level = np.zeros(len(entry), dtype=np.int64)
    found = []
    who, at = np.arange(len(entry)), entry
    clock = None if spec.within_us is None else rows.t.to_numpy()
    for item in spec.items[1:]:
        places = rows.places(item)
        then = places[np.searchsorted(places[:-1], at + 1)]
        goes_on = then < end[who]
        who, at = who[goes_on], then[goes_on]
        if clock is not None:
            # Time never runs backwards, so who is late for one step is late for all after it.
            in_time = clock[at] - clock[entry[who]] <= spec.within_us
            who, at = who[in_time], at[in_time]
        level[who] += 1
        found.append((who, at))
    best = _best(run, level)
    columns = {"run": run[best], "p0": entry[best], "furthest": level[best].astype(np.uint32)}
    for k, (who, at) in enumerate(found, 1):
        reached = np.full(len(entry), -1, dtype=np.int64)
        reached[who] = at
        columns[f"p{k}"] = reached[best]
    nowhere = pl.col("^p[0-9]+$")
    return pl.DataFrame(columns).with_columns(
        pl.when(nowhere >= 0).then(nowhere), pl.lit(1, pl.Int64).alias("attempt"), pl.lit(True).alias("is_last")
    )


def _best(run: Any, level: Any) -> Any:
    """For each run of equal numbers, the place of the highest level in it, the first of these."""
    import numpy as np

    heads = np.flatnonzero(np.append(True, run[1:] != run[:-1])) if len(run) else np.empty(0, dtype=np.int64)
    if len(heads) == len(run):
        return np.arange(len(run))
    last = (1 << 40) - 1
    score = (level << 40) + (last - np.arange(len(run)))
    return last - (np.maximum.reduceat(score, heads) & last)
