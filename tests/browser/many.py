"""Views of many engagements, filled as they would be."""

from __future__ import annotations

from typing import Any

from ftnb.widget.protocol import PROTOCOL_VERSION

STATUSES = ("completed", "failed", "active", "paused", "abandoned")
WHERES = ("input", "output", "messages", "tool_args", "tool_result", "error")


def browser(n: int = 20, n_found: int = 1_234) -> Any:
    """One page of a list."""
    rows = [
        {
            "id": f"01a2052350ce7a758ad08d1a28a3{n:04d}", "name": "house_search" if n % 3 else "support",
            "status": STATUSES[n % 5], "started_at": f"2026-01-05T09:{n:02d}:00+00:00",
            "duration_ms": None if n % 5 == 2 else 40.0 * (n + 1) ** 2, "n_turns": 1 + n % 2, "n_steps": n + 1,
            "n_errors": n % 4, "total_tokens": 137 * n, "dropped_at": "rank" if n % 5 in (1, 4) else None,
            "parent_id": "01a2" if n == 3 else None, "error": "KeyError: price" if n % 5 == 1 else None,
            "metadata": [["channel", "web"], ["persona", "student"]],
        }
        for n in range(n)
    ]  # fmt: skip
    values = [{"value": one, "n": 400 - 90 * n, "picked": n == 1} for n, one in enumerate(STATUSES)]
    channels = [{"value": one, "n": 300 - 90 * n, "picked": False} for n, one in enumerate(("web", "app", "partner"))]
    spreads = [
        {"field": field, "low": 1.0, "high": high, "counts": [1, 0, 3, 5, 9, 12, 7, 3, 1, 1]}
        for field, high in (("duration_ms", 16_000.0), ("n_steps", 20.0), ("total_tokens", 2_603.0))
    ]
    picked = [{"field": "status", "values": ["failed"]}]
    return {
        "v": PROTOCOL_VERSION, "kind": "browser", "title": "traces.db", "note": "", "n": 100_000, "n_found": n_found,
        "searches": True, "page_size": 20, "rows": rows, "hits": None, "spreads": spreads,
        "query": {"text": "", "within": "about", "picked": picked, "sort": "started_at", "descending": True, "page": 2},
        "facets": [
            {"field": "status", "label": "status", "values": values, "n_more": 0},
            {"field": "meta:channel", "label": "channel", "values": channels, "n_more": 4},
        ],
    }  # fmt: skip


def found(n: int = 12) -> Any:
    """What a search found."""
    hits = [
        {
            "engagement": f"01a2052350ce7a758ad08d1a28a3163{n // 4}", "engagement_name": "house_search",
            "status": STATUSES[n // 4 % 2], "step": f"s{n}" if n % 4 else None, "step_name": "rank" if n % 4 else None,
            "where": WHERES[n % 6], "path": f"messages[{n}].content", "before": "You can see it on ",
            "match": "Thursday", "after": ", 17:30. Would you like to apply afterwards?",
        }
        for n in range(n)
    ]  # fmt: skip
    query = {"text": "", "within": "about", "picked": [], "sort": "started_at", "descending": True, "page": 0}
    return {
        **browser(0), "searches": False, "title": "Thursday", "n": 60, "n_found": n, "hits": hits, "facets": [],
        "spreads": [], "query": query,
    }  # fmt: skip


def monitor() -> Any:
    """A monitor with rows of every status, an alert and an alarm."""
    rows = [
        {
            "id": f"e{n}", "name": "house_search", "status": status, "started_at": "2026-01-05T09:30:00+00:00",
            "duration_ms": 950.0 * n, "steps": n, "running": ["rank"] if n == 2 else [], "last_step": "rank",
            "tokens": 100 * n, "tokens_per_s": 2.5 * n, "errors": n % 2, "llm_calls": 1,
            "tool_calls": 1, "turns": 1 + n,
            "dropped": int(n == 1), "spark": [0, 1, 4, 2, 0, 9],
        }
        for n, status in enumerate(STATUSES)
    ]  # fmt: skip
    alarm = {
        "alert": 0, "name": "tokens", "engagement": "e1", "engagement_name": "house_search", "step": "s1",
        "text": "tokens > 50,000 in house_search", "at": "2026-01-05T09:31:00+00:00",
    }  # fmt: skip
    alert = {"key": 0, "name": "tokens", "condition": "tokens > 50_000", "n": 1, "error": None}
    following = {"is_on": True, "dropped": 2, "detail": "queue_full: 2", "stalled_s": 3.0}
    return {
        "v": PROTOCOL_VERSION, "kind": "monitor", "store": "sqlite:///traces.db", "rows": rows, "n_more": 0,
        "alerts": [alert], "alarms": [alarm], "following": following,
    }  # fmt: skip
