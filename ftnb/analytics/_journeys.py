"""Engagements found and grouped by their metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.canonical import dumps
from ..store.base import EngagementSummary, Store
from ._source import Opened, checked_where, store_of


def journeys(source: Store | Opened, **metadata: Any) -> list[EngagementSummary]:
    """Summaries, oldest first, of the engagements whose metadata has all these entries: `journeys(s, user_id="u1")`."""
    return store_of(source).list_engagements(metadata or None)


def group_by(
    source: Store | Opened, key: str, *, where: Mapping[str, Any] | None = None
) -> dict[Any, list[EngagementSummary]]:
    """Summaries by the value of a metadata key; engagements without it are under None.

    Values that cannot be dict keys (lists, dicts) are grouped by their JSON text.
    """
    groups: dict[Any, list[EngagementSummary]] = {}
    for summary in store_of(source).list_engagements(checked_where(where)):
        groups.setdefault(_hashable(summary.metadata.get(key)), []).append(summary)
    return groups


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return dumps(value).decode()
    return value
