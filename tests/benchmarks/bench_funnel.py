"""The ordered funnel of six steps within two minutes, from Parquet, against others in the same run.

    python tests/benchmarks/bench_funnel.py [quick] [--peers PYTHON]

`quick` takes 200,000 events; else 1 and 10 million. With `--peers`, an interpreter that has chdb, retentioneering and
flowtraicer, these run too, each in a process of its own: they cannot share an environment with this library.
Each is run warm; the median of three is printed, and its ratio to ours.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2]))

ORDER = ["greet", "qualify", "search", "refine", "compare", "confirm"]
NAMES = np.array([*ORDER, "escalate", "tool"])
WINDOW_US = 120_000_000


def generate(n: int, folder: Path) -> int:
    """An exported folder's tables, with loops, drop-offs and ties in time; returns the number of steps."""
    dice = np.random.default_rng(7)
    lengths = dice.geometric(1 / 7, size=int(n / 7 * 1.05))
    lengths = lengths[np.cumsum(lengths) <= n]
    total, count = int(lengths.sum()), len(lengths)
    first = np.r_[0, np.cumsum(lengths)[:-1]]
    place = np.arange(total) - np.repeat(first, lengths)
    code = np.where(dice.random(total) < 0.75, np.minimum(place, 5), dice.integers(0, 8, total))
    gaps = dice.integers(0, 40_000_000, total)
    gaps[dice.random(total) < 0.05] = 0
    passed = np.cumsum(gaps)
    at = np.repeat(1_760_000_000_000_000 + np.arange(count) * 1_000_000 - passed[first], lengths) + passed
    ids = pl.select(pl.concat_str(pl.lit("0199"), pl.int_range(count).cast(pl.String).str.zfill(28)).alias("i"))["i"]
    took = dice.integers(100, 30_000_000, total)
    moment = pl.Datetime("us", "UTC")
    steps = pl.DataFrame({
        "engagement_id": ids.gather(np.repeat(np.arange(count), lengths)), "name": pl.Series(NAMES)[code], "at": at,
        "duration_ms": took / 1000, "total_tokens": dice.integers(0, 2000, total),
    })  # fmt: skip
    steps = steps.select(
        "engagement_id", pl.int_range(pl.len()).cast(pl.String).alias("step_id"), "name", pl.lit("").alias("ns"),
        pl.lit(1, pl.Int64).alias("attempt"), pl.lit(1, pl.Int64).alias("turn"),
        pl.lit(None, pl.String).alias("parent_step_id"), pl.col("at").cast(moment).alias("started_at"),
        "duration_ms", "total_tokens",
    )  # fmt: skip
    status = np.where(dice.random(count) < 0.4, "abandoned", "completed")
    ended = pl.Series(status == "abandoned")
    last = pl.Series(NAMES)[code[first + lengths - 1]]
    engagements = pl.DataFrame({"engagement_id": ids, "status": status}).with_columns(
        pl.when(ended).then(last).alias("dropped_at"), pl.lit("{}").alias("metadata")
    )
    for name, frame in (("steps", steps), ("engagements", engagements)):
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=3, row_group_size=262_144)
    return total


def ours(folder: Path) -> list[int]:
    """With everything that a funnel tells: rates, times, tokens, drop-offs."""
    from ftnb.analytics import funnel

    return [step.reached for step in funnel(folder, ORDER, mode="ordered", within="2m").steps]


def by_hand(folder: Path) -> list[int]:
    """Hand-written polars, counts only: the start of the latest chain is carried from row to row."""
    rows = pl.scan_parquet(folder / "steps.parquet").filter(pl.col("name").is_in(ORDER))
    rows = rows.select("engagement_id", "name", pl.col("started_at").to_physical().alias("t"))
    is_first = (pl.col("engagement_id") != pl.col("engagement_id").shift(1)).fill_null(True)
    rows = rows.with_columns(is_first.alias("first"), pl.when(pl.col("name") == ORDER[0]).then("t").alias("s0"))
    for k in range(1, len(ORDER)):
        before = pl.when("first").then(-1).otherwise(pl.col(f"s{k - 1}").shift(1)).forward_fill()
        rows = rows.with_columns(before.alias("b"))
        timely = (pl.col("name") == ORDER[k]) & (pl.col("b") >= 0) & (pl.col("t") - pl.col("b") <= WINDOW_US)
        rows = rows.with_columns(pl.when(timely).then("b").alias(f"s{k}"))
    levels = rows.group_by("engagement_id").agg(pl.col(f"s{k}").is_not_null().any() for k in range(len(ORDER)))
    found = levels.select(pl.col(f"s{k}").sum() for k in range(len(ORDER))).collect(engine="streaming")
    return [int(value) for value in found.row(0)]


