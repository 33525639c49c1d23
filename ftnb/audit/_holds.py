"""Legal holds, as the store's own log tells them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


def holds_of(entries: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Why each held engagement is held, from the store's own log."""
    held: dict[str, dict[str, str]] = defaultdict(dict)
    for entry in entries:
        if entry["type"] == "hold":
            for engagement_id in entry["engagements"]:
                held[engagement_id][entry["hold"]] = str(entry["reason"])
        elif entry["type"] == "release":
            for reasons in held.values():
                reasons.pop(entry["hold"], None)
    return {key: list(reasons.values()) for key, reasons in held.items() if reasons}
