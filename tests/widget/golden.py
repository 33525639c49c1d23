"""Payloads shared with the TypeScript tests: `python -m tests.widget.golden` writes them anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftnb.widget.columns import mark_columns, pack, plain
from ftnb.widget.compare import comparison_payload
from ftnb.widget.payload import engagement_payload
from ftnb.widget.process_map import MapSource, process_map_payload
from ftnb.widget.protocol import EngagementPayload, Lane
from ftnb.widget.times import times_of
from tests.widget import traces

FOLDER = Path(__file__).resolve().parent.parent / "golden"
NAMES = (
    "house",
    "failed",
    "paused",
    "running",
    "nested",
    "hostile",
    "empty",
    "long",
    "columns",
    "comparison",
    "process_map",
)


def render(name: str) -> str:
    """The payload of one trace, as the file holds it."""
    payload: Any = OTHERS[name]() if name in OTHERS else engagement_payload(traces.ALL[name]())
    return json.dumps(payload, indent=1, ensure_ascii=False) + "\n"


def columns() -> Any:
    """The trace "long" as it would travel if it were longer."""
    engagement = traces.long()
    payload = engagement_payload(engagement, details="none")
    lanes = [Lane(**{**lane, "marks": []}) for lane in payload["timeline"]["lanes"]]
    marks = mark_columns(engagement, times_of(engagement))
    bare = EngagementPayload(**{**payload, "marks": marks, "timeline": {**payload["timeline"], "lanes": lanes}})
    return plain(pack(bare, many=0))


def comparison() -> Any:
    """A run that reached its goal, and one that failed on the way."""
    whole, failed = traces.house(), traces.house(fail=True)
    return comparison_payload(engagement_payload(whole), engagement_payload(failed), names=("yesterday", "today"))


def process_map() -> Any:
    """Two groups of engagements; the second never refines, and drops out more often."""
    before = MapSource("v1", 10, _map_nodes(refine=6, submitted=7), _map_edges(refine=6, submitted=7))
    after = MapSource("v2", 20, _map_nodes(refine=0, submitted=9), _map_edges(refine=0, submitted=9))
    return process_map_payload(before, after, title="house_search", currency="EUR", goal_nodes=["submitted"])


def _map_nodes(*, refine: int, submitted: int) -> list[dict[str, Any]]:
    visits = {"greet": 10, "search": 10 + refine, "refine": refine, "submitted": submitted}
    return [
        {"name": name, "n_visits": n, "n_engagements": min(n, 10),
         "n_dropped": 10 - submitted if name == "search" else 0, "median_ms": 100.0 * n,
         "total_tokens": 50 * n, "cost": 0.01 * n}
        for name, n in visits.items() if n
    ]  # fmt: skip


def _map_edges(*, refine: int, submitted: int) -> list[dict[str, Any]]:
    ways = [
        (None, "greet", 10), ("greet", "search", 10), ("search", "refine", refine), ("refine", "search", refine),
        ("search", "submitted", submitted), ("submitted", None, submitted), ("search", None, 10 - submitted),
    ]  # fmt: skip
    return [
        {"from_name": a, "to_name": b, "n": n, "n_engagements": n, "median_ms": 40.0 if n else None}
        for a, b, n in ways
        if n
    ]


OTHERS: dict[str, Callable[[], Any]] = {
    "columns": columns, "comparison": comparison, "process_map": process_map,
}  # fmt: skip


if __name__ == "__main__":
    for each in NAMES:
        (FOLDER / f"{each}.json").write_text(render(each), encoding="utf-8")