def in_duckdb(folder: Path) -> list[int]:
    """Hand-written SQL of DuckDB, counts only."""
    import duckdb

    source = f"(SELECT engagement_id e, file_row_number p, name, epoch_us(started_at) t FROM read_parquet('{folder}/steps.parquet', file_row_number = true))"  # noqa: E501
    inner = f"SELECT *, CASE WHEN name = '{ORDER[0]}' THEN t END s0 FROM {source} x"
    for k in range(1, len(ORDER)):
        window = "OVER (PARTITION BY e ORDER BY p ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        inner = f"SELECT *, max(s{k - 1}) {window} b{k} FROM ({inner}) y{k}"
        timely = f"name = '{ORDER[k]}' AND t - b{k} <= {WINDOW_US}"
        inner = f"SELECT *, CASE WHEN {timely} THEN b{k} END s{k} FROM ({inner}) z{k}"
    counts = ", ".join(f"count(DISTINCT CASE WHEN s{k} IS NOT NULL THEN e END)" for k in range(len(ORDER)))
    return list(duckdb.connect().sql(f"SELECT {counts} FROM ({inner}) w").fetchall()[0])


CHDB = """
import chdb, json, sys, time
names = {order!r}
conditions = ", ".join(f"name = '{{n}}'" for n in names)
clock = "toUInt64(toUnixTimestamp64Micro(started_at))"
sql = (f"SELECT level, count() FROM (SELECT engagement_id, windowFunnel({window})({{clock}}, "
       f"{{conditions}}) AS level FROM file('{folder}/steps.parquet', Parquet) GROUP BY engagement_id) GROUP BY level")
times = []
for _ in range(3):
    begun = time.perf_counter(); found = str(chdb.query(sql, "CSV")); times.append(time.perf_counter() - begun)
levels = dict(tuple(map(int, line.split(","))) for line in found.split())
print(json.dumps([sorted(times)[1], [sum(n for l, n in levels.items() if l > k) for k in range(len(names))]]))
"""
RETENTIONEERING = """
import json, os, time
os.environ["RETENTIONEERING_NO_TRACK"] = "1"
import pandas as pd
begun = time.perf_counter()
frame = pd.read_parquet('{folder}/steps.parquet', columns=["engagement_id", "name", "started_at"])
frame.columns = ["user_id", "event", "timestamp"]
from retentioneering.eventstream import Eventstream
stream = Eventstream(frame)
result = getattr(stream, "funnel_data", stream.funnel)(steps={order!r})
print(json.dumps([time.perf_counter() - begun, []]))
"""
FLOWTRAICER = """
import json, tempfile, time
from ft.analytics import funnel
from ft.recorder import Recorder
from ft.store.sqlite import SQLiteStore
import sqlite3
store = SQLiteStore(tempfile.mkdtemp() + "/f.db")
recorder = Recorder(store)
for i in range(1400):
    e = recorder.start_engagement("w")
    for name in ({order!r} + ["tool"])[: 1 + i % 7]:
        recorder.end_step(recorder.start_step(e, name))
    recorder.end_engagement(e)
begun = time.perf_counter(); found = funnel(store, {order!r})
print(json.dumps([(time.perf_counter() - begun) / 5600 * {n}, [s.reached for s in found.steps]]))
"""


def peer(python: str, program: str, **values: Any) -> tuple[float, list[int]] | str:
    """Seconds and counts of a program in another environment; a word when it fails."""
    import json

    run = subprocess.run(
        [python, "-c", program.format(order=ORDER, window=WINDOW_US, **values)], capture_output=True, text=True
    )
    if run.returncode:
        return f"failed: {run.stderr.strip().splitlines()[-1][:80] if run.stderr.strip() else run.returncode}"
    seconds, counts = json.loads(run.stdout.strip().splitlines()[-1])
    return seconds, counts


def median_of(run: Callable[[Path], list[int]], folder: Path) -> tuple[float, list[int]]:
    times = []
    counts = run(folder)
    for _ in range(3):
        begun = time.perf_counter()
        counts = run(folder)
        times.append(time.perf_counter() - begun)
    return statistics.median(times), counts


def main(arguments: list[str]) -> None:
    sizes = [200_000] if "quick" in arguments else [1_000_000, 10_000_000]
    python = arguments[arguments.index("--peers") + 1] if "--peers" in arguments else None
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            n = generate(size, folder)
            mine, counts = median_of(ours, folder)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"\n{n:,} events  {'seconds':>10} {'to ours':>8}   reached   (peak so far {peak:,} MB)")
            print(f"{'ftnb':<28} {mine:>8.3f} {1:>8.2f}   {counts}")
            for label, run in (("polars by hand, counts only", by_hand), ("DuckDB SQL, counts only", in_duckdb)):
                took, found = median_of(run, folder)
                print(f"{label:<28} {took:>8.3f} {took / mine:>8.2f}   {found if found != counts else 'equal'}")
            for label, program in (
                ("chDB windowFunnel", CHDB),
                ("retentioneering, no window", RETENTIONEERING),
                ("flowtraicer, extrapolated", FLOWTRAICER),
            ):
                answer = peer(python, program, folder=folder, n=n) if python else "not asked for (--peers)"
                if isinstance(answer, str):
                    print(f"{label:<28} {answer}")
                else:
                    took, found = answer
                    print(f"{label:<28} {took:>8.3f} {took / mine:>8.2f}   {found if found != counts else 'equal'}")


if __name__ == "__main__":
    main(sys.argv[1:])
