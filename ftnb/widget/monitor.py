"""The monitor's widget: a list of engagements that moves, over which any of them can be opened."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import anywidget
import traitlets

from .protocol import MonitorPayload
from .svg import OTHER_COLOR, STATUS_COLORS, duration_text
from .view import EngagementView, runtime

_LOADER = """
export default {
  async render({ model, el, signal, host }) {
    const runtime = await host.getWidget(model.get("_runtime"));
    return runtime.exports.mountMonitor({ model, el, signal, getModel: (ref) => host.getModel(ref) });
  },
};
"""
_STATIC_ROWS = 30


class MonitorView(anywidget.AnyWidget):
    """Running, paused and just-ended engagements, with what alerts told. A row opens its run below."""

    _esm = _LOADER
    _runtime = anywidget.WidgetTrait().tag(sync=True)
    _rows = traitlets.Dict().tag(sync=True)
    _opened = anywidget.WidgetTrait().tag(sync=True)

    def __init__(
        self,
        payload: MonitorPayload,
        *,
        on_open: Callable[[str], EngagementView],
        on_remove: Callable[[int], None],
    ) -> None:
        """`on_open(engagement_id)` gives the view of a run; `on_remove(key)` ends an alert."""
        self._on_open, self._on_remove = on_open, on_remove
        super().__init__(_runtime=runtime(), _rows=dict(payload))
        self.on_msg(self._take)

    @property
    def opened(self) -> EngagementView | None:
        """The run that is open below the list."""
        return self._opened if isinstance(self._opened, EngagementView) else None

    def show(self, payload: MonitorPayload) -> None:
        """Draw newer rows; nothing is sent where nothing changed."""
        self._rows = dict(payload)

    def open_run(self, engagement_id: str | None, *, step: str | None = None) -> EngagementView | None:
        """Open a run below the list, and select a step of it (an id or a name); None closes it."""
        before = self.opened
        if engagement_id is None:
            self._opened = None
        elif before is None or before.engagement.id != engagement_id:
            self._opened = self._on_open(engagement_id)
        if before is not None and before is not self._opened:
            before.close()
        if step is not None and self.opened is not None:
            self.opened.select(step)
        return self.opened

    def _take(self, _: Any, content: Any, buffers: Any) -> None:
        """What the browser sends. It is not trusted: anything unknown is ignored."""
        if not isinstance(content, dict):
            return
        if content.get("op") == "open":
            engagement, step = content.get("engagement"), content.get("step")
            try:
                self.open_run(
                    engagement if isinstance(engagement, str) else None, step=step if isinstance(step, str) else None
                )
            except LookupError as error:
                self.send({"op": "answer", "seq": content.get("seq"), "value": None, "error": str(error)})
        elif content.get("op") == "remove_alert" and isinstance(content.get("key"), int):
            self._on_remove(content["key"])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/html": static_table(self._rows), "text/plain": repr(self)}, metadata

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
