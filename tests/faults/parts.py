"""What the fault tests ask of a store after a fault."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from ftnb.store._log_store import LogStoreBase


def whole(store: Any) -> None:
    """Nothing is torn: every engagement folds without a gap, every stream is dense and as long as its head says."""
    assert isinstance(store, LogStoreBase)
    for summary in store.list_engagements():
        assert store.get_engagement(summary.id).gaps == [], summary
    log = store.scan(["stream_id", "n"])
    places: dict[str, list[int]] = {}
    for stream_id, n in zip(log["stream_id"].to_pylist(), log["n"].to_pylist(), strict=True):
        places.setdefault(stream_id, []).append(n)
    for stream_id, found in places.items():
        assert found == list(range(len(found))), f"stream {stream_id}: {found}"
    heads = store.scan_streams()
    sizes = dict(zip(heads["stream_id"].to_pylist(), heads["size"].to_pylist(), strict=True))
    assert sizes == {stream_id: len(found) for stream_id, found in places.items()}


def sound(path: Path) -> None:
    """SQLite finds no fault with the file."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()
