"""Files measured: reading whole, one engagement, a page, and bytes on disk; pandas reading the same SQLite file beside.

    python tests/benchmarks/bench_parquet.py [--events 1000000] [--engagements 100000] [--rounds 3]

No server is started. Seconds are of the clock and of the processor (all threads), medians, at the load that is printed
with them; cases that are compared take turns. Reading whole is done in a process of its own each time, whose memory at
its highest is told. Of more than a million events, the rest are copies that the database makes (`_big_log`): 10 million
take eight gigabytes of disk, and seven of memory for pandas. flowtraicer lists as many engagements as are listed here.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
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

import polars as pl  # noqa: E402

from ftnb.core.ids import new_id, now_us  # noqa: E402
from ftnb.core.model import EngagementStatus, EventKind, StepStatus  # noqa: E402
from ftnb.store import build  # noqa: E402
from ftnb.store.draft import Draft, Stream  # noqa: E402
from ftnb.store.parquet import ParquetStore  # noqa: E402
from ftnb.store.parquet_export import ParquetExport  # noqa: E402
from ftnb.store.sqlite import SQLiteStore  # noqa: E402
from ftnb.traces import Traces  # noqa: E402
from tests.benchmarks._big_log import multiply_parquet, multiply_sqlite  # noqa: E402
from tests.benchmarks._envs import answer_of  # noqa: E402

FRAME = ["engagement_id", "step_id", "name", "at_us", "kind", "duration_us", "model", "tok_prompt", "tok_completion"]
PAYLOAD = {"question": "x" * 120, "answer": "y" * 60}
PER_ENGAGEMENT = 100
Took = tuple[float, float]


MOST_RECORDED = 1_000_000
"""Events that are recorded; more are copies."""
PEER_LISTS = """
import json, time
from ft.store.records import EngagementStarted
from ft.store.sqlite import SQLiteStore
store = SQLiteStore({path!r})
for i in range(100):
    store.append(EngagementStarted(engagement_id=f"e{{i}}", name="chat", metadata={{"user": i}}))
