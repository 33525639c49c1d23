"""What the lists of engagements have in common: a run of theirs opens below. Importing this imports anywidget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget

from ._page import RuntimeView
from .view import EngagementView, runtime


class ListView(RuntimeView):
    """A list of engagements, below which any of them can be opened. Subclasses say what is listed."""

    _opened = anywidget.WidgetTrait().tag(sync=True)

    def __init__(self, on_open: Callable[[str], EngagementView], **traits: Any) -> None:
        """`on_open(engagement_id)` gives the view of a run."""
        self._on_open = on_open
        super().__init__(runtime(), **traits)
        self.on_msg(self._take)

    @property
    def opened(self) -> EngagementView | None:
        """The run that is open below the list."""
        return self._opened if isinstance(self._opened, EngagementView) else None

    def open_run(self, engagement_id: str | None, *, step: str | None = None) -> EngagementView | None:
        """Open a run below the list, and select a step of it (an id or a name); None closes it.

        Raises UnknownEngagementError and UnknownStepError.
        """
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

    def close(self) -> None:
        """Take it off the page, and the run that is open in it."""
        if self.opened is not None:
            self.opened.close()
        super().close()

    def _take(self, _: Any, content: Any, buffers: Any) -> None:
        """What the browser sends. It is not trusted: anything unknown is ignored."""
        if not isinstance(content, dict):
            return
        try:
            if content.get("op") == "open":
                engagement, step = content.get("engagement"), content.get("step")
                self.open_run(
                    engagement if isinstance(engagement, str) else None, step=step if isinstance(step, str) else None
                )
            else:
                self._take_own(content)
        except LookupError as error:
            self.send({"op": "answer", "seq": content.get("seq"), "value": None, "error": str(error)})

    def _take_own(self, content: dict[str, Any]) -> None:
        """A message of this kind of list."""

    def _static(self) -> str:
        """The list for viewers without script."""
        raise NotImplementedError

    def picture(self) -> dict[str, str]:
        """The list as a table."""
        return {"text/html": self._static(), "text/plain": repr(self)}
