"""A store's own log, read once and then only what was added: its tree, and where it speaks of which engagement."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from ..store._entries import LogHead, entry_hash
from .merkle import Nodes

_ABOUT = ("seal", "purge", "redaction")


class LogIndex:
    """What is remembered of the log of one store. Whoever verifies reads everything anew; this is for whoever proves,
    and for badges."""

    def __init__(self, store: Any) -> None:
        self._entry_rows, self._lock = store.entry_rows, threading.Lock()
        self.nodes = Nodes()
        self.seals: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        """By engagement, the last seal of each stream: its place in the log, and how many records it covers."""
        self.receipts: dict[str, list[tuple[int, str]]] = defaultdict(list)
        """By engagement, place and kind of purges and redactions."""

    def refresh(self, head: LogHead) -> LogIndex:
        """Read on until it knows what is under `head`; from the beginning where that is another log than before."""
        with self._lock:
            self._read_on(head.size)
            if not self._is_under(head):  # an earlier copy was put back, or another log in its place
                self.nodes = Nodes()
                self.seals.clear()
                self.receipts.clear()
                self._read_on(head.size)
        return self

    def _is_under(self, head: LogHead) -> bool:
        try:
            return len(self.nodes) >= head.size and self.nodes.root(head.size) == head.root
        except (ValueError, IndexError):  # the head that is kept is none
            return False

    def _read_on(self, size: int) -> None:
        known = len(self.nodes)
        rows = self._entry_rows(after=known, n=size - known) if size > known else ()
        for place, (_, at_us, kind, body) in enumerate(rows, known):
            self.nodes.append(entry_hash(at_us, kind, body))
            if kind in _ABOUT:
                try:
                    self._take(place, kind, orjson.loads(body))
                except (ValueError, TypeError, AttributeError):
                    continue  # whoever verifies is told of it

    def _take(self, place: int, kind: str, said: dict[str, Any]) -> None:
        engagement_id = str(said.get("engagement"))
        if kind == "seal":
            self.seals[engagement_id][str(said.get("stream"))] = place, int(said.get("size", 0))
        else:
            self.receipts[engagement_id].append((place, kind))


_INDEXES: WeakKeyDictionary[Any, LogIndex] = WeakKeyDictionary()


def index_of(store: Any, head: LogHead) -> LogIndex:
    """The index of a store's log, as far as `head` at least."""
    found = _INDEXES.get(store)
    if found is None:
        found = _INDEXES[store] = LogIndex(store)
    return found.refresh(head)
