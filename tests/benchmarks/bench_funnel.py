"""Journey analytics in one table: the ordered funnel of six steps within two minutes, from Parquet and from SQLite,
transitions and the like, and import; against others in the same run.

    python tests/benchmarks/bench_funnel.py [quick] [no-peers] [long]

`quick` takes 200,000 events; else 1 and 10 million. Runs of ours, of hand-written polars and of hand-written SQL take
turns in one process; ratios are medians of ratios within a round, of time on the clock and of processor time. Memory is
that of a process of its own. Peers are installed on demand, each into an environment of its own under build/bench-envs,
and ours is measured again right after each; what cannot be had is said. Tables are made once, under build/bench-data.
`long` lets flowtraicer try a million steps.
Exits with 1 when anybody counts otherwise who should not.
"""

from __future__ import annotations

import resource
import shutil
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

from tests.benchmarks._envs import FOLDER, answer_of
from tests.benchmarks._tools import Line, Times, interleaved, ratio, show
from tests.benchmarks.bench_flows import lines_of

ORDER = ["greet", "qualify", "search", "refine", "compare", "confirm"]
NAMES = np.array([*ORDER, "escalate", "tool"])
WINDOW_US = 120_000_000
REACH = {1_000_000: 0.3, 10_000_000: 1.5}
"""Seconds of ours, by events."""


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


def generated(n: int) -> Path:
    """A folder of these tables under build/bench-data, made when it is not there yet."""
    folder = FOLDER.parent / "bench-data" / f"journeys-{n}"
    if not (folder / "engagements.parquet").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        generate(n, folder)
    return folder


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
import chdb, json, time
names = {order!r}
conditions = ", ".join(f"name = '{{n}}'" for n in names)
clock = "toUInt64(toUnixTimestamp64Micro(started_at))"
sql = (f"SELECT level, count() FROM (SELECT engagement_id, windowFunnel({window})({{clock}}, "
       f"{{conditions}}) AS level FROM file('{folder}/steps.parquet', Parquet) GROUP BY engagement_id) GROUP BY level")
times = []
for _ in range(4):
    begun = time.perf_counter(); found = str(chdb.query(sql, "CSV")); times.append(time.perf_counter() - begun)
levels = dict(tuple(map(int, line.split(","))) for line in found.split())
print(json.dumps([sorted(times)[1], [sum(n for l, n in levels.items() if l > k) for k in range(len(names))]]))
"""
RETENTIONEERING = """
import json, os, time
os.environ["RETENTIONEERING_NO_TRACK"] = "1"
import pandas as pd
from retentioneering.eventstream import Eventstream
times = []
for _ in range(3):
    begun = time.perf_counter()
    frame = pd.read_parquet('{folder}/steps.parquet', columns=["engagement_id", "name", "started_at"])
    frame.columns = ["user_id", "event", "timestamp"]
    stream = Eventstream(frame)
    result = getattr(stream, "funnel_data", stream.funnel)(steps={order!r})
    times.append(time.perf_counter() - begun)
print(json.dumps([sorted(times)[1], []]))
"""
FLOWTRAICER = """
import json, sys, tempfile, time
from ft.analytics import funnel
from ft.recorder import Recorder
from ft.store.sqlite import SQLiteStore
store = SQLiteStore(tempfile.mkdtemp() + "/f.db")
store._conn.execute("PRAGMA synchronous=OFF")
recorder = Recorder(store)
for line in open({path!r}, encoding="utf-8"):
    e = recorder.start_engagement("w")
    for name in line.split():
        recorder.end_step(recorder.start_step(e, name))
    recorder.end_engagement(e)
