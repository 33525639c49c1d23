"""What viewers look at together: a run each room, kept up to date once for all who watch it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from ..audit._state import badges_of
from ..core._plain_json import encode
from ..core.errors import InvalidArgumentError, UnknownStepError
from ..core.model import Engagement, Step
from ..debug._told import Told
from ..live.follow import LIVE, follow_run, hub_of
from ..store.base import LogStore, Store
from ..store.blobs import Resolver
from ..store.records import BaseRecord
from ..traces import Traces
from ..widget._answers import Answers
from ..widget.columns import pack, plain
from ..widget.live import LivePayload
from ..widget.news import News
from ..widget.protocol import PatchMessage, Relative
from ._viewer import Viewer


class RunRoom:
    """One engagement, for every viewer that has it open."""

    def __init__(self, store: Store, engagement_id: str) -> None:
        self.id = engagement_id
        self._store = store
        self._lock = threading.RLock()
        self._viewers: frozenset[Viewer] = frozenset()
        self._live: LivePayload | None = None
        self._engagement: Engagement | None = None
        self._unfollow: Callable[[], None] | None = None
        self._goes_on = False
        log = store if isinstance(store, LogStore) else None
        self._log = log
        self._resolve = None if log is None else Resolver(lambda blob_id: log.blob(engagement_id, blob_id))
        self._told = None if log is None else Told(lambda: Traces(log).engagement(engagement_id))
        self._answers = Answers(self, self._resolve, None)  # type: ignore[arg-type]  # what it reads is below

    def open(self) -> None:
        """Read the run, if it was not yet. Raises UnknownEngagementError."""
        with self._lock:
            if self._live is not None:
                return
            engagement = self._store.get_engagement(self.id)
            self._engagement, self._live = engagement, LivePayload(engagement, self._resolve, self._badge)
            if self._log is not None:
                hub_of(self._log).join(self)
                if engagement.status in LIVE:
                    self._unfollow = follow_run(self._log, self.id, self._hear)

    def _badge(self) -> Any:
        return badges_of(self._store, [self.id])[0]

    def close(self) -> None:
        """Nobody watches any more."""
        with self._lock:
            if self._unfollow is not None:
                self._unfollow()
                self._unfollow = None
            if self._log is not None:
                hub_of(self._log).leave(self)

    def enter(self, viewer: Viewer) -> None:
        """Tell `viewer` of news from now on."""
        with self._lock:
            self._viewers |= {viewer}

    def leave(self, viewer: Viewer) -> bool:
        """Tell it no more; whether somebody else still watches."""
        with self._lock:
            self._viewers -= {viewer}
            return bool(self._viewers)

    def whole(self) -> str:
        """The message with all of it."""
        with self._lock:
            live = self._live
            payload = None if live is None else plain(pack(live.payload))
            return encode({"op": "payload", "engagement": self.id, "payload": payload}).decode()

    def answer(self, asked: dict[str, Any]) -> Any:
        """The answer to a question of the view that changes nothing. Raises FtnbError, LookupError, ValueError."""
        return self._answers.read(asked)

    # --- as `Answers` sees a view ---

    @property
    def engagement(self) -> Engagement:
        """The run as far as it got."""
        if self._engagement is None:
            self.open()
        assert self._engagement is not None
        return self._engagement

    def find(self, step_id: str) -> Step:
        """The step of that id. Raises UnknownStepError."""
        for step in self.engagement.steps:
            if step.id == step_id:
                return step
        names = (step.name for step in self.engagement.steps)
        raise UnknownStepError.of(step_id, names, f"engagement {self.id!r}")

    def insight(self, step_id: str, what: str) -> Any:
        """Why a step ran, what it changed, or its code. Raises InvalidArgumentError, UnknownStepError."""
        if self._told is None:
            raise InvalidArgumentError("this store keeps no log: it cannot be asked")
        return self._told.insight(step_id, what)

    def relatives(self) -> list[Relative]:
        """The engagements that this one was forked from, and those that were made from these; itself among them."""
        return [] if self._told is None else self._told.relatives()

    # --- news ---

    def _hear(self, news: News) -> None:
        with self._lock:
            if self._live is None:
                return
            self._engagement = news.engagement
            changes = self._live.update(news.engagement, changed=news.changed, following=news.following)
            if news.following is None:
                self._unfollow = None
            if not changes or not self._viewers:
                return
            message = PatchMessage(op="patch", patch=self._live.payload["seq"], changes=plain(changes))
            text = encode({**message, "engagement": self.id}).decode()
            for viewer in self._viewers:
                viewer.post(text)

    # --- as a listener: a run that was over goes on with its next turn ---

    def take(self, record: BaseRecord) -> None:
        """Notice records of a run that is not followed."""
        if record.engagement_id == self.id and self._unfollow is None:
            self._goes_on = True

    def reread(self) -> None:
        """Records were missed: they may have been ours."""
        self._goes_on = self._unfollow is None

    def beat(self) -> None:
        """Follow it again where it goes on."""
        with self._lock:
            if self._goes_on and self._unfollow is None and self._log is not None and self._viewers:
                self._goes_on = False
                self._unfollow = follow_run(self._log, self.id, self._hear)


class Rooms:
    """The rooms of one store. Its methods read the store: call them off the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rooms: dict[str, RunRoom] = {}
        self._lock = threading.Lock()

    def enter(self, engagement_id: str, viewer: Viewer) -> RunRoom:
        """The room of a run, with `viewer` in it. Raises UnknownEngagementError."""
        with self._lock:
            room = self._rooms.setdefault(engagement_id, RunRoom(self._store, engagement_id))
            room.enter(viewer)
        try:
            room.open()
        except BaseException:
            self.leave(room, viewer)
            raise
        return room

    def leave(self, room: RunRoom, viewer: Viewer) -> None:
        """Have `viewer` leave; an empty room is given up."""
        with self._lock:
            if not room.leave(viewer) and self._rooms.get(room.id) is room:
                del self._rooms[room.id]
                closing: Callable[[], None] = partial(room.close)
            else:
                return
        closing()
