"""What a store that is only read refuses, in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from ..core.errors import StoreError
from ._live import Subscription
from ._writer import Batch
from .draft import Draft
from .records import Record


class ReadOnly:
    """The writing half of `LogStore`, refused; nothing is ever added, so nothing is live."""

    read_only = True
    what_it_is = "an export and read-only"
    """Ends the sentence `Store(…) is`."""
    signer: Any = None
    """Nobody signs here: a head is that of the store, with the signature that this had."""

    def subscribe(self, *, after: int | None = None) -> AsyncIterator[Record]:
        """Ends at once: nothing is ever added."""
        subscription = Subscription()
        subscription.end()
        return subscription

    def tail(self, *, timeout: float | None = None, after: int | None = None) -> Iterator[Record]:
        """Ends at once: nothing is ever added."""
        return iter(())

    def _refuse(self, what: str) -> NoReturn:
        raise StoreError(f"cannot {what}: {self!r} is {self.what_it_is}; record into an SQLite store instead")

    def append(self, record: Record) -> None:
        """Raises StoreError."""
        self._refuse("append a record")

    def append_drafts(self, drafts: Sequence[Draft]) -> None:
        """Raises StoreError."""
        self._refuse("append records")

    def encode(self, drafts: Sequence[Draft]) -> Batch:
        """Raises StoreError."""
        self._refuse("append records")

    def commit(self, batch: Batch) -> None:
        """Raises StoreError."""
        self._refuse("append records")

    def abandon(self, batch: Batch) -> None:
        """Nothing was begun."""

    def append_entry(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Raises StoreError."""
        self._refuse("add an entry")

    def purge(self, engagement_id: str) -> bool:
        """Raises StoreError."""
        self._refuse(f"purge engagement {engagement_id!r}")