begun = time.perf_counter(); found = funnel(store, {order!r})
print(json.dumps([time.perf_counter() - begun, [s.reached for s in found.steps]]))
"""


def seconds(run: Callable[[Path], Any], folder: Path, cpu: list[float] | None = None) -> Callable[[], float]:
    """How long it takes, measured when called; `cpu` is given the processor time, of all threads."""

    def measured() -> float:
        begun, processor = time.perf_counter(), time.process_time()
        run(folder)
        if cpu is not None:
            cpu.append(time.process_time() - processor)
        return time.perf_counter() - begun

    return measured


def peak_mb(folder: Path) -> float:
    """Memory that a process of its own comes to, which does nothing but ours."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", str(folder)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def against_others(folder: Path, asked: int, rounds: int) -> list[Line]:
    """The lines on ours and on what else runs in this process."""
    runs = {"ours": ours, "polars": by_hand, "duckdb": in_duckdb}
    counts = {name: run(folder) for name, run in runs.items()}
    assert counts["ours"] == counts["polars"] == counts["duckdb"], counts
    cpu: Times = {name: [] for name in runs}
    times = interleaved({name: seconds(run, folder, cpu[name]) for name, run in runs.items()}, rounds)
    mine, spent = statistics.median(times["ours"]), statistics.median(cpu["ours"])
    reach, lead = REACH.get(asked), ratio(times, "duckdb", "ours")
    over, over_cpu = ratio(times, "ours", "polars"), ratio(cpu, "ours", "polars")
    text = f"{over:.2f} x ({statistics.median(times['polars']):.3f} s); processor {over_cpu:.2f} x"
    peak = peak_mb(folder)
    return [
        Line("ordered funnel, 6 steps, window", f"< {reach} s" if reach else "",
             f"{mine:.3f} s; processor {spent:.3f} s", None if reach is None else mine < reach),
        Line("over polars by hand, counts only", "<= 2 x", text, over <= 2 if reach else None),
        Line("DuckDB SQL by hand, counts only", "> 1 x", f"{lead:.1f} x ours", lead > 1),
        Line("peak memory", "< 2,000 MB", f"{peak:,.0f} MB", peak < 2000),
    ]  # fmt: skip


def against_peers(folder: Path, *, quick: bool, large: bool) -> list[Line]:
    """The lines on other libraries."""
    counts, lines = ours(folder), []
    for name, label, program, reach in (
        ("chdb", "chDB (ClickHouse) windowFunnel", CHDB, 1),
        ("retentioneering", "retentioneering's funnel, no window, with loading", RETENTIONEERING, 5),
    ):
        if large and name != "chdb":
            continue
        answer = answer_of(name, program.format(order=ORDER, window=WINDOW_US, folder=folder), 120)
        if isinstance(answer, str):
            lines.append(Line(label, f">= {reach} x", answer))
            continue
        mine = statistics.median(seconds(ours, folder)() for _ in range(3))
        took, found = answer
        off = sum(abs(a - b) for a, b in zip(found, counts, strict=True)) if found else 0
        text = f"{took / mine:.1f} x ours ({took:.2f} s against {mine:.3f} s)" + (
            f", counts off by {off}" if off else ""
        )
        lines.append(Line(label, f">= {reach} x", text, None if quick else took / mine >= reach))
    return lines


def in_engines(folder: Path) -> list[Line]:
    """DuckDB and Spark, over the same file: the whole result, to the last digit."""
    import duckdb

    from ftnb.analytics import funnel

    def asked(steps: Any) -> Any:
        engagements = pl.scan_parquet(folder / "engagements.parquet")
        return funnel((steps, engagements), ORDER, mode="ordered", within="2m")

    expected = asked(pl.scan_parquet(folder / "steps.parquet")).frame()
    scanned = f"SELECT *, file_row_number AS seq FROM read_parquet('{folder}/steps.parquet', file_row_number = true)"
    sources: dict[str, Callable[[], Any]] = {"DuckDB": lambda: duckdb.connect().sql(scanned)}
    if shutil.which("java"):
        sources["Spark local[2]"] = lambda: in_spark(folder)
    lines = []
    for name, source in sources.items():
        steps = source()
        begun = time.perf_counter()
        is_same = asked(steps).frame().equals(expected)
        text = f"{'the same' if is_same else 'OTHERWISE'} ({time.perf_counter() - begun:.1f} s)"
        lines.append(Line(f"the same funnel in {name}", "the same", text, is_same))
    return lines


