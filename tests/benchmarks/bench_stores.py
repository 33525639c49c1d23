"""Stores measured, with flowtraicer 0.11.1 beside them: appending, reading whole, listing, opening one, tailing, size.

    python tests/benchmarks/bench_stores.py [--events 200000] [--engagements 20000] [--only read,…] [--stores sqlite]

Starts PostgreSQL and Redis of its own; flowtraicer runs in an environment of its own (build/peer), made on first use.
The cases take turns where they are compared; medians of three. Say how busy the machine was when quoting a number.
To be reached are `--only read --events 1000000`, `--only open --events 10000000` (which copies what it recorded inside
the database, see `_big_log`; not in Redis, whose memory it would fill), `--only race --events 1000000` and
`--only list --engagements 100000`.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polars as pl  # noqa: E402

from ftnb.core.ids import new_id, now_us  # noqa: E402
from ftnb.core.model import EventKind, StepStatus  # noqa: E402
from ftnb.recorder import Recorder  # noqa: E402
from ftnb.store import build  # noqa: E402
from ftnb.store.draft import Draft, Stream  # noqa: E402
from ftnb.store.memory import MemoryStore  # noqa: E402
from ftnb.store.parquet import ParquetStore  # noqa: E402
from ftnb.store.postgres import PostgresStore  # noqa: E402
from ftnb.store.redis import RedisStore  # noqa: E402
from ftnb.store.sqlite import SQLiteStore  # noqa: E402
from tests.benchmarks._big_log import multiply_postgres, multiply_sqlite  # noqa: E402
from tests.servers import postgres_server, redis_server  # noqa: E402

PEER = ROOT / "build/peer/bin/python"
PAYLOAD = {"question": "x" * 120, "answer": "y" * 60}
BATCH = 1_000
MOST_RECORDED = 1_000_000
"""Events that are recorded; more are copies."""
FRAME = ["engagement_id", "step_id", "name", "at_us", "kind", "duration_us", "model", "tok_prompt", "tok_completion"]
PEER_PROGRAM = """
import json, sys, time
from ft.core.model import EventKind, StepEvent, TokenUsage
from ft.store.records import EngagementStarted, EventRecorded
kind, place, n, n_engagements = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if kind == "sqlite":
    from ft.store.sqlite import SQLiteStore as make
elif kind == "redis":
    from ft.store.redis import RedisStore as make
else:
    from ft.store.postgres import PostgresStore as make
extra = {"redis": {"key_prefix": f"peer{time.time_ns()}"}, "postgres": {"table": f"peer{time.time_ns()}"}}
store = make(place, **extra.get(kind, {}))
payload = {"question": "x" * 120, "answer": "y" * 60}
begun = time.perf_counter()
for i in range(n):
    event = StepEvent(step_id="s", kind=EventKind.LLM_CALL, name="model", duration_ms=5.0, payload=payload,
                      tokens=TokenUsage(prompt=1, completion=2))
    store.append(EventRecorded(engagement_id="e", event=event))
append = (time.perf_counter() - begun) / (n or 1)
for i in range(n_engagements):
    store.append(EngagementStarted(engagement_id=f"e{i}", name="e", metadata={"user": i % 100}))
