"""A store of somebody else's: it has `append`, and nothing more."""

from __future__ import annotations

from typing import Any


class Lines:
    """Keeps records in a list."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def append(self, record: Any) -> None:
        """Keep one."""
        self.records.append(record)