def in_spark(folder: Path) -> Any:
    """The steps as a dataframe of Spark; starting it is not measured."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.ui.showConsoleProgress", "false")
    session = builder.config("spark.sql.shuffle.partitions", "4").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session.read.parquet(f"{folder}/steps.parquet").selectExpr("*", "_metadata.row_index AS seq")


def largest_of_flowtraicer(folder: Path, *, quick: bool, long: bool) -> list[Line]:
    """flowtraicer's funnel at the largest size that it finishes; ours (mode visited, as theirs) on the same steps."""
    from ftnb.analytics import funnel

    label, last = "flowtraicer's funnel", Line("flowtraicer's funnel", ">= 300 x", "cannot be had here")
    for size in (20_000,) if quick else (50_000, 200_000, 1_000_000) if long else (50_000, 200_000):
        steps = pl.read_parquet(folder / "steps.parquet", n_rows=size)
        lines = steps.group_by("engagement_id", maintain_order=True).agg("name")["name"].list.join(" ")
        with tempfile.TemporaryDirectory() as made:
            (Path(made) / "paths.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            answer = answer_of(
                "flowtraicer", FLOWTRAICER.format(order=ORDER, path=f"{made}/paths.txt"), 1800 if long else 150
            )
            if isinstance(answer, str):
                print(f"flowtraicer, {size:,} steps: {answer}")
                break
            steps.write_parquet(Path(made) / "steps.parquet")
            found = funnel(made, ORDER)
            times = sorted(seconds(lambda path: funnel(path, ORDER), Path(made))() for _ in range(5))
        assert [step.reached for step in found.steps] == answer[1]
        faster = answer[0] / times[2]
        text = f"{faster:,.0f} x ours ({answer[0]:.1f} s against {times[2]:.3f} s)"
        last = Line(f"{label}, {steps.height:,} steps", ">= 300 x", text, None if quick else faster >= 300)
    return [last]


def from_sqlite(n_records: int) -> list[Line]:
    """The same question to a store: the first time, and again after it has grown."""
    import ftnb
    from ftnb.recorder import Recorder
    from ftnb.store.sqlite import SQLiteStore

    with tempfile.TemporaryDirectory() as made:
        store = SQLiteStore(f"{made}/t.db")
        recorder = Recorder(store)
        dice = np.random.default_rng(7)

        def grow(n: int) -> int:
            count = 0
            while count < n:
                engagement = recorder.start_engagement("w")
                length = int(dice.geometric(1 / 7))
                for name in [*ORDER, "tool"][:length]:
                    recorder.end_step(recorder.start_step(engagement, name), duration_ms=5.0)
                recorder.end_engagement(engagement)
                count += 2 * min(length, 7) + 2
                if count % 50_000 < 20:
                    recorder.flush(60)
            recorder.flush(60)
            return count

        total = grow(n_records)
        traces = ftnb.open(store)

        def asked() -> tuple[float, float]:
            begun, processor = time.perf_counter(), time.process_time()
            traces.funnel(ORDER, mode="ordered", within="2m")
            return time.perf_counter() - begun, time.process_time() - processor

        first = asked()
        again = []
        for _ in range(5):
            grow(200)
            again.append(asked())
        recorder.close()
    later = [statistics.median(one) for one in zip(*again, strict=True)]
    lines = []
    for what, reach, (clock, processor) in (
        (f"from SQLite, {total:,} records: first call", 3.0, first),
        ("again after new records", 0.3, later),
    ):
        text = f"{clock:.3f} s; processor {processor:.3f} s"
        lines.append(Line(what, f"< {reach:g} s", text, None if total < 900_000 else clock < reach))
    return lines


def imported() -> Line:
    """How long a process takes that does nothing else."""
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import ftnb.analytics"], check=True)
        took.append(time.perf_counter() - begun)
    found = statistics.median(took)
    return Line("import of ftnb.analytics, with the start of Python", "< 0.4 s", f"{found:.3f} s", found < 0.4)


def main(arguments: list[str]) -> None:
    """Print the table."""
    if "--memory" in arguments:
        ours(Path(arguments[arguments.index("--memory") + 1]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    quick, peers = "quick" in arguments, "no-peers" not in arguments
    lines: list[Line] = []
    begun = time.perf_counter()
    for size in [200_000] if quick else [1_000_000, 10_000_000]:
        large = size > 1_000_000
        folder = generated(size)
        n = pl.scan_parquet(folder / "steps.parquet").select(pl.len()).collect().item()
        lines += [Line(f"--- {n:,} events in Parquet, warm", "", ""), *against_others(folder, size, 5 if large else 9)]
        if peers:
            lines += against_peers(folder, quick=quick, large=large)
        if not large:
            lines += in_engines(folder)
            if peers:
                lines += largest_of_flowtraicer(folder, quick=quick, long="long" in arguments)
        print(f"{size:,} events: {time.perf_counter() - begun:.0f} s so far", flush=True)
    lines += [Line("--- a store", "", ""), *from_sqlite(200_000 if quick else 1_000_000)]
    flows, agree = lines_of(quick=quick, peers=peers)
    lines += [Line("--- journeys", "", ""), *flows, Line("--- import", "", ""), imported()]
    show("Journey analytics", lines)
    if not agree or any(line.measured.startswith("OTHERWISE") for line in lines):
        print("counted otherwise")
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
