"""The view of the cell that runs: there while its runs go on, also in a cell that holds the kernel."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from .. import session
from ..core.errors import FtnbError
from ..store.base import LogStore

if TYPE_CHECKING:
    from ..live.next_run import NextRun
    from ..widget.view import EngagementView

logger = logging.getLogger("ftnb")
_NOTHING = "No run began in this cell."


class LiveDisplay:
    """One view, displayed in the cell that runs now."""

    def __init__(self, store: LogStore, current: session.Session) -> None:
        from ..live.next_run import NextRun

        self._view: EngagementView | None = None
        self._lock = threading.Lock()
        self._is_over = False
        self._next = NextRun(current, store, on_first=self._begun)

    @classmethod
    def begin(cls, shell: Any) -> LiveDisplay | None:
        """None where nothing can be shown while a cell runs: outside a kernel, or where no widget can be made."""
        current = session.current()
        if getattr(shell, "kernel", None) is None or current is None or not isinstance(current.store, LogStore):
            return None
        try:
            from ..widget.view import runtime

            runtime()
            return cls(current.store, current)
        except (ImportError, FtnbError) as error:
            logger.debug("ftnb: no live view: %s", error)
            return None

    def show(self) -> None:
        """Display the view now, waiting for a run."""
        with self._lock:
            if self._view is None and not self._is_over:
                self._view = self._next.view()
                self._view._ipython_display_()

    def _begun(self, _: NextRun) -> None:
        try:
            self.show()
        except Exception as error:  # a run that cannot be shown is recorded all the same
            logger.warning("ftnb: the run cannot be shown while it goes on (%s: %s)", type(error).__name__, error)

    def end(self) -> None:
        """The cell is over: a run that goes on is followed to its end; a view that waited in vain says so."""
        from ..widget import _shown

        self._next.settle()
        with self._lock:
            self._is_over = True
            view = self._view
        if view is not None and self._next.engagement_id is None:
            _shown.replace(view, _NOTHING)
            view.close()
