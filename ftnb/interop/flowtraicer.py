"""flowtraicer's SQLite file: its records as they are, in a log of ours; the file itself is not touched."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from ..core.errors import NotOurFileError
from ..store.draft import Stream, of_record
from ..store.records import GapRecorded, RecordAdapter
from ._database import open_database, rows
from ._into import Sink
from ._source import Source


def load(source: Source, sink: Sink) -> None:
    """Every record of the file. One that cannot be read is a gap of its engagement, and an error unless allowed."""
    streams: dict[str, Stream | None] = {}
    with closing(open_database(source)) as connection:
        found = rows(connection, source, "SELECT seq, engagement_id, data FROM records ORDER BY seq")
        for seq, engagement_id, data in found:
            key = str(engagement_id)
            if key not in streams:
                begun = sink.turn(key, "flowtraicer")
                streams[key] = None if begun is None else begun[0]
            stream = streams[key]
            if stream is None:
                continue
            record = _record(seq, key, data, source)
            sink.add([of_record(record, stream)])
            source.report.add("mapped", record.type, "the same record")
            source.report.counts["records"] += 1
    if not streams:
        raise NotOurFileError(f"{source.where}: the database holds no records")


def _record(seq: Any, engagement_id: str, data: Any, source: Source) -> Any:
    try:
        record: Any = RecordAdapter.validate_json(data if isinstance(data, (str, bytes)) else str(data))
        if record.engagement_id != engagement_id:
            raise ValueError(f"it is of engagement {record.engagement_id!r}, in a row of {engagement_id!r}")
    except ValueError as error:
        reason = str(error).splitlines()[0][:300]
        source.bad(seq if isinstance(seq, int) else None, f"record {seq}: {reason}", data)
        record = GapRecorded(engagement_id=engagement_id, reason="bad_record", detail=reason)
    record.seq = record.stream_id = record.n = record.turn = None
    return record
