"""Several processes on one store: writers, a reader that follows them, and a purge meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from ftnb.core.ids import new_id
from ftnb.store.base import LogStore
from tests.store import _writer_process

_HERE = Path(__file__).parent
_N_WRITERS, _N_RECORDS = 3, 400


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Kind and place of a new store that other processes can open."""
    if request.param == "sqlite":
        return "sqlite", str(tmp_path / "t.db")
    if request.param == "redis":
        return "redis", f"{request.getfixturevalue('redis_url')}#{new_id()}"
    return "postgres", f"{request.getfixturevalue('postgres_dsn')}#t_{new_id()[-12:]}"


def _write(place: tuple[str, str], name: str, n_records: int, pause: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(_HERE / "_writer_process.py"), *place, name, str(n_records), str(pause)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(_HERE.parents[1])})


def _follow(subscription: Any, writers: list[subprocess.Popen[bytes]]) -> Iterator[Any]:
    """Records as they come, until every writer has ended and nothing came for a while after that."""
    while True:
        ended = all(writer.poll() is not None for writer in writers)
        quiet = True
        for record in subscription.until(0.5):
            quiet = False
            yield record
        if ended and quiet:
            assert [writer.returncode for writer in writers] == [0] * len(writers)
            return


def test_writers_a_reader_and_a_purge(place: tuple[str, str]) -> None:
    store: LogStore = _writer_process.open_store(*place)
    subscription = store.subscribe()
    writers = [_write(place, f"w{k}", _N_RECORDS, 0.002) for k in range(_N_WRITERS)]
    seen: list[Any] = []
    purged = None
    for record in _follow(subscription, writers):
        seen.append(record)
        if len(seen) == 300:
            purged = record.engagement_id
            assert store.purge(purged)

    seqs = [record.seq for record in seen]
    assert seqs == sorted(set(seqs))
    stored = store.scan(["seq", "engagement_id"]).to_pylist()
    assert {row["seq"] for row in stored} <= set(seqs)
    assert purged not in {row["engagement_id"] for row in stored}
    counts = Counter(row["engagement_id"] for row in stored)
    assert purged is not None
    assert counts == {
        f"w{k}-{e}": 1 + _N_RECORDS // 10 for k in range(_N_WRITERS) for e in range(10) if f"w{k}-{e}" != purged
    }
    for engagement_id in counts:
        assert [record.n for record in store.read(engagement_id)] == list(range(1 + _N_RECORDS // 10))
    store.close()


def test_records_of_another_process_come_soon(place: tuple[str, str]) -> None:
    store: LogStore = _writer_process.open_store(*place)
    subscription = store.subscribe()
    writer = _write(place, "w", 600, 0.02)
    late = [time.time() - record.ts.timestamp() for record in _follow(subscription, [writer])]
    assert len(late) == 610
    assert median(late) < 0.1
    store.close()


def test_no_writer_starves_beside_others_that_never_rest(tmp_path: Path) -> None:
    place = ("sqlite", str(tmp_path / "t.db"))
    store = _writer_process.open_store(*place)
    writers = [_write(place, f"w{k}", 3_000, 0) for k in range(4)]
    assert [writer.wait(120) for writer in writers] == [0] * 4
    assert store.scan(["seq"]).num_rows == 4 * 3_010
    store.close()
