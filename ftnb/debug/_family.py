"""An engagement with its parents, and with what was forked off or replayed from any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.model import Engagement
from ..frames.schema import BRANCH_KEY, BRANCHES
from ..store.base import LogStore
from ..widget.protocol import Relative
from ._branch import AT

if TYPE_CHECKING:
    import polars as pl

MAX_RELATIVES = 200
"""Members that are read; the eldest and those nearest to it come first."""


def family(store: LogStore, engagement_id: str) -> list[Relative]:
    """The members as a tree told from its root: parents before children, siblings by age, with their depth.

    An engagement without any relative is a family of one. A parent that is not in the store, as after a purge, is left
    out. Raises UnknownEngagementError.
    """
    parents, children = _links(store)
    root, seen = engagement_id, {engagement_id}
    while (parent := parents.get(root)) is not None and parent in parents and parent not in seen:
        root = parent
        seen.add(parent)
    found: list[Relative] = []
    waiting = [(root, 0)]
    known: set[str] = set()
    while waiting and len(found) < MAX_RELATIVES:
        one, depth = waiting.pop()
        if one in known:
            continue
        known.add(one)
        found.append(_relative(store.get_engagement(one), depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(one, []))]
    return found


def _links(store: LogStore) -> tuple[dict[str, str | None], dict[str, list[str]]]:
    """The parent of each engagement, and the children of each that has some, by age."""
    table = store.scan(["engagement_id", "parent_id"], types=("engagement_started",))
    pairs = zip(table["engagement_id"].to_pylist(), table["parent_id"].to_pylist(), strict=True)
    parents: dict[str, str | None] = {str(one): parent for one, parent in pairs}
    children: dict[str, list[str]] = {}
    for child, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(child)
    return parents, children


def _relative(model: Engagement, depth: int) -> Relative:
    kind = model.metadata.get(BRANCH_KEY)
    at: Any = model.metadata.get(AT)
    step = at.get("step") if isinstance(at, dict) else None
    visit = at.get("visit") if isinstance(at, dict) else None
    return Relative(
        id=model.id,
        name=model.name,
        kind=kind if kind in BRANCHES else "fork" if model.parent_id else "run",
        status=model.status.value,
        started_at=model.started_at.isoformat(),
        n_steps=len(model.steps),
        total_tokens=model.total_tokens,
        at=None if step is None else f"{step} #{visit}" if isinstance(visit, int) and visit > 1 else str(step),
        depth=depth,
    )


def family_frame(store: LogStore, engagement_id: str) -> pl.DataFrame:
    """One row a member; see `family`."""
    import polars as pl

    parents, _ = _links(store)
    rows = [
        {**one, "engagement_id": one["id"], "parent_id": parents.get(one["id"]), "is_self": one["id"] == engagement_id}
        for one in family(store, engagement_id)
    ]
    text, whole = pl.String, pl.Int64
    frame = pl.DataFrame(
        [{name: row[name] for name in _COLUMNS} for row in rows],
        schema={**dict.fromkeys(_COLUMNS, text), "n_steps": whole, "total_tokens": whole, "depth": whole,
                "is_self": pl.Boolean},
    )  # fmt: skip
    return frame.with_columns(pl.col("started_at").str.to_datetime(time_unit="us", time_zone="UTC"))


_COLUMNS = ("engagement_id", "parent_id", "kind", "at", "depth", "name", "status", "started_at", "n_steps",
            "total_tokens", "is_self")  # fmt: skip
