"""The recorder and its store: throughput, leaf hashes, latency of the caller, memory over many steps, kill -9.

    python tests/benchmarks/bench_recorder.py [quick] [latency] [throughput] [kills] [memory]

`quick` takes a tenth of the steps and kills. The disk is that of the temporary folder.
"""

from __future__ import annotations

import gc
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from ftnb.core.ids import new_id, now_us
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store import build
from ftnb.store._leaves import leaf_hashes
from ftnb.store._pipeline import QueuePipeline
from ftnb.store.draft import Draft, Stream
from ftnb.store.leaf import Tree
from ftnb.store.sqlite import SQLiteStore
from tests.benchmarks._tools import Line, interleaved, quantile, resident_mb, show
from tests.faults.killed import lost_after_kills

TEXT = "x" * 280
"""With its header and the keys of its payload, a record of 400 bytes."""
BATCH = 1_000
QUEUED = 8_000
"""Records on the queue at once; with 10,000 payloads would be dropped."""


def drafts(n: int) -> list[Draft]:
    """Events of one stream, as a recorder's queue holds them."""
    stream = Stream(new_id(), new_id(), turn=1)
    step_id = new_id()
    return [
        build.event(
            stream, now_us(), step_id, EventKind.TOOL_CALL, "search",
            payload={"query": f"{i}", "text": TEXT}, duration_us=1_234,
        )
        for i in range(n)
    ]  # fmt: skip


def throughput(folder: Path, n: int, rounds: int) -> list[Line]:
    """Records a second that a recorder's writer takes off its queue until they are committed, with the parts of it."""
    parts: dict[str, list[float]] = {"encode": [], "commit": []}

    def writer() -> float:
        """Seconds of the clock for records that are on the queue already: making them is not the writer's work."""
        store = SQLiteStore(folder / f"{new_id()}.db")
        recorder, took = Recorder(store), 0.0
        pipeline = recorder.pipeline
        assert isinstance(pipeline, QueuePipeline)
        for start in range(0, n, QUEUED):
            work = drafts(min(QUEUED, n - start))
            with pipeline._writer.gate:  # it waits for that until all are there
                for draft in work:
                    pipeline.put(draft)
                begun = time.perf_counter()
            assert recorder.flush(60)
            took += time.perf_counter() - begun
        assert recorder.stats().dropped == {}
        recorder.close()
        store.close()
        Path(store.path).unlink()
        return took

    def halves() -> float:
        """Microseconds of processor time that a record costs, and its halves."""
        store, work, spent_on = SQLiteStore(folder / f"{new_id()}.db"), drafts(n), [0.0, 0.0]
        for start in range(0, n, BATCH):
            begun = time.thread_time()
            batch = store.encode(work[start : start + BATCH])
            between = time.thread_time()
            store.commit(batch)
            spent_on[0], spent_on[1] = spent_on[0] + between - begun, spent_on[1] + time.thread_time() - between
        store.close()
        Path(store.path).unlink()
        for name, seconds in zip(parts, spent_on, strict=True):
            parts[name].append(seconds / n * 1e6)
        return sum(spent_on)

    def leaves() -> float:
        store = SQLiteStore()
        rows = store.encode(drafts(n)).rows
        store.close()
        tree, begun = Tree(), time.thread_time()
        for start in range(0, n, BATCH):
            tree.extend(leaf_hashes(rows[start : start + BATCH]))
        return time.thread_time() - begun

    times = interleaved({"writer": writer, "halves": halves, "leaf and tree": leaves}, rounds)
    per_second = n / statistics.median(times["writer"])
    leaf_us = statistics.median(times["leaf and tree"]) / n * 1e6
    said = " + ".join(f"{name} {statistics.median(found):.1f}" for name, found in parts.items())
    return [
        Line(
            "writer throughput, records of 400 bytes", ">= 100,000/s",
            f"{per_second:,.0f}/s (best {n / min(times['writer']):,.0f}; CPU {said} us)", per_second >= 100_000,
        ),
        Line("leaf and tree, a record", "<= 5 us", f"{leaf_us:.2f} us", leaf_us <= 5),
    ]  # fmt: skip


