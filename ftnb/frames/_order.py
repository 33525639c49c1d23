"""The order of the fold, and which execution of a step each record belongs to: in numbers, over all records at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

_KEYS = ("engagement_id", "turn", "stream_id", "n")


@dataclass(frozen=True)
class Order:
    """Where the records of some tables lie among all of them."""

    tables: list[pl.DataFrame]
    """Each in order, with `number`, that of the engagement (by first seq), and `pos`, the place among all records."""
    engagements: Any
    """The key of each engagement, by number."""
    n_turns: Any
    """The highest turn of each engagement."""


def ordered(tables: Sequence[pl.DataFrame]) -> Order:
    """`tables` (each by seq; ids are keys, small integers) in the order of the fold: engagement after engagement, and
    within one by turn, stream (by first seq) and position."""
    import numpy as np

    counts = [table.height for table in tables]
    # A stable sort of some sorted runs merges them.
    by_seq = np.argsort(_whole(tables, "seq"), kind="stable")
    engagement, turn, stream, n = (_whole(tables, name)[by_seq] for name in _KEYS)
    number, engagements = _numbered(engagement)
    stream, _ = _numbered(stream)
    if not _rises(number, turn, stream, n):
        again = np.lexsort((n, stream, turn, number))
        by_seq, number, turn = by_seq[again], number[again], turn[again]
    pos, numbers = np.empty(len(by_seq), dtype=np.int64), np.empty(len(by_seq), dtype=np.int64)
    pos[by_seq], numbers[by_seq] = np.arange(len(by_seq)), number
    ends = np.cumsum(counts)
    found = []
    for table, begin, end in zip(tables, ends - counts, ends, strict=True):
        here = table.with_columns(pl.Series("pos", pos[begin:end]), pl.Series("number", numbers[begin:end]))
        found.append(here if _rises(pos[begin:end]) else here.sort("pos"))
    heads = np.flatnonzero(np.diff(number, prepend=-1))
    n_turns = np.maximum.reduceat(turn, heads) if len(heads) else turn
    return Order(found, engagements, n_turns)


def _whole(tables: Sequence[pl.DataFrame], name: str) -> Any:
    import numpy as np

    return np.concatenate([table[name].to_numpy() for table in tables]).astype(np.int64, copy=False)


def _numbered(keys: Any) -> tuple[Any, Any]:
    """Each key as a number, from 0 in the order in which they first come; and the keys by number."""
    import numpy as np

    if not len(keys):
        return keys, keys
    first = np.full(int(keys.max()) + 1, len(keys), dtype=np.int64)
    first[keys[::-1]] = np.arange(len(keys) - 1, -1, -1)  # of several, the last that is written is the first
    known = np.flatnonzero(first < len(keys))
    known = known[np.argsort(first[known], kind="stable")]
    first[known] = np.arange(len(known))
    return first[keys], known


def _rises(*keys: Any) -> bool:
    """Whether rows are in the order of these keys, the first before the second and so on."""
    import numpy as np

    rises = np.ones(max(len(keys[0]) - 1, 0), dtype=bool)
    for key in reversed(keys):
        step = np.diff(key)
        rises = (step > 0) | ((step == 0) & rises)
    return bool(rises.all())


def with_executions(starts: pl.DataFrame, others: Sequence[pl.DataFrame]) -> tuple[list[pl.DataFrame], bool]:
    """`starts` and `others` (records of steps; `pos`, `number`, `step_id`) with `execution`, a number from 0, and
    `run`, which start of its step id a record belongs to (0: one whose start was lost); and whether every step has one
    start, and no record came before it.
    """
    found = _after_one_start(starts, others)
    if found is not None:
        return found, True
    tables = [starts, *others]
    keys = pl.concat(
        table.select("pos", "number", "step_id", pl.lit(place).alias("part")) for place, table in enumerate(tables)
    ).sort("pos")
    step = pl.struct("number", "step_id").rank("dense")
    numbered = keys.with_columns(step.alias("step")).with_columns(
        (pl.col("part") == 0).cum_sum().over("step").alias("run")
    )
    execution = pl.struct("step", "run").rank("dense").cast(pl.Int64) - 1
    numbered = numbered.with_columns(execution.alias("execution")).select("part", "pos", "run", "execution")
    parts = [numbered.filter(pl.col("part") == place) for place in range(len(others) + 1)]
    tables = [starts, *others]
    return [
        table.with_columns(part["run"], part["execution"]) for table, part in zip(tables, parts, strict=True)
    ], False


def _after_one_start(starts: pl.DataFrame, others: Sequence[pl.DataFrame]) -> list[pl.DataFrame] | None:
    """The same where each step has one start, which comes before its other records, as it nearly always is; else None.

    Mostly a record belongs to the step that began last before it.
    """
    import numpy as np

    if not _all_differ(starts["step_id"]):
        return None
    begun, number, ids = starts["pos"].to_numpy(), starts["number"].to_numpy(), starts["step_id"]
    found = [starts.with_columns(pl.lit(1, pl.UInt32).alias("run"), pl.int_range(pl.len()).alias("execution"))]
    for table in others:
        if not starts.height and table.height:
            return None
        pos, step_id = table["pos"].to_numpy(), table["step_id"]
        at = np.maximum(np.searchsorted(begun, pos) - 1, 0)
        elsewhere = (ids.gather(at) != step_id).arg_true() if table.height else pl.Series([], dtype=pl.UInt32)
        if len(elsewhere):
            places = pl.DataFrame({"step_id": ids, "at": np.arange(len(ids))})
            named = step_id.gather(elsewhere).to_frame()
            there = named.join(places, on="step_id", how="left", maintain_order="left")["at"]
            if there.null_count():
                return None
            at[elsewhere.to_numpy()] = there.to_numpy()
        if table.height and not ((number[at] == table["number"].to_numpy()) & (begun[at] < pos)).all():
            return None
        found.append(table.with_columns(pl.lit(1, pl.UInt32).alias("run"), pl.Series("execution", at, pl.Int64)))
    return found


def _all_differ(ids: pl.Series) -> bool:
    # Identifiers grow with time, and comparing neighbours is quicker than hashing all.
    return bool((ids > ids.shift(1)).all()) or ids.n_unique() == len(ids)
