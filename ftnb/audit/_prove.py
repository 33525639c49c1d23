"""Making proofs from a store or an export: which seals cover an engagement, and the paths that lead to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..core.errors import NotRecordedError, UnknownEngagementError, UnknownStepError
from ..store._entries import LogHead
from ..store.leaf import INDEX, NAMES, Row, leaf_hash
from . import _note, merkle
from ._index import index_of
from ._proof import Consistency, Proof, ProvedEntry, ProvedRecord

_N, _STEP, _NAME = INDEX["n"], INDEX["step_id"], INDEX["name"]


def note_of(head: LogHead) -> str:
    """The signed note of a head, or, unsigned, the same lines without a signature."""
    return head.note or _note.text_of("unsigned", head.size, head.root) + "\n"


def rows_of(table: Any) -> dict[str, list[Row]]:
    """Rows by stream, in order of position, of a scan of `NAMES`."""
    streams: dict[str, list[Row]] = {}
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        streams.setdefault(row[1], []).append(row)
    for rows in streams.values():
        rows.sort(key=lambda row: row[_N])
    return streams


class Prover:
    """Makes proofs against one head."""

    def __init__(self, source: Any) -> None:
        """`source` is a store or an export, with `scan`, `entry_rows` and `log_head`."""
        self._source = source
        self.head: LogHead = source.log_head()
        self._index = index_of(source, self.head)
        self._size = min(self.head.size, len(self._index.nodes))  # a log may lack what its head says

    def prove(self, engagement_id: str, step: str | None = None) -> Proof:
        """The proof of an engagement's seals, and of the records of a step (an id or a name).

        Raises UnknownEngagementError, UnknownStepError, and NotRecordedError where nothing of it is sealed yet.
        """
        streams = rows_of(self._source.scan(list(NAMES), engagement_id=engagement_id))
        if step is not None and not streams:
            raise UnknownEngagementError.of(engagement_id, (), repr(self._source))
        wanted = None if step is None else _of_step(step, streams)
        return self._proof(engagement_id, streams, wanted)

    def prove_whole(self, engagement_id: str, streams: dict[str, list[Row]]) -> Proof:
        """The proof of an engagement's last seals and of every receipt about it, from rows that are at hand."""
        return self._proof(engagement_id, streams, None, receipts=True)

    def _proof(
        self,
        engagement_id: str,
        streams: dict[str, list[Row]],
        wanted: Callable[[Row], bool] | None,
        *,
        receipts: bool = False,
    ) -> Proof:
        proved = []
        for place, seal in self._latest(engagement_id, receipts).items():
            records: tuple[ProvedRecord, ...] = ()
            rows = streams.get(seal["stream"], [])[: seal["size"]]
            if wanted is not None and any(map(wanted, rows)):
                records = tuple(_records(rows, wanted))
            _, at_us, kind, body = self._source.entry_rows(after=place, n=1)[0]
            path = tuple(self._index.nodes.inclusion_proof(place, self._size))
            proved.append(ProvedEntry(place, at_us, kind, body, path, records))
        if not any(entry.kind != "redaction" for entry in proved):
            if not streams:
                raise UnknownEngagementError.of(engagement_id, (), repr(self._source))
            raise NotRecordedError(f"nothing of engagement {engagement_id} is sealed yet; tr.audit.seal() seals it now")
        if wanted is not None and not any(entry.records for entry in proved):
            raise NotRecordedError("the records of this step are not sealed yet; tr.audit.seal() seals them now")
        return Proof(engagement_id, tuple(proved), note_of(self.head))

    def _latest(self, engagement_id: str, receipts: bool) -> dict[int, dict[str, Any]]:
        """The last seal of each stream of the engagement, the receipt of its purge, and, asked for, those of its
        redactions, by position in the log."""
        size, index = self._size, self._index
        last = {
            place: {"stream": stream, "size": n}
            for stream, (place, n) in index.seals.get(engagement_id, {}).items()
            if place < size
        }
        for place, kind in index.receipts.get(engagement_id, ()):
            if place < size and (receipts or kind == "purge"):
                last[place] = {"stream": "", "size": 0}
        return dict(sorted(last.items()))

    def consistency(self, size: int) -> Consistency:
        """The proof that the log continues that of its first `size` entries."""
        nodes = self._index.nodes
        path = nodes.consistency_proof(size, self._size)
        return Consistency(size, nodes.root(size), tuple(path), note_of(self.head))


def _of_step(step: str, streams: dict[str, list[Row]]) -> Callable[[Row], bool]:
    rows = [row for rows in streams.values() for row in rows if row[_STEP] is not None]
    ids = {row[_STEP] for row in rows if step in (row[_STEP], row[_NAME]) and row[INDEX["type"]] == "step_started"}
    if not ids:
        names = (row[_NAME] for row in rows if row[INDEX["type"]] == "step_started" and row[_NAME])
        raise UnknownStepError.of(step, names, f"engagement {rows[0][0]}" if rows else "this engagement")
    return lambda row: row[_STEP] in ids


def _records(rows: list[Row], wanted: Callable[[Row], bool]) -> Iterable[ProvedRecord]:
    nodes = merkle.Nodes(map(leaf_hash, rows))
    for place, row in enumerate(rows):
        if wanted(row):
            yield ProvedRecord(row[1], place, leaf_hash(row).hex(), tuple(nodes.inclusion_proof(place)))
