"""How far engagements are proved, as far as their store says: for badges. `check` is what does not take its word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from ..core.errors import FtnbError
from ._index import LogIndex, index_of

Badge = Literal["sealed", "unsealed", "gap", "redacted", "no proofs"]


def state_of(store: Any, engagement_id: str) -> Badge:
    """The state of an engagement, the worst first: records missing, some not sealed yet, content taken out, sealed."""
    return states_of(store, [engagement_id])[0]


def states_of(store: Any, engagement_ids: Sequence[str]) -> list[Badge]:
    """The same of several."""
    whole = getattr(store, "whole", store)
    if not getattr(whole, "has_proofs", False):
        return cast(list[Badge], ["no proofs"] * len(engagement_ids))
    index = index_of(whole, whole.log_head())
    return [_state(whole, index, one) for one in engagement_ids]


def badges_of(
    store: Any, engagement_ids: Sequence[str]
) -> list[Literal["sealed", "unsealed", "gap", "redacted"] | None]:
    """The same for views: None where a store gives no proofs or cannot be read, as what is shown is not its proof."""
    try:
        return [None if one == "no proofs" else one for one in states_of(store, engagement_ids)]
    except (FtnbError, ValueError):
        return [None] * len(engagement_ids)


def _state(whole: Any, index: LogIndex, engagement_id: str) -> Badge:
    table = whole.scan(["stream_id", "n", "type"], engagement_id=engagement_id)
    sizes: dict[str, int] = {}
    for stream, n in zip(table["stream_id"].to_pylist(), table["n"].to_pylist(), strict=True):
        sizes[stream] = max(sizes.get(stream, 0), n + 1)
    if sum(sizes.values()) > table.num_rows or "gap" in table["type"].to_pylist():
        return "gap"
    sealed = index.seals.get(engagement_id, {})
    if any(size > sealed.get(stream, (0, 0))[1] for stream, size in sizes.items()):
        return "unsealed"
    is_redacted = any(kind == "redaction" for _, kind in index.receipts.get(engagement_id, ()))
    return "redacted" if is_redacted else "sealed"