def latency(folder: Path, n: int) -> Line:
    """What one call costs its caller while the disk is busy, in microseconds."""
    child = os.fork() if hasattr(os, "fork") else 0
    if child == 0 and hasattr(os, "fork"):
        _burn(folder / "load")
    store = SQLiteStore(folder / "latency.db")
    recorder = Recorder(store)
    try:
        step_id = recorder.start_step(recorder.start_engagement("e"), "s")
        payload = {"query": "q", "text": TEXT}
        took = []
        for i in range(n):
            begun = time.perf_counter_ns()
            recorder.record_event(step_id, EventKind.TOOL_CALL, "search", payload=payload)
            took.append((time.perf_counter_ns() - begun) / 1e3)
            if i % 10 == 9:
                time.sleep(0.002)  # an agent does something else in between
        recorder.flush(20)
    finally:
        if child:
            os.kill(child, 9)
            os.waitpid(child, 0)
        store.close()
    p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
    measured = f"{p50:.1f} / {p99:.1f} us (p99.9 {quantile(took, 0.999):.0f}, most {max(took):.0f})"
    met = p50 <= 7 and p99 <= 60
    return Line("caller, one record, disk under load, p50 / p99", "<= 7 / 60 us", measured, met)


def _burn(path: Path) -> None:
    """Write and sync for ever."""
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        while True:
            file.seek(0)
            for _ in range(8):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())


def memory(folder: Path, steps: int, seconds: float) -> Line:
    """Growth of this process over many steps, after the first 10,000."""
    store = SQLiteStore(folder / "memory.db")
    recorder = Recorder(store)
    begun, base, done = time.monotonic(), 0.0, 0
    while done < steps and time.monotonic() - begun < seconds:
        engagement_id = recorder.start_engagement("e", metadata={"user": f"u{done}"})
        for i in range(500):
            step_id = recorder.start_step(engagement_id, f"s{i % 7}", state={"text": "x" * 200, "i": i})
            recorder.end_step(step_id, update={"i": i})
        recorder.end_engagement(engagement_id)
        recorder.flush(30)
        done += 500
        if done == 10_000:
            gc.collect()
            base = resident_mb()
    gc.collect()
    grown = resident_mb() - base
    store.close()
    note = "" if done >= steps else f", as many as fit in {seconds:.0f} s"
    return Line(f"memory after the first 10,000 of {done:,} steps{note}", "< 50 MB", f"{grown:+.1f} MB", grown < 50)


def kills(folder: Path, count: int) -> Line:
    """kill -9; an AssertionError ends the benchmark where something acknowledged is lost or anything is torn."""
    seed = random.randrange(2**32)
    lost = list(lost_after_kills(folder, count, seed))
    median, p90 = statistics.median(lost), quantile(lost, 0.9)
    measured = f"0 acknowledged, 0 torn, {median:.0f} ms of the rest (p90 {p90:.0f}, most {max(lost):.0f})"
    return Line(f"kill -9 at {len(lost)} random points (seed {seed})", "0, 0, <= 20 ms", measured, median <= 20)


def main(scale: float, only: list[str]) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        parts: dict[str, Callable[[], list[Line]]] = {
            "latency": lambda: [latency(folder, int(20_000 * max(scale, 0.25)))],
            "throughput": lambda: throughput(folder, int(50_000 * max(scale, 0.2)), 7),
            "kills": lambda: [kills(folder, int(200 * scale))],
            "memory": lambda: [memory(folder, int(1_000_000 * scale), 240)],
        }
        lines = [line for name in only or parts for line in parts[name]()]
    show("recorder and store", lines)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(0.1 if "quick" in words else 1.0, [word for word in words if word != "quick"])
