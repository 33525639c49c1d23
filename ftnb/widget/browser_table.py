"""A page of engagements as a table without script, for saved notebooks and viewers without kernel. Pure."""

from __future__ import annotations

from html import escape

from .protocol import BrowserPayload
from .svg import OTHER_COLOR, STATUS_COLORS, duration_text

_STATIC_ROWS = 25


def static_table(payload: BrowserPayload) -> str:
    """The page as a table, for viewers without script."""
    head = ("status", "engagement", "id", "started", "took", "steps", "tokens", "errors", "dropped at")
    rows = []
    for row in payload["rows"][:_STATIC_ROWS]:
        color = STATUS_COLORS.get(row["status"], OTHER_COLOR)
        cells = (
            f'<span style="color:{color}">■</span> {escape(row["status"])}',
            escape(row["name"][:80]),
            f"<code>{escape(row['id'][:40])}</code>",
            escape(row["started_at"][:19].replace("T", " ")),
            "–" if row["duration_ms"] is None else duration_text(row["duration_ms"]),
            f"{row['n_steps']:,}",
            f"{row['total_tokens']:,}",
            str(row["n_errors"] or ""),
            escape((row["dropped_at"] or "")[:60]),
        )
        rows.append("<tr>" + "".join(f"<td{_style(place)}>{cell}</td>" for place, cell in enumerate(cells)) + "</tr>")
    names = "".join(f"<th>{name}</th>" for name in head)
    left_out = payload["n_found"] - len(rows)
    more = f"<p>… and {left_out:,} more</p>" if left_out > 0 else ""
    return (
        f"<div><p><b>{escape(payload['title'])}</b></p><table><thead><tr>{names}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{more}</div>"
    )


def _style(place: int) -> str:
    """Status, start and duration are read at a glance only in one line."""
    return ' style="white-space:nowrap"' if place in (0, 3, 4) else ""
