"""A Hypothesis state machine: any history of writing, erasing and reopening gives what the memory store gives."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ..core.ids import new_id
from ..store.base import LogStore
from ..store.draft import Stream, of_record
from ..store.leaf import NAMES
from ..store.memory import MemoryStore
from ..store.records import BaseRecord, Record
from . import strategies
from ._case import all_seqs

_ENGAGEMENTS = st.sampled_from(["e0", "e1", "e2", "o'dd\x00\ud800"])
_RECORDS = strategies.records(_ENGAGEMENTS, st.sampled_from(["s0", "s1"]))
_COMPARED = [name for name in NAMES if name not in ("stream_id", "salt", "body", "commitment")]
"""Columns that two stores must agree on: streams of `append` and salts are a store's own, bodies refer to blobs."""


class StoreMachine(RuleBasedStateMachine):
    """Drives a store and the memory store alike, and compares. Subclass it with `make_store` and `reopen`."""

    tail_seconds: ClassVar[float] = 0.2
    """How long a live record may take."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp())
        self.model = MemoryStore()
        self.store = self.make_store(self._folder)
        self.others: list[LogStore] = []
        self.shared = False
        self.live = self.store.tail(timeout=self.tail_seconds)
        self.streams: dict[tuple[int, str], Stream] = {}

    def make_store(self, place: Path) -> LogStore:
        """A new, empty store; `place` is an empty folder."""
        raise NotImplementedError

    def reopen(self, store: LogStore) -> LogStore | None:
        """A second store object on the same data; None when there cannot be one."""
        return None

    # --- rules ---

    @rule(record=_RECORDS, through=st.integers(0, 3))
    def append(self, record: Record, through: int) -> None:
        """One record, through any of the store objects."""
        store = self._writer(through)
        store.append(deepcopy(record))
        # Each store object appends to streams of its own, and the fold takes records stream by stream.
        stream = self.streams.setdefault((id(store), record.engagement_id), Stream(new_id(), record.engagement_id))
        self.model.append_drafts([of_record(record, stream)])

    @rule(records=st.lists(_RECORDS, min_size=1, max_size=6), through=st.integers(0, 3), twice=st.booleans())
    def append_batch(self, records: list[Record], through: int, twice: bool) -> None:
        """A batch, perhaps committed again as after a lost answer."""
        for store in (self._writer(through), self.model):
            batch = store.encode(_drafts(records))
            store.commit(batch)
            if twice:
                store.commit(batch)

    @rule(engagement_id=_ENGAGEMENTS, through=st.integers(0, 3))
    def purge(self, engagement_id: str, through: int) -> None:
        """Erase one."""
        assert self._writer(through).purge(engagement_id) == self.model.purge(engagement_id)

    @rule()
    def open_another(self) -> None:
        """One more store object, as another process would have."""
        if len(self.others) < 2:
            other = self.reopen(self.store)
            if other is not None:
                self.others.append(other)
                self.shared = True

    @rule()
    def close_another(self) -> None:
        """One of them goes."""
        if self.others:
            gone = self.others.pop()
            gone.close()
            self.streams = {key: stream for key, stream in self.streams.items() if key[0] != id(gone)}

    @rule(
        where=strategies.metadata(),
        newest=st.booleans(),
        limit=st.none() | st.integers(0, 3),
        through=st.integers(0, 3),
    )
    def listing(self, where: dict[str, Any], newest: bool, limit: int | None, through: int) -> None:
        """A page of summaries."""
        page = self._writer(through).list_engagements(where, newest=newest, limit=limit)
        assert page == self.model.list_engagements(where, newest=newest, limit=limit)

    # --- what always holds ---

    @invariant()
    def same_trees(self) -> None:
        """Every engagement reads the same, and its records are in the same order."""
        for engagement_id in ("e0", "e1", "e2", "o'dd\x00\ud800"):
            mine, theirs = self.store.read(engagement_id), self.model.read(engagement_id)
            assert [_content(r) for r in mine] == [_content(r) for r in theirs]
            if mine:
                assert _tree(self.store, engagement_id) == _tree(self.model, engagement_id)

    @invariant()
    def same_columns(self) -> None:
        """A scan gives the same rows, in the order of seq."""
        mine, theirs = self.store.scan(_COMPARED), self.model.scan(_COMPARED)
        assert mine.to_pylist() == theirs.to_pylist()
        seqs = all_seqs(self.store)
        assert seqs == sorted(set(seqs))
        if not self.shared:  # each store object finds equal blobs among its own
            assert self.store.scan_blobs().num_rows == self.model.scan_blobs().num_rows

    def teardown(self) -> None:
        """Everything that was committed came by, once, in order."""
        live, stored = [r.seq for r in self.live], all_seqs(self.store)
        again = [r.seq for r in self.store.tail(timeout=0.0, after=0)]
        for store in (*self.others, self.store, self.model):
            store.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        assert live == sorted(set(live), key=lambda seq: seq or 0)
        assert set(stored) <= set(live)
        assert again == stored

    def _writer(self, through: int) -> LogStore:
        stores: Sequence[LogStore] = [self.store, *self.others]
        return stores[through % len(stores)]


def _drafts(records: list[Record]) -> list[Any]:
    streams: dict[str, Stream] = {}
    return [
        of_record(record, streams.setdefault(record.engagement_id, Stream(new_id(), record.engagement_id)))
        for record in map(deepcopy, records)
    ]


def _content(record: BaseRecord) -> dict[str, Any]:
    """A record without what differs from store to store."""
    return record.model_dump(exclude={"seq", "stream_id", "n"})


def _tree(store: LogStore, engagement_id: str) -> dict[str, Any]:
    return store.get_engagement(engagement_id).model_dump()
