"""A view for runs that have not begun: it takes up each one that begins in this session, the newest at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..store.base import LogStore
from ..widget.news import News
from .follow import RunFollower, hub_of

if TYPE_CHECKING:
    from ..session import Session
    from ..store.records import BaseRecord
    from ..widget.view import EngagementView


class NextRun:
    """Follows whatever run of `session` began last, from now on."""

    def __init__(self, session: Session, store: LogStore, on_first: Callable[[NextRun], Any] | None = None) -> None:
        """`on_first` is called, on a thread of the hub, when the first run has begun."""
        self.engagement_id: str | None = None
        """The run that is followed; None: none has begun."""
        self._session, self._store, self._on_first = session, store, on_first
        self._n_before = session.peek()[0]
        self._tell: Callable[[News], None] | None = None
        self._run: RunFollower | None = None
        self._hub = hub_of(store)
        self._hub.join(self)

    def follow(self, tell: Callable[[News], None]) -> Callable[[], None]:
        """Tell of the run from now on; calling the result stops it."""
        self._tell = tell
        if self.engagement_id is not None:
            self._run = RunFollower(self._store, self.engagement_id, tell)
        return self.stop

    def stop(self) -> None:
        """Follow nothing any more."""
        self._hub.leave(self)
        if self._run is not None:
            self._run.stop()

    def settle(self) -> None:
        """Take up no other run, and show the last as it is now; it is followed to its end."""
        self._hub.leave(self)
        self.beat()
        if self._run is not None:
            self._run.catch_up()

    def take(self, record: BaseRecord) -> None:
        """The session knows what began; nothing to keep."""

    def reread(self) -> None:
        """Nothing was kept."""

    def beat(self) -> None:
        """Look whether another run has begun."""
        n_turns, newest = self._session.peek()
        if n_turns == self._n_before or newest is None or newest == self.engagement_id:
            return
        is_first, self.engagement_id = self.engagement_id is None, newest
        if self._run is not None:
            self._run.stop()
        if self._tell is not None:
            self._run = RunFollower(self._store, newest, self._tell)
        if is_first and self._on_first is not None:
            self._on_first(self)

    def view(self, **options: Any) -> EngagementView:
        """A view that waits for the run, or shows it."""
        from .._handles import EngagementHandle
        from ..debug._told import Told
        from ..widget.view import EngagementView

        def resolve(value: Any) -> Any:
            return self._handle(EngagementHandle).resolve(value)

        def annotate(*given: Any, **more: Any) -> Any:
            return self._handle(EngagementHandle).annotate(*given, **more)

        told = Told(lambda: self._handle(EngagementHandle))
        return EngagementView(None, resolve=resolve, annotate=annotate, follow=self.follow, debugging=told, **options)

    def _handle(self, kind: Any) -> Any:
        return kind(self._store, self.engagement_id or "")