run = store._conn.execute
for k in range(1, {n} // 100):  # appending so many through it takes minutes
    run(
        "INSERT INTO records (engagement_id, type, ts, data) SELECT engagement_id || '-' || ?, type, ts,"
        " json_set(data, '$.engagement_id', engagement_id || '-' || ?) FROM records WHERE seq <= 100", (k, k),
    )
store._conn.commit()
clock, cpu = time.perf_counter(), time.process_time()
assert len(store.list_engagements(where={{"user": 7}})) == {n} // 100
print(json.dumps({{"clock": time.perf_counter() - clock, "cpu": time.process_time() - cpu}}))
"""
"""As flowtraicer does it: all of them; it has no pages."""


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


def read_view(folder: Path) -> Any:
    """The events of the export, as anybody reads them."""
    view = folder / "share" / "events.parquet"
    wanted = [name for name in pl.read_parquet_schema(view) if name not in ("n_bytes", "discarded")]
    return pl.read_parquet(view, columns=wanted)


def scanned(store: Any) -> Any:
    """Columns of all events."""
    return pl.DataFrame(store.scan(FRAME, types=["event_recorded"]))


def read_with_pandas(folder: Path) -> Any:
    """The same columns of the same file."""
    import pandas as pd

    sql = f"SELECT {', '.join(FRAME)} FROM record WHERE type = 'event_recorded'"
    with closing(sqlite3.connect(folder / "t.db")) as connection:
        return pd.read_sql_query(sql, connection)


CASES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "Parquet view -> polars": (read_view, "1 M <= 0.25, 10 M < 2.5"),
    "exported evidence -> polars": (lambda folder: scanned(ParquetExport(folder / "share")), ""),
    "folder of Parquet -> polars": (lambda folder: scanned(ParquetStore(folder / "traces", read_only=True)), ""),
    "SQLite -> polars": (lambda folder: scanned(SQLiteStore(folder / "t.db")), "1 M <= 1.5, 10 M < 25"),
    "SQLite -> pandas.read_sql": (read_with_pandas, ">= 5 x SQLite -> polars"),
    "SQLite -> tr.events()": (lambda folder: Traces(SQLiteStore(folder / "t.db")).events(), ""),
}
"""Each is run in a process of its own."""
ONLY_RECORDED = ("exported evidence -> polars", "folder of Parquet -> polars")
"""Those that are not run where most is copies."""


def highest_mb() -> float:
    """The most memory that this process has had. (What `getrusage` says counts a parent's, too.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def one_case(folder: Path, name: str) -> dict[str, float]:
    """Run it here: seconds, and memory in megabytes before and at the highest."""
    import pandas as pd  # noqa: F401
    import pyarrow  # noqa: F401

    before = highest_mb()
    found: list[Any] = []
    clock, cpu = took(lambda: found.append(CASES[name][0](folder)))
    peak = highest_mb()
    return {"clock": clock, "cpu": cpu, "before": before, "peak": peak, "rows": len(found[0])}


def in_a_process(folder: Path, name: str) -> dict[str, float]:
    """Run it in a new one."""
    command = [sys.executable, __file__, "--case", name, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def bench_reading(folder: Path, names: list[str], rounds: int) -> None:
    """From file to frame."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            one = in_a_process(folder, name)
            found[name].append(one)
            print(f"    {name}: {one['clock']:.2f} s, {one['peak']:,.0f} MB", file=sys.stderr, flush=True)
    times = {name: median([(one["clock"], one["cpu"]) for one in each]) for name, each in found.items()}
    for name, each in found.items():
        memory = f"{max(one['peak'] for one in each):,.0f} MB at its highest ({each[0]['before']:,.0f} before)"
        said(f"{name}, {each[0]['rows']:,.0f} rows", times[name], f"{memory}   {CASES[name][1]}")
    clock, cpu = (times["SQLite -> pandas.read_sql"][i] / times["SQLite -> polars"][i] for i in (0, 1))
    print(f"{'pandas.read_sql / ours, of SQLite':58}{clock:>9.1f}{cpu:>9.1f} x")


def bench_files(folder: Path, n: int, rounds: int) -> None:
    """Everything about `n` events."""
    recorded, names = min(n, MOST_RECORDED), list(CASES)
    live = ParquetStore(folder / "traces")
    with closing(SQLiteStore(folder / "t.db")) as database:
        said(f"append {recorded:,} events, SQLite", took(lambda: fill(database, recorded)))
        said(f"to_parquet, {recorded:,} events", took(lambda: Traces(database).to_parquet(folder / "share")))
        print(f"{'memory of this process at its highest':58}{highest_mb():>9,.0f} MB")
    if n > recorded:
        names = [name for name in names if name not in ONLY_RECORDED]
        said(f"copies of them in SQLite, {n:,}", took(lambda: multiply_sqlite(folder / "t.db", n // recorded)))
        multiply_parquet(folder / "share" / "events.parquet", n // recorded)
    else:
        said(f"append {n:,} events, folder of Parquet", took(lambda: fill(live, n)))
        live.publish()
    database = SQLiteStore(folder / "t.db")
    database._write.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    bench_reading(folder, names, rounds)
    stores: list[tuple[str, Any]] = [("SQLite", database), ("folder of Parquet", live)]
    for name, store in stores[: 1 if n > recorded else 2]:
        first = took(partial(store.get_engagement, "the-one"))
        opened = median([took(partial(store.get_engagement, "the-one")) for _ in range(5)])
        said(f"one engagement of 1,000 steps, {name} (first)", first, "", 1000, "ms")
        said(f"one engagement of 1,000 steps, {name}", opened, "< 50", 1000, "ms")
    if n == recorded:
        said_sizes(folder, database, n)
    live.close()
    database.close()


def said_sizes(folder: Path, database: SQLiteStore, n: int) -> None:
    """What a million events take on disk."""
    payloads = database._write.execute("SELECT sum(length(body)) FROM log").fetchone()[0]
    export = folder / "share"
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
    theirs = answer_of("flowtraicer", PEER_LISTS.format(path=str(folder / "peer.db"), n=n))
    if isinstance(theirs, dict):
        said(f"list of {n:,}, where={{'user': 7}}, flowtraicer", (theirs["clock"], theirs["cpu"]), "", 1000, "ms")
    else:
        print(f"flowtraicer: {theirs}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--engagements", type=int, default=100_000, help="0: none are listed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a twentieth of it")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(one_case(given.folder, given.case)))
        return
    factor = 20 if given.quick else 1
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores{'':29}{'clock':>9}{'CPU':>9}")
    with tempfile.TemporaryDirectory() as folder:
        bench_files(Path(folder), given.events // factor, given.rounds)
        if given.engagements:
            bench_list(Path(folder), given.engagements // factor)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
