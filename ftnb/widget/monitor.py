"""The monitor's widget: a list of engagements that moves, over which any of them can be opened."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import traitlets

from ._list import ListView
from ._page import loader
from .protocol import MonitorPayload
from .svg import OTHER_COLOR, STATUS_COLORS, duration_text
from .view import EngagementView

_STATIC_ROWS = 30


class MonitorView(ListView):
    """Running, paused and just-ended engagements, with what alerts told. A row opens its run below."""

    _esm = loader("mountMonitor")
    _rows = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        payload: MonitorPayload,
        *,
        on_open: Callable[[str], EngagementView],
        on_remove: Callable[[int], None],
    ) -> None:
        """`on_open(engagement_id)` gives the view of a run; `on_remove(key)` ends an alert."""
        self._on_remove = on_remove
        super().__init__(on_open, _rows=dict(payload))

    def show(self, payload: MonitorPayload) -> None:
        """Draw newer rows; nothing is sent where nothing changed."""
        self._rows = dict(payload)

    def _take_own(self, content: dict[str, Any]) -> None:
        if content.get("op") == "remove_alert" and isinstance(content.get("key"), int):
            self._on_remove(content["key"])

    def _static(self) -> str:
        return static_table(self._rows)

    def __repr__(self) -> str:
        return f"<MonitorView {self._rows['store']}: {len(self._rows['rows'])} engagements>"


def static_table(payload: Any) -> str:
    """The list as a table, for viewers without script."""
    rows = []
    for row in payload["rows"][:_STATIC_ROWS]:
        color = STATUS_COLORS.get(row["status"], OTHER_COLOR)
        cells = (
            f'<span style="color:{color}">■</span> {escape(row["status"])}',
            escape(row["name"][:80]),
            duration_text(row["duration_ms"]),
            f"{row['steps']:,}",
            f"{row['tokens']:,}",
            str(row["errors"] or ""),
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("status", "engagement", "for", "steps", "tokens", "errors"))
    alarms = "".join(f"<li>{escape(alarm['text'][:300])}</li>" for alarm in payload["alarms"][-10:])
    listed = f"<ul>{alarms}</ul>" if alarms else ""
    left_out = len(payload["rows"]) - _STATIC_ROWS + payload["n_more"]
    more = f"<p>… and {left_out} more</p>" if left_out > 0 else ""
    return (
        f"<div><p>{escape(payload['store'])}</p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{more}{listed}</div>"
    )
