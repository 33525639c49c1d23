"""The list of many engagements, and the search through what they recorded.

    python tests/benchmarks/bench_browse.py [quick]

Pages are made of a frame in memory; the baseline is polars sorting the same frame. The search is for a text that nobody
said, so that it reads everything; the baseline is reading every engagement whole.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ftnb
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from ftnb.widget.browse import Catalogue, first_query
from tests.benchmarks._tools import Line, show
from tests.widget.test_browse import engagements


def timed(call: Callable[[], Any], rounds: int = 5) -> float:
    """Median milliseconds."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def pages(n: int) -> list[Line]:
    """Lines about `n` engagements."""
    frame = engagements(n)
    baseline = timed(lambda: frame.sort("total_tokens"))
    catalogue = Catalogue(frame)
    first = timed(lambda: Catalogue(frame).page(first_query(), title="t"), 3)
    catalogue.page(first_query(text="x"), title="t")
    asked: list[dict[str, Any]] = [{"field": "meta:version", "values": ["v1"]}]
    again = timed(lambda: catalogue.page(first_query(text="u-7", picked=asked, sort="total_tokens"), title="t"))
    size = len(json.dumps(catalogue.page(first_query(), title="t")))
    name = f"{n:,} engagements"
    return [
        Line(f"{name}: first page of a frame", "", f"{first:,.0f} ms ({first / baseline:.0f} x a sort)", None),
        Line(f"{name}: text, choice and sort", "", f"{again:,.0f} ms ({again / baseline:.0f} x a sort)", None),
        Line(f"{name}: bytes of a page", "< 60 kB", f"{size / 1000:.0f} kB", size < 60_000),
    ]


def newest(n: int) -> list[Line]:
    """The first page of a store with `n` engagements; in a small store all of it is there at once."""
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "traces.db")
        recorder = Recorder(store)
        for number in range(n):
            engagement = recorder.start_engagement(
                "talk", metadata={"user": f"u-{number}", "version": f"v{number % 3}"}
            )
            recorder.end_step(recorder.start_step(engagement, "answer"))
            recorder.end_engagement(engagement)
            if number % 2_000 == 0:
                recorder.flush(60)
        recorder.close()
        traces = ftnb.open(store)
        traces.browse().close()  # imports
        begun = time.perf_counter()
        view = traces.browse()
        first = (time.perf_counter() - begun) * 1000
        whole = view.payload
        took = (time.perf_counter() - begun) * 1000
        view.close()
        store.close()
    name = f"a store of {n:,} engagements"
    shown = f"{first:,.0f} ms; all {whole['n']:,} counted after {took:,.0f} ms"
    return [Line(f"{name}: the newest are shown", "< 500 ms", shown, first < 500)]


def search(n: int) -> list[Line]:
    """Lines about searching `n` engagements of ten steps."""
    store = SQLiteStore()
    recorder = Recorder(store)
    for number in range(n):
        engagement = recorder.start_engagement("talk")
        talk: list[dict[str, str]] = []
        for turn in range(10):
            talk = [*talk, {"role": "user", "content": f"{number} says {turn} " + "words and more words " * 20}]
            step = recorder.start_step(engagement, "answer", state={"messages": talk})
            recorder.end_step(step, update={"messages": talk})
        recorder.end_engagement(engagement)
    recorder.flush(60)
    traces = ftnb.open(store)
    ids = traces.engagements()["engagement_id"].to_list()
    rare = timed(lambda: traces.search("nobody said this", progress=False), 1)
    common = timed(lambda: traces.search("more words", progress=False), 1)
    whole = timed(lambda: [store.get_engagement(one) for one in ids], 1)
    recorder.close()
    return [
        Line(f"search {n:,} engagements, nothing", "", f"{rare / n:.2f} ms each ({rare / whole:.2f} x reading)", None),
        Line(f"search {n:,} engagements, 500 found", "", f"{common:,.0f} ms", None),
    ]


def main(quick: bool) -> None:
    lines = pages(5_000 if quick else 100_000) + newest(2_000 if quick else 100_000) + search(50 if quick else 1_000)
    show("Many engagements", lines)


if __name__ == "__main__":
    main("quick" in sys.argv[1:])
