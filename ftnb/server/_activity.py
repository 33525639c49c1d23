"""What runs now, for the top of every list: looked at four times a second while anybody has the list open."""

from __future__ import annotations

import logging
import threading
from typing import Any

from ..core._plain_json import encode
from ..core.errors import FtnbError
from ..live._activity import Activity
from ..live._watch import watch_of
from ..live.follow import following_of
from ..store.base import LogStore
from ._viewer import Viewer

logger = logging.getLogger("ftnb")

_SECONDS = 0.25
_ROWS = 100


class ActivityRoom:
    """The engagements under way and just ended, for every viewer with the list open."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._viewers: frozenset[Viewer] = frozenset()
        self._told: dict[str, dict[str, Any]] = {}
        self._looking: threading.Thread | None = None

    def enter(self, viewer: Viewer) -> str:
        """Tell `viewer` of changes from now on; returns the message with which it begins."""
        rows = self._rows()
        with self._lock:
            self._viewers |= {viewer}
            if self._looking is None:
                self._told = rows
                self._looking = threading.Thread(target=self._look, name="ftnb-activity", daemon=True)
                self._looking.start()
        return self._message(list(rows.values()), is_whole=True)

    def leave(self, viewer: Viewer) -> None:
        """Tell it no more."""
        with self._lock:
            self._viewers -= {viewer}

    def whole(self) -> str:
        """The message with all rows."""
        return self._message(list(self._rows().values()), is_whole=True)

    def _look(self) -> None:
        pause = threading.Event()
        while not pause.wait(_SECONDS):
            with self._lock:
                if not self._viewers:
                    self._looking = None
                    return
            try:
                self._tell()
            except FtnbError as error:
                logger.warning("ftnb: the list of a viewer could not be brought up to date: %s", error)
                pause.wait(2.0)

    def _tell(self) -> None:
        rows = self._rows()
        with self._lock:
            changed = [row for key, row in rows.items() if _lasting(row) != _lasting(self._told.get(key, {}))]
            self._told = rows
            viewers = self._viewers
        if changed:
            text = self._message(changed, is_whole=False)
            for viewer in viewers:
                viewer.post(text)

    def _message(self, rows: list[dict[str, Any]], *, is_whole: bool) -> str:
        following = following_of(self._store)
        return encode({"op": "rows", "whole": is_whole, "rows": rows, "following": following}).decode()

    def _rows(self) -> dict[str, dict[str, Any]]:
        return {one.id: _row(one) for one in watch_of(self._store).activities()[:_ROWS]}


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    """Without what changes by time alone, which the browser counts on by itself."""
    return {key: value for key, value in row.items() if key != "duration_ms"}


def _row(one: Activity) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "status": one.status,
        "started_at": one.started_at.isoformat(),
        "duration_ms": round(one.duration_ms, 1),
        "steps": one.n_steps,
        "running": [step.name for step in list(one.open_steps.values())][:5],
        "last_step": one.last_step,
        "tokens": one.tokens,
        "errors": one.errors,
        "turns": one.turns,
        "dropped": one.dropped,
    }
