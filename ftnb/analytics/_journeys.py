"""Engagements found and grouped by their metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.canonical import dumps
from ..frames.schema import BRANCH_KEY, BRANCHES
from ..store.base import EngagementSummary, Store
from ._source import Opened, WithBranches, asked, store_of


def journeys(source: Store | Opened, **metadata: Any) -> list[EngagementSummary]:
    """Summaries, oldest first, of the engagements whose metadata has all these entries: `journeys(s, user_id="u1")`.

    Replays and forks that debugging made are left out, unless `ftnb_branch` is among the entries.
    """
    return _summaries(source, metadata)


def group_by(
    source: Store | Opened, key: str, *, where: Mapping[str, Any] | None = None, branches: bool = False
) -> dict[Any, list[EngagementSummary]]:
    """Summaries by the value of a metadata key; engagements without it are under None.

    Values that cannot be dict keys (lists, dicts) are grouped by their JSON text. Replays and forks are left out unless
    `branches`.
    """
    groups: dict[Any, list[EngagementSummary]] = {}
    for summary in _summaries(source, asked(where, branches)):
        groups.setdefault(_hashable(summary.metadata.get(key)), []).append(summary)
    return groups


def _summaries(source: Store | Opened, where: Mapping[str, Any] | None) -> list[EngagementSummary]:
    found = store_of(source).list_engagements(where or None)
    if isinstance(where, WithBranches) or BRANCH_KEY in (where or {}):
        return found
    return [one for one in found if one.metadata.get(BRANCH_KEY) not in BRANCHES]


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return dumps(value).decode()
    return value
