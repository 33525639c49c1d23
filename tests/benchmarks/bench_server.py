"""The viewer's server: how long a page of the list takes over many engagements, and a record to 50 viewers.

`python tests/benchmarks/bench_server.py [quick]`; beside it what flowtraicer's endpoint does for its answer, the whole
list, over a file with the same engagements.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fastapi.testclient import TestClient
from websockets.asyncio.client import connect

from ftnb.core.ids import new_id, now_us
from ftnb.recorder import Recorder
from ftnb.server import create_app
from ftnb.store.draft import Draft, Stream
from ftnb.store.postgres import PostgresStore
from ftnb.store.redis import RedisStore
from ftnb.store.sqlite import SQLiteStore
from tests.benchmarks._envs import answer_of
from tests.server.serving import serving
from tests.servers import postgres_server, redis_server

FLOWTRAICER = """
import json, tempfile, time
from ft.recorder import Recorder
from ft.store.sqlite import SQLiteStore
with tempfile.TemporaryDirectory() as folder:
    store = SQLiteStore(folder + "/t.db")
    recorder = Recorder(store)
    made = recorder.start_engagement("house_search", metadata={{"user_id": "u-1", "cohort": "W1"}})
    recorder.end_step(recorder.start_step(made, "search"))
    recorder.end_engagement(made)
    rows = store._conn.execute("SELECT type, ts, data FROM records").fetchall()
    store._conn.executemany(
        "INSERT INTO records (engagement_id, type, ts, data) VALUES (?, ?, ?, ?)",
        ((f"{{n:032x}}", kind, ts, data.replace(made, f"{{n:032x}}"))
         for n in range(1, {n}) for kind, ts, data in rows),
    )
    store._conn.commit()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        found = json.dumps([one.model_dump(mode="json") for one in store.list_engagements()])
        times.append(time.perf_counter() - began)
print(json.dumps(sorted(times)))
"""
"""What its endpoint does for `GET /api/engagements`, without its web framework. The records are its own, put into its
table at once: its `append` commits each."""


def fill(store: SQLiteStore, n: int) -> None:
    """`n` engagements of one step."""
    drafts: list[Draft] = []
    for number in range(n):
        stream, at = Stream(new_id(), new_id(), turn=1), now_us()
        metadata = {"user_id": f"u-{number % 1000}", "cohort": f"W{number % 9}"}
        step = new_id()
        drafts += [
            Draft(stream, "engagement_started", at, name="house_search", body={"metadata": metadata}),
            Draft(stream, "step_started", at, step_id=step, name="search"),
            Draft(stream, "step_ended", at + 5, step_id=step, name="search", status="completed", duration_us=5),
            Draft(stream, "engagement_ended", at + 9, status="completed" if number % 5 else "failed"),
        ]
        if len(drafts) >= 20_000:
            store.append_drafts(drafts)
            drafts = []
    store.append_drafts(drafts)


def p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1] * 1000


def lists(n: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "t.db")
        fill(store, n)
        client = TestClient(create_app(store))
        began = time.perf_counter()
        client.get("/api/engagements?q=u-77")
        print(f"first search, which reads the store: {time.perf_counter() - began:.2f} s")
        pages: list[float] = []
        middle = client.get(f"/api/engagements?offset={n // 2}&limit=1").json()[0]["id"]
        for name, query in {
            "oldest page": "", "newest page": "?newest=1&limit=50", "by metadata": "?where.user_id=u-42",
            "from the middle": f"?after={middle}", "by status": "?status=failed&newest=1", "by text": "?q=u-77",
        }.items():  # fmt: skip
            times = []
            for _ in range(40):
                began = time.perf_counter()
                assert client.get(f"/api/engagements{query}").status_code == 200
                times.append(time.perf_counter() - began)
            print(f"{name:<18} median {median(times) * 1000:7.1f} ms, p95 {p95(times):7.1f} ms")
            pages.append(median(times))
        store.close()
    theirs = answer_of("flowtraicer", FLOWTRAICER.format(n=n))
    if isinstance(theirs, list):
        ratio = theirs[0] / max(pages)
        print(f"flowtraicer, its list of {n:,}: {theirs[0]:.2f} s at best; {ratio:,.0f} x the slowest page's median")
    else:
        print(f"flowtraicer: {theirs}")


async def viewers(store: Any, n_viewers: int, n_steps: int) -> None:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("live")
    sent: dict[str, float] = {}
    times: list[float] = []
    with serving(store) as served:
        url = f"ws://127.0.0.1:{served.port}/api/live"

        async def watch() -> None:
            async with connect(url, additional_headers=served.bearer, proxy=None, max_size=None) as page:
                await page.send(json.dumps({"op": "watch", "engagement": engagement}))
                seen: set[str] = set()
                while len(seen) < n_steps:
                    text = await page.recv()
                    now = time.perf_counter()
                    fresh = {name for name in sent if f'"{name}"' in text} - seen
                    times.extend(now - sent[name] for name in fresh)
                    seen |= fresh

        async def run() -> None:
            await asyncio.sleep(3)
            for number in range(n_steps):
                sent[f"step-{number}"] = time.perf_counter()
                recorder.end_step(recorder.start_step(engagement, f"step-{number}"))
                await asyncio.sleep(0.2)

        await asyncio.gather(run(), *(watch() for _ in range(n_viewers)))
    recorder.close()
    print(f"{type(store).__name__}: {n_viewers} viewers, record to viewer p95 {p95(times):.0f} ms")


def main() -> None:
    quick = "quick" in sys.argv[1:]
    lists(5_000 if quick else 100_000)
    size = (10, 15) if quick else (50, 60)
    with tempfile.TemporaryDirectory() as folder, closing(SQLiteStore(Path(folder) / "live.db")) as store:
        asyncio.run(viewers(store, *size))
    with redis_server() as redis, closing(RedisStore(redis.url)) as store:
        asyncio.run(viewers(store, *size))
    with postgres_server(durable=True) as postgres, closing(PostgresStore(postgres.dsn)) as store:
        asyncio.run(viewers(store, *size))


if __name__ == "__main__":
    main()
