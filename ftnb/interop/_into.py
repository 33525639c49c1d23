"""Writing what was read into a store: traces become turns of engagements, and what is there already is left alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..store._writer import Batch
from ..store.base import LogStore
from ..store.draft import Draft, Stream
from ._forms import Span, stable_id
from ._report import Report
from ._tree import Turn, drafts, turn_of

_BATCH = 4_000


class Sink:
    """Takes engagements, a turn at a time, and commits them in batches; use it as a context."""

    def __init__(self, store: LogStore, report: Report) -> None:
        self._store = store
        self._report = report
        table = store.scan_streams()
        self._streams = dict(zip(table["stream_id"].to_pylist(), table["size"].to_pylist(), strict=True))
        self._turns: dict[str, int] = {}
        for key, turn in zip(table["engagement_id"].to_pylist(), table["turn"].to_pylist(), strict=True):
            self._turns[str(key)] = max(int(turn or 0), self._turns.get(str(key), 0))
        self._waiting: list[Draft] = []
        self.engagements: set[str] = set()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self.flush()

    def turn(self, engagement_id: str, key: str) -> tuple[Stream, bool] | None:
        """The stream of the turn that `key` names, and whether it is the engagement's first; None: it is there."""
        self.engagements.add(engagement_id)
        stream_id = stable_id("import", engagement_id, key)
        if stream_id in self._streams:
            self._report.counts["turns that were there already"] += 1
            return None
        turn = self._turns.get(engagement_id, 0) + 1
        self._turns[engagement_id] = turn
        self._streams[stream_id] = 0
        self._report.counts["turns"] += 1
        return Stream(stream_id, engagement_id, turn=turn), turn == 1

    def add(self, records: Iterable[Draft]) -> None:
        """Records of turns that were asked for."""
        self._waiting += records
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Commit what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._store.append_drafts(waiting)

    def commit(self, batch: Batch) -> None:
        """Commit rows that have their places already."""
        self._store.commit(batch)


def write_spans(spans: Iterable[Span], sink: Sink, report: Report, format: str) -> None:
    """Traces of one conversation are turns of one engagement, in the order of time; others are engagements."""
    traces: dict[str, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace, []).append(span)
    talks: dict[tuple[str, str], list[str]] = {}
    for trace, members in traces.items():
        told = next((span.conversation for span in members if span.conversation is not None), None)
        ours = next((str(s.ours["engagement_id"]) for s in members if s.ours.get("engagement_id")), None)
        where = ("ours", ours) if ours else ("conversation", told) if told is not None else ("trace", trace)
        talks.setdefault(where, []).append(trace)
    for (kind, name), names in sorted(
        talks.items(), key=lambda one: min(s.start_us for t in one[1] for s in traces[t])
    ):
        engagement_id = name if kind == "ours" else trace_id(name) if kind == "trace" else stable_id(format, kind, name)
        names.sort(key=lambda trace: min(span.start_us for span in traces[trace]))
        for trace in names:
            found = sink.turn(engagement_id, trace)
            members = traces.pop(trace)
            if found is not None:
                write_turn(turn_of(members, report), sink, *found)
    report.counts["engagements"] = len(sink.engagements)


def write_turn(turn: Turn, sink: Sink, stream: Stream, is_first: bool) -> None:
    """Give a turn's records to the sink."""
    sink.add(drafts(turn, stream, is_first=is_first))


def trace_id(name: str) -> str:
    """The id of an engagement that is one trace: the trace's own id, where it is short and plain."""
    return name if len(name) <= 64 and name.isascii() and name.isprintable() else stable_id("trace", name)
