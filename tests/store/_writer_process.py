"""A process that writes: `python _writer_process.py KIND PLACE NAME N PAUSE [BATCH]`; engagements NAME-0 to NAME-9."""

from __future__ import annotations

import sys
import time
from typing import Any

from ftnb.core.ids import new_id, now_us
from ftnb.core.model import EventKind
from ftnb.store.build import engagement_started, event
from ftnb.store.draft import Stream


def open_store(kind: str, place: str) -> Any:
    """The store of that kind."""
    if kind == "sqlite":
        from ftnb.store.sqlite import SQLiteStore

        return SQLiteStore(place)
    if kind == "parquet":
        from ftnb.store.parquet import ParquetStore

        return ParquetStore(place)
    if kind == "redis":
        from ftnb.store.redis import RedisStore

        url, _, prefix = place.rpartition("#")
        return RedisStore(url, key_prefix=prefix)
    from ftnb.store.postgres import PostgresStore

    dsn, _, table = place.rpartition("#")
    return PostgresStore(dsn, table=table)


def main() -> None:
    """Write N records in batches (of 10), a tenth of them to each of ten engagements, and pause after each batch."""
    kind, place, name, n_records, pause = *sys.argv[1:4], int(sys.argv[4]), float(sys.argv[5])
    store = open_store(kind, place)
    streams = [Stream(new_id(), f"{name}-{k}", turn=1) for k in range(10)]
    store.append_drafts([engagement_started(stream, now_us(), "e") for stream in streams])
    size = int(sys.argv[6]) if len(sys.argv) > 6 else 10
    for i in range(0, n_records, size):
        stream = streams[i // size % 10]
        store.append_drafts([event(stream, now_us(), "s", EventKind.LOG, f"{name} {k}") for k in range(i, i + size)])
        time.sleep(pause)
    store.close()


if __name__ == "__main__":
    main()
