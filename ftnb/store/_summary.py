"""One engagement's summary out of its header rows, the same for every backend that scans."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from ..core.ids import from_us
from ..core.model import EngagementStatus
from .base import EngagementSummary
from .blobs import Resolver
from .reconstruct import UNKNOWN_NAME

HEADER_TYPES = ("engagement_started", "engagement_labelled", "engagement_status_changed", "engagement_ended")
"""Records that `Summary` takes, besides step starts."""


class Summary:
    """One engagement's header records folded, without its steps."""

    def __init__(self, engagement_id: str) -> None:
        self.id = engagement_id
        self.name = UNKNOWN_NAME
        self.status = EngagementStatus.ACTIVE
        self.started_us: int | None = None
        self.first_us = 0
        self.ended_us: int | None = None
        self.dropped_at: str | None = None
        self.metadata: dict[str, Any] = {}
        self.n_steps = 0
        self.n_turns = 1
        self.tokens = 0

    def take(self, kind: str, status: str | None, at_us: int, name: str | None, turn: int, body: bytes | None) -> None:
        """Apply one record, as `reconstruct.fold` does."""
        self.n_turns = max(self.n_turns, turn)
        if kind == "step_started":
            self.n_steps += 1
            self._reopen()
        elif kind == "engagement_ended":
            self.status, self.ended_us = _status(status, EngagementStatus.COMPLETED), at_us
            self.dropped_at = _body(body).get("name", name)
        elif kind == "engagement_status_changed":
            self._reopen()
            self.status = _status(status, EngagementStatus.ACTIVE)
        else:
            fields = _body(body)
            self.name = fields.get("name", name) or self.name
            self.metadata = {**self.metadata, **fields.get("metadata", {})}
            if kind == "engagement_started":
                self.started_us = at_us

    def _reopen(self) -> None:
        self.status, self.ended_us, self.dropped_at = EngagementStatus.ACTIVE, None, None

    def build(self) -> EngagementSummary:
        """The summary; an engagement whose start was lost began with its first record."""
        return EngagementSummary(
            id=self.id,
            name=self.name,
            status=self.status,
            started_at=_moment(self.first_us if self.started_us is None else self.started_us),
            ended_at=None if self.ended_us is None else _moment(self.ended_us),
            step_count=self.n_steps,
            total_tokens=self.tokens,
            dropped_at=self.dropped_at,
            metadata=self.metadata,
            n_turns=self.n_turns,
        )


def _moment(micros: int) -> datetime:
    """A damaged row may hold a time that no calendar has; the listing must go on without it."""
    try:
        return from_us(micros)
    except OverflowError:
        return from_us(0)


def _status(value: str | None, otherwise: EngagementStatus) -> EngagementStatus:
    try:
        return EngagementStatus(value) if value else otherwise
    except ValueError:
        return otherwise


def _body(data: bytes | None) -> dict[str, Any]:
    if data is None:
        return {}
    try:
        fields = Resolver(lambda _: None)(orjson.loads(data))
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
