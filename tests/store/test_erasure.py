"""After a purge and a vacuum, what was recorded is nowhere in the files."""

from __future__ import annotations

import time
from pathlib import Path

from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.base import LogStore
from ftnb.store.redis import RedisStore
from ftnb.store.sqlite import SQLiteStore
from tests.servers import redis_server

_CANARY = "canary-in-the-mine"


def _record(store: LogStore) -> str:
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement(_CANARY, metadata={"note": _CANARY})
    step_id = recorder.start_step(engagement_id, "s", state={"text": f"{_CANARY} " * 100})
    for i in range(200):
        recorder.record_event(step_id, EventKind.LOG, "x", payload={"i": i, "text": _CANARY})
    assert recorder.flush(10)
    recorder.close()
    return engagement_id


def _found(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path.name for path in files if _CANARY.encode() in path.read_bytes()]


def test_sqlite(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "t.db")
    engagement_id = _record(store)
    assert _found(tmp_path) != []
    assert store.purge(engagement_id)
    store.vacuum()
    assert _found(tmp_path) == []
    store.close()


def test_redis() -> None:
    with redis_server() as server:
        store = RedisStore(server.url)
        engagement_id = _record(store)
        until = time.monotonic() + 5
        while not _found(server.folder) and time.monotonic() < until:
            time.sleep(0.05)  # the append-only file is written once a second
        assert _found(server.folder) != []
        assert store.purge(engagement_id)
        store.vacuum()
        until = time.monotonic() + 10
        while _found(server.folder) and time.monotonic() < until:
            time.sleep(0.1)
        assert _found(server.folder) == []
        store.close()
