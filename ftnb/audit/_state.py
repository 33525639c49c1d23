"""How far one engagement is proved, as far as its store says: for a badge. `check` is what does not take its word."""

from __future__ import annotations

from typing import Any, Literal

import orjson

from ..core.canonical import dumps

Badge = Literal["sealed", "unsealed", "gap", "redacted", "no proofs"]


def state_of(store: Any, engagement_id: str) -> Badge:
    """The state of an engagement, the worst first: records missing, some not sealed yet, content taken out, sealed."""
    whole = getattr(store, "whole", store)
    if not getattr(whole, "has_proofs", False):
        return "no proofs"
    table = whole.scan(["stream_id", "n", "type"], engagement_id=engagement_id)
    sizes: dict[str, int] = {}
    for stream, n in zip(table["stream_id"].to_pylist(), table["n"].to_pylist(), strict=True):
        sizes[stream] = max(sizes.get(stream, 0), n + 1)
    if sum(sizes.values()) > table.num_rows or "gap" in table["type"].to_pylist():
        return "gap"
    mark, is_redacted = dumps(engagement_id), False
    for _, _, kind, body in whole.entry_rows():
        if kind in ("seal", "redaction") and mark in body:
            said = orjson.loads(body)
            if said.get("engagement") != engagement_id:
                continue
            is_redacted = is_redacted or kind == "redaction"
            if kind == "seal" and said["size"] >= sizes.get(said["stream"], 0):
                sizes.pop(said["stream"], None)
    return "unsealed" if sizes else "redacted" if is_redacted else "sealed"
