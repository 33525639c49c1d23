"""A store's own log, read once and then only what was added: its tree, and where it speaks of which engagement."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from ..store._entries import entry_hash
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

    def refresh(self, size: int) -> LogIndex:
        """Read on until it knows `size` entries."""
        with self._lock:
            if size < len(self.nodes):  # set back to an earlier copy
                self.nodes = Nodes()
                self.seals.clear()
                self.receipts.clear()
            if size > len(self.nodes):
                for place, (_, at_us, kind, body) in enumerate(
                    self._entry_rows(after=len(self.nodes), n=size - len(self.nodes)), len(self.nodes)
                ):
                    self.nodes.append(entry_hash(at_us, kind, body))
                    if kind in _ABOUT:
                        self._take(place, kind, orjson.loads(body))
        return self

    def _take(self, place: int, kind: str, said: dict[str, Any]) -> None:
        engagement_id = str(said.get("engagement"))
        if kind == "seal":
            self.seals[engagement_id][str(said.get("stream"))] = place, int(said.get("size", 0))
        else:
            self.receipts[engagement_id].append((place, kind))


_INDEXES: WeakKeyDictionary[Any, LogIndex] = WeakKeyDictionary()


def index_of(store: Any, size: int) -> LogIndex:
    """The index of a store's log, which has `size` entries."""
    found = _INDEXES.get(store)
    if found is None:
        found = _INDEXES[store] = LogIndex(store)
    return found.refresh(size)