begun = time.perf_counter()
found = store.list_engagements(where={"user": 7})[-50:] if n_engagements else []
print(json.dumps({"append": append, "list": time.perf_counter() - begun, "found": len(found)}))
"""


def llm_call(stream: Stream, i: int) -> Draft:
    """A record of about 400 bytes, as flowtraicer writes it."""
    return build.event(
        stream, now_us(), "019f00000000700080000000000000aa", EventKind.LLM_CALL, "model", payload=PAYLOAD,
        duration_us=5_000, model="gpt-x", tokens=(1, 2, 3, 0, 0, i % 7),
    )  # fmt: skip


def fill(store: Any, n_events: int, per_engagement: int = 100) -> None:
    """Engagements of `per_engagement` events each, in batches."""
    drafts: list[Draft] = []
    for k in range(0, n_events, per_engagement):
        stream = Stream(new_id(), new_id(), turn=1)
        drafts.append(build.engagement_started(stream, now_us(), "chat", metadata={"user": k % 100}))
        drafts += [llm_call(stream, i) for i in range(per_engagement)]
        if len(drafts) >= BATCH:
            store.append_drafts(drafts)
            drafts = []
    if drafts:
        store.append_drafts(drafts)


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it took."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def appended(store: Any, n_events: int, per_engagement: int = 100) -> float:
    """Seconds of the clock that the store takes for what `fill` gives it: drafts are made by recorders, not by it."""
    took = 0.0
    for k in range(0, n_events, BATCH):
        drafts: list[Draft] = []
        for i in range(k, min(k + BATCH, n_events), per_engagement):
            stream = Stream(new_id(), new_id(), turn=1)
            drafts.append(build.engagement_started(stream, now_us(), "chat", metadata={"user": i % 100}))
            drafts += [llm_call(stream, j) for j in range(per_engagement)]
        took += timed(functools.partial(store.append_drafts, drafts))
    return took


def peer(kind: str, place: str, n: int, n_engagements: int = 0) -> dict[str, Any]:
    """flowtraicer's own numbers, in its own environment."""
    if not PEER.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER.parents[1])], check=True)
        wanted = ["flowtraicer==0.11.1", "redis", "psycopg[binary]"]
        subprocess.run([str(PEER), "-m", "pip", "install", "-q", *wanted], check=True)
    command = [str(PEER), "-c", PEER_PROGRAM, kind, place, str(n), str(n_engagements)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


class Bench:
    """The stores of one run."""

    def __init__(self, folder: Path, redis_url: str, dsn: str, kinds: list[str]) -> None:
        self.folder, self.redis_url, self.dsn, self.kinds = folder, redis_url, dsn, kinds
        self._n = 0

    def of(self, *kinds: str) -> list[str]:
        """Those that are asked for."""
        return [kind for kind in kinds if kind in self.kinds]

    def make(self, kind: str) -> Any:
        """A new, empty store."""
        self._n += 1
        if kind == "memory":
            return MemoryStore()
        if kind == "sqlite":
            return SQLiteStore(self.folder / f"{self._n}.db")
        if kind == "parquet":
            return ParquetStore(self.folder / f"{self._n}")
        if kind == "redis":
            return RedisStore(self.redis_url, key_prefix=f"b{self._n}")
        return PostgresStore(self.dsn, table=f"b{self._n}")

    def again(self, store: Any) -> Any:
        """A second store object on the same data."""
        if isinstance(store, SQLiteStore):
            return SQLiteStore(store.path)
        if isinstance(store, RedisStore):
            return RedisStore(self.redis_url, key_prefix=store.key_prefix)
        return PostgresStore(self.dsn, table=store.table)

    def peer_place(self, kind: str) -> str:
        """Where flowtraicer puts its records."""
        return {"sqlite": str(self.folder / f"peer{new_id()}.db"), "redis": self.redis_url, "postgres": self.dsn}[kind]


def bench_append(bench: Bench, n_events: int, _: int) -> None:
    """Records a second, committed."""
    print(f"\nappend, {n_events:,} events; flowtraicer: 2,000")
    print(f"{'':10}{'store/s':>12}{'recorder/s':>12}{'peer/s':>10}{'x':>8}")
    for kind in bench.of("memory", "sqlite", "redis", "postgres"):
        direct, through, theirs = [], [], []
        for _round in range(3):
            store = bench.make(kind)
            direct.append(n_events / appended(store, n_events))
            store.close()
            store = bench.make(kind)
            through.append(n_events / timed(lambda store=store: through_recorder(store, n_events)))
            store.close()
            if kind != "memory":
                theirs.append(1 / peer(kind, bench.peer_place(kind), 2_000)["append"])
        best, own = statistics.median(direct), statistics.median(theirs) if theirs else float("nan")
        print(f"{kind:10}{best:>12,.0f}{statistics.median(through):>12,.0f}{own:>10,.0f}{best / own:>8,.1f}")


def through_recorder(store: Any, n_events: int) -> None:
    """As an agent's thread would, as fast as the queue takes it without losing payloads."""
    recorder = Recorder(store)
    step_id = recorder.start_step(recorder.start_engagement("e"), "s")
    for i in range(n_events):
        recorder.record_llm_call(step_id, "model", prompt=1, completion=2, duration_ms=5.0, model="gpt-x")
        if i % 5_000 == 4_999:
            recorder.flush(60)
    assert recorder.flush(60)
    assert recorder.stats().dropped == {}, recorder.stats()
    recorder.close()


PATIENCE = 20.0
"""Seconds without a record after which a subscriber is taken to have all."""
READS = {"sqlite": 1.5, "postgres": 4}
"""Seconds in which a million events are to be read."""


def bench_read(bench: Bench, n_events: int, _: int) -> None:
    """Seconds from store to polars, and bytes on disk."""
    from ftnb.traces import Traces

    print(f"\nto polars, {n_events:,} events, {len(FRAME)} columns")
    print(f"{'':10}{'scan s':>10}{'events() s':>12}{'bytes/event':>13}")
    for kind in bench.of("sqlite", "redis", "postgres"):
        store = bench.make(kind)
        fill(store, n_events)
        scans = [timed(lambda store=store: pl.DataFrame(store.scan(FRAME, types=["event_recorded"]))) for _ in range(3)]
        frames = [timed(lambda store=store: Traces(store).events()) for _ in range(2)]
        size = size_of(bench, store) / n_events
        goal = f"   1 M <= {READS[kind]} s" if kind in READS else ""
        print(f"{kind:10}{statistics.median(scans):>10.2f}{min(frames):>12.2f}{size:>13,.0f}{goal}", flush=True)
        if kind == "sqlite":
            read_parquet(bench, Traces(store), n_events)
        store.close()


def read_parquet(bench: Bench, traces: Any, n_events: int) -> None:
    """The same events, handed on as Parquet."""
    from ftnb.traces import open as open_traces

    folder = bench.folder / f"export{new_id()}"
    took = timed(lambda: traces.to_parquet(folder))
    sizes = {path.stem: path.stat().st_size for path in folder.glob("*.parquet")}
    view = statistics.median(timed(lambda: pl.read_parquet(folder / "events.parquet")) for _ in range(3))
    opened = min(timed(lambda: open_traces(folder).events()) for _ in range(2))
    views = sum(size for name, size in sizes.items() if name in ("engagements", "steps", "events"))
    every = sum(sizes.values())
    print(f"{'parquet':10}{view:>10.2f}{opened:>12.2f}{every / n_events:>13,.0f}   written in {took:.1f} s;", end=" ")
    print(f"views {views / n_events:.0f}, evidence {(every - views) / n_events:.0f} bytes/event")


def size_of(bench: Bench, store: Any) -> int:
    """Bytes on disk, or in memory for Redis."""
    if isinstance(store, SQLiteStore):
        return sum(path.stat().st_size for path in bench.folder.glob(f"{Path(store.path).name}*"))
    if isinstance(store, RedisStore):
        keys = list(store._client.scan_iter(f"{store.key_prefix}:*"))
        with store._client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.memory_usage(key, samples=0)
            return sum(size or 0 for size in pipe.execute())
    with store._read.use() as connection:
        sizes = [
            connection.execute(
                # A table that is not partitioned has no tree.
                "SELECT coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size(%s::regclass))"
                " FROM pg_partition_tree(%s::regclass)",
                (f"{store.table}_{table}",) * 2,
            ).fetchone()[0]
            for table in ("log", "engagement", "stream", "blob", "label")
        ]
        return sum(sizes)


def bench_list(bench: Bench, _: int, n_engagements: int) -> None:
    """A page of the newest 50 that match, in milliseconds; flowtraicer has 1,000: it folds them all."""
    print(f"\nlist_engagements(where=, newest, limit=50), {n_engagements:,} engagements; flowtraicer: 1,000")
    print(f"{'':10}{'1 in 100 ms':>13}{'all match ms':>14}{'no where ms':>13}{'peer ms':>10}")
    for kind in bench.of("sqlite", "redis", "postgres"):
        store = bench.make(kind)
        for begin in range(0, n_engagements, 500):
            store.append_drafts([draft for i in range(begin, begin + 500) for draft in small(i)])
        pages = []
        for where in ({"user": 7}, {"app": "shop"}, None):
            took = [timed(lambda store=store, where=where: page(store, where)) for _ in range(7)]
            pages.append(statistics.median(took) * 1000)
        theirs = peer(kind, bench.peer_place(kind), 0, 1_000)["list"] * 1000
        print(f"{kind:10}{pages[0]:>13.1f}{pages[1]:>14.1f}{pages[2]:>13.1f}{theirs:>10,.0f}")
        store.close()


def page(store: Any, where: dict[str, Any] | None) -> None:
    """The newest 50."""
    assert len(store.list_engagements(where, newest=True, limit=50)) == 50


def small(i: int) -> Iterator[Draft]:
    """An engagement of one step."""
    stream = Stream(new_id(), new_id(), turn=1)
    yield build.engagement_started(stream, now_us(), "chat", metadata={"user": i % 100, "app": "shop"})
    yield build.step_started(stream, now_us(), new_id(), "greet")
    yield llm_call(stream, i)


def bench_open(bench: Bench, n_events: int, _: int) -> None:
    """Milliseconds to open one engagement of 1,000 steps out of many events."""
    print(f"\nget_engagement, 1,000 steps, out of {n_events:,} events; to be reached: < 50 ms")
    print(f"{'':10}{'ms':>10}{'CPU ms':>10}{'first ms':>10}")
    for kind in bench.of("sqlite", "redis", "postgres"):
        times = max(n_events // MOST_RECORDED, 1)
        if times > 1 and kind == "redis":
            print(f"{kind:10}  not done: it would take {n_events / 2e6:,.0f} GB of memory")
            continue
        store = bench.make(kind)
        fill(store, n_events // times // 2)
        store.append_drafts(long_one())
        fill(store, n_events // times // 2)
        if times > 1:
            store = multiplied(bench, store, times)
        first = timed(lambda store=store: store.get_engagement("the-one"))
        clock, cpu = [], []
        for _round in range(5):
            worked = time.process_time()
            clock.append(timed(lambda store=store: store.get_engagement("the-one")))
            cpu.append(time.process_time() - worked)
        cells = (statistics.median(clock), statistics.median(cpu), first)
        print(kind.ljust(10) + "".join(f"{cell * 1000:>10.1f}" for cell in cells))
        store.close()


def long_one() -> list[Draft]:
    """An engagement of 1,000 steps."""
    stream = Stream(new_id(), "the-one", turn=1)
    drafts = [build.engagement_started(stream, now_us(), "long")]
    for i in range(1_000):
        drafts.append(build.step_started(stream, now_us(), f"s{i}", "work"))
        drafts.append(build.step_ended(stream, now_us(), f"s{i}", "work", StepStatus.COMPLETED, duration_us=900))
    return drafts


def multiplied(bench: Bench, store: Any, times: int) -> Any:
    """The store with `times` as much in it."""
    if isinstance(store, SQLiteStore):
        store.close()
        multiply_sqlite(Path(store.path), times)
        return SQLiteStore(store.path)
    import psycopg

    with psycopg.connect(bench.dsn, autocommit=True) as connection:
        multiply_postgres(connection, store.table, times)
    return store


def bench_tail(bench: Bench, _: int, __: int) -> None:
    """Milliseconds from before an append until a subscriber has it; another store object is as another process."""
    print(f"\ntail, ms\n{'':10}{'own p50':>10}{'own p95':>10}{'other p50':>11}{'other p95':>11}")
    for kind in bench.of("memory", "sqlite", "redis", "postgres"):
        store = bench.make(kind)
        own = latencies(store, store)
        line = f"{kind:10}{own[0]:>10.1f}{own[1]:>10.1f}"
        if kind != "memory":
            other = bench.again(store)
            across = latencies(store, other)
            line += f"{across[0]:>11.1f}{across[1]:>11.1f}"
            other.close()
        print(line)
        store.close()


def latencies(writer: Any, reader: Any, n: int = 200) -> tuple[float, float]:
    """Median and 95th percentile."""
    tail = reader.tail(timeout=2)
    stream = Stream(new_id(), new_id(), turn=1)

    def write() -> None:
        for i in range(n):
            writer.append_drafts([llm_call(stream, i)])
            time.sleep(0.01)

    thread = threading.Thread(target=write)
    thread.start()
    late = []
    for _ in range(n):
        record = next(tail)
        late.append((time.time() - record.ts.timestamp()) * 1000)
    thread.join()
    late.sort()
    return statistics.median(late), late[int(n * 0.95)]


def bench_race(bench: Bench, n_events: int, _: int) -> None:
    """Four processes write, one follows, and an engagement is purged in the middle: nothing lost, nothing twice."""
    n = n_events // 4
    print(f"\n4 writers x {n:,} records in batches of 100, a reader tailing, a purge; to be reached: zeros")
    print(f"{'':10}{'records/s':>12}{'stored':>12}{'lost':>6}{'unseen':>8}{'twice':>7}{'after purge':>13}{'gaps':>7}")
    for kind in bench.of("sqlite", "redis", "postgres", "parquet"):
        store = bench.make(kind)
        where = place_of(bench, store)
        live = store.subscribe()
        begun = time.perf_counter()
        writers = [writer(kind, where, f"w{k}", n) for k in range(4)]
        seen, purged, late, gaps = [], "", 0, 0
        took = 0.0
        while True:
            ended = all(process.poll() is not None for process in writers)
            took = took or (time.perf_counter() - begun if ended else 0.0)
            before = len(seen)
            # A busy machine may need seconds for the next page.
            for record in live.until(PATIENCE if ended else 1.0):
                if record.seq is None:  # a gap: the subscriber was too slow
                    gaps += record.count
                    continue
                seen.append(record.seq)
                late += record.engagement_id == purged
                if len(seen) == n_events // 3:
                    purged = record.engagement_id
                    store.purge(purged)
            if ended and len(seen) == before:
                break
        assert all(process.returncode == 0 for process in writers)
        rows = store.scan(["seq", "engagement_id"])
        stored = set(rows["seq"].to_pylist())
        late += sum(found == purged for found in rows["engagement_id"].to_pylist())
        lost = (4 * 10 - 1) * (n // 10) + 4 * 10 - 1 - len(stored)
        twice = len(seen) - len(set(seen)) + rows.num_rows - len(stored)
        unseen = len(stored - set(seen))  # with those of which a gap told
        print(
            f"{kind:10}{n * 4 / took:>12,.0f}{len(stored):>12,}{lost:>6}{unseen:>8}{twice:>7}{late:>13}{gaps:>7}",
            flush=True,
        )
        store.close()


def place_of(bench: Bench, store: Any) -> str:
    """What a process that writes is told of it."""
    if isinstance(store, RedisStore):
        return f"{bench.redis_url}#{store.key_prefix}"
    if isinstance(store, PostgresStore):
        return f"{bench.dsn}#{store.table}"
    return str(store.folder if isinstance(store, ParquetStore) else store.path)


def writer(kind: str, place: str, name: str, n: int) -> subprocess.Popen[bytes]:
    """A process that writes."""
    command = [sys.executable, str(ROOT / "tests/store/_writer_process.py"), kind, place, name, str(n), "0", "100"]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})


CASES = {
    "append": bench_append,
    "read": bench_read,
    "list": bench_list,
    "open": bench_open,
    "tail": bench_tail,
    "race": bench_race,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--engagements", type=int, default=20_000)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--stores", default="memory,sqlite,redis,postgres,parquet")
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url, dsn = (
            stack.enter_context(redis_server(durable=True)).url,
            stack.enter_context(postgres_server(durable=True)).dsn,
        )
        bench = Bench(folder, url, dsn, given.stores.split(","))
        for name in given.only.split(","):
            CASES[name](bench, given.events, given.engagements)
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
