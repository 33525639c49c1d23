"""Files measured: reading whole, one engagement, a page, and bytes on disk; pandas reading the same SQLite file beside.

    python tests/benchmarks/bench_parquet.py [--events 1000000] [--engagements 100000]

No server is started. Seconds are of the clock and of the processor (all threads), medians of three, at the load that is
printed with them; cases that are compared take turns.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import pandas as pd  # noqa: E402
import polars as pl  # noqa: E402

from ftnb.core.ids import new_id, now_us  # noqa: E402
from ftnb.core.model import EngagementStatus, EventKind, StepStatus  # noqa: E402
from ftnb.store import build  # noqa: E402
from ftnb.store.draft import Draft, Stream  # noqa: E402
from ftnb.store.parquet import ParquetStore  # noqa: E402
from ftnb.store.parquet_export import ParquetExport  # noqa: E402
from ftnb.store.sqlite import SQLiteStore  # noqa: E402
from ftnb.traces import Traces  # noqa: E402

FRAME = ["engagement_id", "step_id", "name", "at_us", "kind", "duration_us", "model", "tok_prompt", "tok_completion"]
PAYLOAD = {"question": "x" * 120, "answer": "y" * 60}
PER_ENGAGEMENT = 100
Took = tuple[float, float]


def took(work: Callable[[], Any]) -> Took:
    """Seconds of the clock, and of the processor."""
    begun, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - worked


def median(times: list[Took]) -> Took:
    """Of each."""
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


def said(what: str, times: Took, goal: str = "", factor: float = 1.0, unit: str = "s") -> None:
    """One line of the table."""
    print(f"{what:58}{times[0] * factor:>9.3f}{times[1] * factor:>9.3f} {unit:4}{goal}", flush=True)


def engagements(n_events: int) -> Iterator[list[Draft]]:
    """Engagements of a hundred events in five steps, ended."""
    for k in range(0, n_events, PER_ENGAGEMENT):
        stream = Stream(new_id(), new_id(), turn=1)
        drafts = [build.engagement_started(stream, now_us(), "chat", metadata={"user": k % 100, "app": "shop"})]
        for i in range(PER_ENGAGEMENT):
            if i % 20 == 0:
                step_id = new_id()
                drafts.append(build.step_started(stream, now_us(), step_id, f"step{i // 20}"))
            drafts.append(
                build.event(
                    stream, now_us(), step_id, EventKind.LLM_CALL, "model", payload=PAYLOAD, duration_us=5_000 + i,
                    model="gpt-x", tokens=(100 + i, 20 + k % 7, 120 + i + k % 7, 0, 0, 0),
                )
            )  # fmt: skip
        drafts.append(build.engagement_ended(stream, now_us(), EngagementStatus.COMPLETED))
        yield drafts


def long_one() -> list[Draft]:
    """One engagement of 1,000 steps."""
    stream = Stream(new_id(), "the-one", turn=1)
    drafts = [build.engagement_started(stream, now_us(), "long")]
    for i in range(1_000):
        drafts.append(build.step_started(stream, now_us(), f"s{i}", "work"))
        drafts.append(build.step_ended(stream, now_us(), f"s{i}", "work", StepStatus.COMPLETED, duration_us=900))
    return [*drafts, build.engagement_ended(stream, now_us(), EngagementStatus.COMPLETED)]


def fill(store: Any, n_events: int) -> None:
    """Half of them, the long one, the other half."""
    waiting: list[Draft] = []
    for number, drafts in enumerate(engagements(n_events)):
        waiting += drafts
        if number == n_events // PER_ENGAGEMENT // 2:
            waiting += long_one()
        if len(waiting) >= 2_000:
            store.append_drafts(waiting)
            waiting = []
    store.append_drafts(waiting)


def size_of(place: Path, pattern: str = "*") -> int:
    """Bytes under a place."""
    return sum(file.stat().st_size for file in place.rglob(pattern) if file.is_file())


def bench_files(folder: Path, n: int) -> None:
    """Everything about `n` events."""
    database = SQLiteStore(folder / "t.db")
    said(f"append {n:,} events, SQLite", took(lambda: fill(database, n)))
    live = ParquetStore(folder / "traces")
    said(f"append {n:,} events, folder of Parquet", took(lambda: fill(live, n)))
    live.publish()
    traces = Traces(database)
    said("to_parquet", took(lambda: traces.to_parquet(folder / "share")))
    database._write.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    export = folder / "share"
    view = export / "events.parquet"
    wanted = [name for name in pl.read_parquet_schema(view) if name not in ("n_bytes", "discarded")]

    def all_of_it(store: Any) -> Callable[[], Any]:
        return lambda: pl.DataFrame(store.scan(FRAME, types=["event_recorded"]))

    def through_pandas() -> None:
        sql = f"SELECT {', '.join(FRAME)} FROM record WHERE type = 'event_recorded'"
        with closing(sqlite3.connect(folder / "t.db")) as connection:
            pd.read_sql_query(sql, connection)

    cases: dict[str, tuple[Callable[[], Any], str]] = {
        "Parquet view -> polars": (lambda: pl.read_parquet(view, columns=wanted), "1 M <= 0.25, 10 M < 2.5"),
        "exported evidence -> polars": (all_of_it(ParquetExport(export)), ""),
        "folder of Parquet -> polars": (all_of_it(live), ""),
        "SQLite -> polars": (all_of_it(database), "1 M <= 1.5, 10 M < 25"),
        "SQLite -> pandas.read_sql": (through_pandas, ">= 5 x SQLite -> polars"),
    }
    times: dict[str, list[Took]] = {name: [] for name in cases}
    for _ in range(3):
        for name, (work, _goal) in cases.items():
            times[name].append(took(work))
    for name, (_work, goal) in cases.items():
        said(name, median(times[name]), goal)
    ratio = median(times["SQLite -> pandas.read_sql"])[0] / median(times["SQLite -> polars"])[0]
    print(f"{'pandas.read_sql / ours, of SQLite':58}{ratio:>9.1f} x")
    for name, store in (("SQLite", database), ("folder of Parquet", live)):
        opened = median([took(lambda store=store: store.get_engagement("the-one")) for _ in range(5)])
        said(f"one engagement of 1,000 steps, {name}", opened, "< 50", 1000, "ms")
    payloads = database._write.execute("SELECT sum(length(body)) FROM log").fetchone()[0]
    for name, size, goal in (
        ("SQLite", size_of(folder, "t.db"), "280 and the payloads"),
        ("SQLite, without payloads", size_of(folder, "t.db") - payloads, "280"),
        ("views", sum(size_of(export, f"{view}.parquet") for view in ("engagements", "steps", "events")), "16"),
        (
            "evidence",
            sum(size_of(export, f"{one}.parquet") for one in ("records", "blobs", "streams", "entries")),
            "90",
        ),
        ("folder of Parquet, segments", size_of(folder / "traces", "*.parquet"), "90"),
    ):
        print(f"{'bytes for a million events, ' + name:58}{size / n:>9.1f} MB   <= {goal}")
    live.close()
    database.close()


def bench_list(folder: Path, n: int) -> None:
    """A page of the newest 50 that match."""
    for kind in ("SQLite", "folder of Parquet"):
        store: Any = SQLiteStore(folder / "l.db") if kind == "SQLite" else ParquetStore(folder / "l")
        for begin in range(0, n, 1_000):
            drafts = []
            for i in range(begin, begin + 1_000):
                stream = Stream(new_id(), new_id(), turn=1)
                drafts.append(build.engagement_started(stream, now_us(), "chat", metadata={"user": i % 100}))
                drafts.append(build.step_started(stream, now_us(), new_id(), "greet"))
                drafts.append(build.engagement_ended(stream, now_us(), EngagementStatus.COMPLETED))
            store.append_drafts(drafts)
        if kind != "SQLite":
            store.publish()
        for where in ({"user": 7}, None):
            page = median([took(partial(store.list_engagements, where, newest=True, limit=50)) for _ in range(7)])
            said(f"page of 50 of {n:,}, where={where}, {kind}", page, "< 30", 1000, "ms")
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--engagements", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="a twentieth of it")
    given = parser.parse_args()
    factor = 20 if given.quick else 1
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores{'':29}{'clock':>9}{'CPU':>9}")
    with tempfile.TemporaryDirectory() as folder:
        bench_files(Path(folder), given.events // factor)
        bench_list(Path(folder), given.engagements // factor)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
