"""`ftnb.monitor()`: what runs, waits and has just ended, as it happens, over any store that tails."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

from .._handles import EngagementHandle
from ..widget.monitor import MonitorView
from ..widget.protocol import PROTOCOL_VERSION, ActivityRow, AlarmRow, AlertRow, MonitorPayload
from ..widget.view import EngagementView
from ._activity import Activity
from ._watch import Watch, watch_of
from .alerts import Alert
from .follow import following_of

__all__ = ["Monitor", "monitor"]

_SECONDS = 0.25
"""How often a monitor is drawn anew, at most."""
_QUIET_SECONDS = 2.0
"""How often while nothing comes: rates and sparklines fade."""
_ROWS = 100
_ALARMS = 20


def monitor(source: Any = None) -> Monitor:
    """A live list of engagements: those that run, those that wait for somebody, those that have just ended.

    `source` is a store, trace, path or URL, of this process or another; None: what is recorded into. Raises FtnbError
    when nothing is, StoreError when it cannot be opened.
    """
    return Monitor(watch_of(source))


class Monitor:
    """A live list; the last expression of a cell shows it. It is drawn for as long as it is referred to."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._keys: list[Alert] = []
        self.view = MonitorView(self._payload(), on_open=self._open, on_remove=self._remove)
        """The widget."""
        self._closed = threading.Event()
        drawing = threading.Thread(
            target=_draw, args=(weakref.ref(self), self._closed), name="ftnb-monitor", daemon=True
        )
        drawing.start()

    @property
    def alerts(self) -> list[Alert]:
        """The alerts on this store."""
        return self._watch.alerts

    def open(self, engagement_id: str, *, step: str | None = None) -> EngagementView | None:
        """Open a run below the list, as a click on its row does."""
        return self.view.open_run(engagement_id, step=step)

    def close(self) -> None:
        """Take it off the page."""
        self._closed.set()
        self.view.open_run(None)
        self.view.close()

    def _open(self, engagement_id: str) -> EngagementView:
        opened: EngagementView = EngagementHandle(self._watch.store, engagement_id).widget()
        return opened

    def _remove(self, key: int) -> None:
        if 0 <= key < len(self._keys):
            self._keys[key].remove()

    def draw(self) -> None:
        """Bring the widget up to date."""
        self.view.show(self._payload())

    def revision(self) -> int:
        """Differs when there is something new to draw."""
        return self._watch.revision

    def _payload(self) -> MonitorPayload:
        known = self._watch.activities()
        for alert in self._watch.alerts:
            if alert not in self._keys:
                self._keys.append(alert)
        return MonitorPayload(
            v=PROTOCOL_VERSION,
            kind="monitor",
            store=str(self._watch.store.url),
            rows=[_row(one) for one in known[:_ROWS]],
            n_more=max(len(known) - _ROWS, 0),
            alerts=[_alert_row(self._keys.index(one), one) for one in self._watch.alerts],
            alarms=self._alarms(),
            following=following_of(self._watch.store),
        )

    def _alarms(self) -> list[AlarmRow]:
        return [
            AlarmRow(
                alert=self._keys.index(one.alert) if one.alert in self._keys else -1,
                name=one.alert.name,
                engagement=one.engagement_id,
                engagement_name=one.engagement_name,
                step=one.step_id,
                text=one.text,
                at=one.at.isoformat(),
            )
            for one in self._watch.alarms[-_ALARMS:]
        ]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        data, metadata = self.view._repr_mimebundle_()
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]

    def __repr__(self) -> str:
        return f"<Monitor of {self._watch.store!r}: {len(self._watch.activities())} engagements>"


def _draw(monitor: weakref.ref[Monitor], closed: threading.Event) -> None:
    """Draw when there is something new, and now and then; ends with the monitor."""
    seen, drawn = -1, 0.0
    while not closed.wait(_SECONDS):
        shown = monitor()
        if shown is None:
            return
        revision = shown.revision()
        if revision != seen or time.monotonic() - drawn > _QUIET_SECONDS:
            seen, drawn = revision, time.monotonic()
            shown.draw()
        del shown


def _row(one: Activity) -> ActivityRow:
    return ActivityRow(
        id=one.id,
        name=one.name,
        status=one.status,  # type: ignore[typeddict-item]
        started_at=one.started_at.isoformat(),
        duration_ms=round(one.duration_ms, 1),
        steps=one.n_steps,
        running=[step.name for step in list(one.open_steps.values())][:5],
        last_step=one.last_step,
        tokens=one.tokens,
        tokens_per_s=one.tokens_per_s,
        errors=one.errors,
        llm_calls=one.llm_calls,
        tool_calls=one.tool_calls,
        turns=one.turns,
        dropped=one.dropped,
        spark=one.spark(),
    )


def _alert_row(key: int, alert: Alert) -> AlertRow:
    return AlertRow(key=key, name=alert.name, condition=alert.condition, n=len(alert.fired), error=alert.last_error)
