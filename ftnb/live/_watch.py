"""Watching a store: what its engagements do, and the alerts on them. One watch a store, shared by all monitors."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict
from typing import Any

from ..core.errors import FtnbError
from ..store.base import LogStore
from ..store.records import BaseRecord, EngagementStarted, EventRecorded
from ._activity import Activity, event_values
from .alerts import Alarm, Alert
from .follow import hub_of

logger = logging.getLogger("ftnb")

_MAX_KNOWN = 500
"""Engagements that are counted; those that did nothing for longest are forgotten first."""
_MAX_ALARMS = 200
_LISTED = 200
"""How many of the newest engagements are looked through for those that are not over."""


class Watch:
    """The activity of one store. Its methods may be called from any thread."""

    def __init__(self, store: LogStore) -> None:
        self.store = store
        self.alarms: list[Alarm] = []
        """The newest alarms, oldest first."""
        self.revision = 0
        """Counts changes."""
        self._known: OrderedDict[str, Activity] = OrderedDict()
        self._alerts: list[Alert] = []
        self._new: list[tuple[str, dict[str, Any], str | None]] = []
        self._touched: set[str] = set()
        self._lock = threading.RLock()
        hub_of(store).join(self)
        self._look_back()

    def _look_back(self) -> None:
        """Count what is under way, and what has just ended, from the store."""
        ended = 0
        for summary in self.store.list_engagements(limit=_LISTED, newest=True):
            is_over = summary.status.value not in ("active", "paused")
            ended += is_over
            if not is_over or ended <= 10:
                self._count(summary.id)

    def _count(self, engagement_id: str) -> Activity:
        """The activity so far, from the store's records."""
        activity = Activity(engagement_id)
        last = 0
        for record in self.store.read(engagement_id):
            activity.take(record, is_live=False)
            last = max(last, record.seq or 0)
        with self._lock:
            there = self._known.get(engagement_id)
            if there is not None and there.seen >= last:
                return there  # counted by another thread meanwhile, and further
            self._known[engagement_id] = activity
            activity.seen = last
            while len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)
        return activity

    # --- as a listener of the hub ---

    def take(self, record: BaseRecord) -> None:
        """Count one record."""
        if not record.engagement_id:
            return
        with self._lock:
            activity = self._known.get(record.engagement_id)
            if activity is None:
                if not isinstance(record, EngagementStarted):
                    activity = self._count(record.engagement_id)  # begun before we looked, and forgotten since
                else:
                    activity = self._known[record.engagement_id] = Activity(record.engagement_id)
            if (record.seq or 0) <= activity.seen:
                return
            activity.seen = record.seq or activity.seen
            self._known.move_to_end(record.engagement_id)
            step = activity.take(record)
            self._touched.add(record.engagement_id)
            self.revision += 1
            if self._alerts:
                about = {} if step is None else step.values()
                if isinstance(record, EventRecorded):
                    about.update(event_values(record))
                if about:
                    key = record.event.id if isinstance(record, EventRecorded) else step.id if step else ""
                    self._new.append((record.engagement_id, {**about, "key": key}, step.id if step else None))

    def reread(self) -> None:
        """Records were missed: count anew."""
        with self._lock:
            self._known.clear()
        self._look_back()

    def beat(self) -> None:
        """Raise the alarms."""
        with self._lock:
            new, self._new = self._new, []
            touched, self._touched = self._touched, set()
            alerts = list(self._alerts)
            # What depends on the time that passed changes without any record.
            timely = {one.id for one in self._known.values() if one.status == "active"}
            seen = [self._known[one] for one in touched | timely if one in self._known]
        for alert in alerts:
            if alert.level == "engagement":
                for activity in seen:
                    self._ask(alert, activity, activity.values(), activity.id, None)
                continue
            for engagement_id, about, step_id in new:
                known = self._known.get(engagement_id)
                if known is not None and (alert.level == "step" or "event.kind" in about):
                    key = f"{engagement_id} {step_id if alert.level == 'step' else about['key']}"
                    self._ask(alert, known, {**known.values(), **about}, key, step_id)

    def _ask(self, alert: Alert, activity: Activity, values: dict[str, Any], key: str, step_id: str | None) -> None:
        alarm = alert.ask(activity, values, key, step_id)
        if alarm is not None:
            with self._lock:
                self.alarms = [*self.alarms[-_MAX_ALARMS + 1 :], alarm]
                self.revision += 1
            alert.call(alarm)

    # --- for monitors ---

    def activities(self) -> list[Activity]:
        """Those under way first, then the newest."""
        with self._lock:
            known = list(self._known.values())
        order = {"active": 0, "paused": 1}
        return sorted(known, key=lambda one: (order.get(one.status, 2), -one.last_at.timestamp()))

    @property
    def alerts(self) -> list[Alert]:
        """Those that watch now."""
        with self._lock:
            return list(self._alerts)

    def add(self, alert: Alert) -> None:
        """Ask `alert` from now on, and of what is under way at once."""
        with self._lock:
            self._alerts.append(alert)
            self.revision += 1
            self._touched.update(one.id for one in self._known.values() if one.status in ("active", "paused"))

    def remove(self, alert: Alert) -> None:
        """Ask it no longer."""
        with self._lock:
            self._alerts = [one for one in self._alerts if one is not alert]
            self.revision += 1


_watches: weakref.WeakKeyDictionary[LogStore, Watch] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def watch_of(source: Any = None) -> Watch:
    """The watch of a store, an opened trace, a path or URL; None: of what is recorded into. Raises FtnbError."""
    store = _store_of(source)
    with _lock:
        watch = _watches.get(store)
        if watch is None:
            watch = _watches[store] = Watch(store)
    return watch


def watches() -> list[Watch]:
    """All that there are."""
    with _lock:
        return list(_watches.values())


def _store_of(source: Any) -> LogStore:
    from .. import session, traces

    if source is None:
        current = session.current()
        if current is None:
            raise FtnbError(
                "nothing is recorded, so there is nothing to watch: %load_ext ftnb or ftnb.start('traces.db') first, "
                "or name a store, as ftnb.monitor('traces.db')"
            )
        source = current.store
    store = source.store if isinstance(source, traces.Traces) else source
    if not isinstance(store, LogStore):
        store = traces.open(store).store
    return store
