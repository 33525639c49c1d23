"""Doing what a plan says, engagement by engagement, each with its receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ..audit._needed import needed
from ..core._progress import Progress
from ._look import held_since
from ._plan import Act, Plan
from ._policy import purge_all_unchanged

if TYPE_CHECKING:
    import polars as pl

_KEPT_TYPES = ("engagement_started", "engagement_labelled")
"""Records that a trim leaves whole: they tell what the engagement is."""


_MOST_AT_ONCE, _RECORDS_AT_ONCE = 100, 20_000
"""Engagements and records that one transaction purges."""


class Receipts:
    """What was done, by engagement. The store's own log has the same, under its head."""

    def __init__(self, rows: list[tuple[str, str, str, int]], head: str | None) -> None:
        """`rows` are (engagement id, what was done, why, number of records and values that went)."""
        self._rows = rows
        self.head = head
        """The head of the store's own log after it, signed where somebody signs; None where there is none."""

    @property
    def ids(self) -> list[str]:
        """Engagements that were purged."""
        return [row[0] for row in self._rows if row[1] == "purged"]

    def frame(self) -> pl.DataFrame:
        """One row an engagement that something was to happen to: engagement_id, done (purged, redacted, trimmed, kept),
        why, n (records and values that went)."""
        import polars as pl

        schema = {"engagement_id": pl.String, "done": pl.String, "why": pl.String, "n": pl.Int64}
        return pl.DataFrame(self._rows, schema=schema, orient="row")

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        counts = Counter(row[1] for row in self._rows)
        return f"<receipts: {', '.join(f'{n} {done}' for done, n in sorted(counts.items())) or 'nothing to do'}>"

    def _repr_html_(self) -> str:
        head = "" if self.head is None else f"<pre>{escape(self.head)}</pre>"
        return f"<p>{escape(repr(self))}</p>{head}"


def applied(store: Any, plan: Plan, progress: bool | Callable[[int, int], Any]) -> Receipts:
    """Do it; interrupted, what was done so far is done and has its receipts in the store's own log."""
    todo = [act for act in plan.acts if act.action != "keep"]
    shown, rows = Progress(len(todo), progress), list[tuple[str, str, str, int]]()
    try:
        for together in _groups(store, todo):
            rows += (
                _purged(store, together, plan) if together[0].action == "purge" else [_done(store, together[0], plan)]
            )
            shown.at(len(rows), f"{len(rows)} of {len(todo)} engagements")
    finally:
        if rows and hasattr(store, "vacuum"):
            store.vacuum()  # what was erased is still in free pages and the write-ahead log until then
    note = store.log_head().note if getattr(store, "has_proofs", False) else None
    return Receipts(rows, note)


def _groups(store: Any, acts: Sequence[Act]) -> Iterator[list[Act]]:
    """The acts in groups that go in one transaction: purges of all that a partition holds first, each as one."""
    purges = {act.known.summary.id: act for act in acts if act.action == "purge"}
    find: Callable[[list[str]], list[list[str]]] | None = getattr(store, "whole_partitions", None)
    for ids in find(list(purges)) if find is not None and purges else ():
        yield [purges.pop(key) for key in ids]
    yield from _together([act for act in acts if act.action != "purge" or act.known.summary.id in purges])


def _together(acts: Sequence[Act]) -> Iterator[list[Act]]:
    """The acts in order, purges in groups that go in one transaction: small ones, so that recorders do not wait."""
    group: list[Act] = []
    for act in acts:
        records = sum(one.known.n_records for one in group)
        if group and (act.action != "purge" or len(group) == _MOST_AT_ONCE or records > _RECORDS_AT_ONCE):
            yield group
            group = []
        if act.action == "purge":
            group.append(act)
        else:
            yield [act]
    if group:
        yield group


def _purged(store: Any, acts: list[Act], plan: Plan) -> list[tuple[str, str, str, int]]:
    said = {act.known.summary.id: {"policy": plan.policy, "why": act.why} for act in acts}
    gone = purge_all_unchanged(store, [act.known for act in acts], said, plan.view.log_size)
    changed = "it was added to, reopened, held or purged since the plan"
    return [
        (key, "purged", act.why, act.known.n_records) if key in gone else (key, "kept", changed, 0)
        for key, act in zip(said, acts, strict=True)
    ]


def _done(store: Any, act: Act, plan: Plan) -> tuple[str, str, str, int]:
    engagement_id = act.known.summary.id
    was_held = False

    def held(size: int) -> bool:
        nonlocal was_held
        was_held = size > plan.view.log_size and held_since(store, engagement_id, plan.view.log_size)
        return was_held

    if act.action == "redact":
        records, blobs = _content(store, engagement_id, None)
    else:
        records, blobs = _content(store, engagement_id, act.turns)
    n = store.redact(engagement_id, records, blobs, unless=held, policy=plan.policy, reason=act.why)
    if was_held:
        return engagement_id, "kept", "it was held since the plan", 0
    return engagement_id, "redacted" if act.action == "redact" else "trimmed", act.why, n


def _content(store: Any, engagement_id: str, turns: int | None) -> tuple[list[tuple[str, int]], list[str]]:
    """Records with content, and values that only they need: of everything, or of the first `turns` turns."""
    records, kept = [], []
    for stream_id, n, kind, turn, body in _rows(store, engagement_id):
        if body is None:
            continue
        if turns is None or (turn <= turns and kind not in _KEPT_TYPES):
            records.append((stream_id, n))
        else:
            kept.append(body)
    blobs = store.blobs_of(engagement_id)
    return records, sorted(set(blobs) - needed(kept, blobs))


def _rows(store: Any, engagement_id: str) -> Iterator[tuple[Any, ...]]:
    table = store.scan(["stream_id", "n", "type", "turn", "body"], engagement_id=engagement_id)
    return zip(*(column.to_pylist() for column in table.columns), strict=True)
