"""The payload of a run that goes on: kept up to date at the cost of what changed, and told as patches. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from ..core.model import Engagement, EngagementStatus, StepEvent
from .payload import engagement_payload, event_detail, step_detail
from .preview import PREVIEW_BYTES, Resolve
from .protocol import AuditName, Change, EngagementPayload, EventDetail, Following, StepDetail
from .times import times_of

Audit = Callable[[], AuditName | None]
CostsOf = Callable[[Engagement], Mapping[str, float]]
MANY_DETAILS = 300
"""Steps past which a view gets details only of the steps that it asks for."""


class LivePayload:
    """The payload of one engagement over time. Not thread-safe."""

    def __init__(
        self,
        engagement: Engagement,
        resolve: Resolve | None,
        audit: Audit | None = None,
        costs: CostsOf | None = None,
    ) -> None:
        """`audit` says how far the engagement is proved; it is asked while no turn goes on.

        `costs` gives what the steps cost, by id.
        """
        self._resolve, self._audit, self._costs = resolve, audit, costs
        self._details: dict[str, StepDetail] = {}
        self._events: dict[tuple[str, bool], EventDetail] = {}
        self._start: datetime | None = None
        self.payload = self._make(engagement)

    def update(
        self, engagement: Engagement, *, changed: Collection[str] | None, following: Following | None
    ) -> list[Change]:
        """Bring the payload up to date; `changed` are ids of the steps that are not as before (None: any may be).

        Returns the changes, none where nothing differs; the payload's `seq` then counts one more.
        """
        if changed is None:
            self._details.clear()
            self._events.clear()
        for step_id in changed or ():
            self._details.pop(step_id, None)
        before = self.payload
        after = self._make(engagement)
        after["seq"], after["following"] = before["seq"], following
        changes = differences(before, after)
        if changes:
            after["seq"] += 1
        self.payload = after
        return changes

    def _make(self, engagement: Engagement) -> EngagementPayload:
        payload = engagement_payload(
            engagement, details="none", resolve=self._resolve, costs=self._costs and self._costs(engagement)
        )
        if self._audit is not None and engagement.status is not EngagementStatus.ACTIVE:
            payload["engagement"]["audit"] = self._audit()
        if len(engagement.steps) > MANY_DETAILS:
            return payload
        start = times_of(engagement).start
        if start != self._start:
            self._details.clear()
            self._events.clear()
            self._start = start
        payload["details"] = [self._detail(step, start) for step in engagement.steps]
        return payload

    def _detail(self, step: Any, start: datetime) -> StepDetail:
        known = self._details.get(step.id)
        if known is None:
            known = step_detail(step, start, self._resolve, PREVIEW_BYTES, self._event)
            self._details[step.id] = known
        return known

    def _event(self, event: StepEvent, start: datetime, limit: int | None) -> EventDetail:
        key = (event.id, event.discarded)
        known = self._events.get(key)
        if known is None:
            known = self._events[key] = event_detail(event, start, limit)
        return known


def differences(before: Any, after: Any) -> list[Change]:
    """What turns the JSON value `before` into `after`, as changes that `js/src/patch.ts` applies. `seq` is left out."""
    found: list[Change] = []
    # Columns are read as a whole, and marks are either in them or in the lanes: no path leads from one to the other.
    whole = ["marks", "timeline"] if before["marks"] != after["marks"] else []
    if before["layout"] != after["layout"]:
        whole.append("layout")  # the graph knows a layout that it has drawn by the object
    for key, value in after.items():
        if key in whole:
            found.append(Change(path=[key], value=value, n=None))
        elif key != "seq":
            _compare(before[key], value, [key], found)
    return found


def _compare(before: Any, after: Any, path: list[str | int], found: list[Change]) -> None:
    # Most is as it was; Python compares it many times faster than a walk does.
    if before is after or (before == after and type(before) is type(after)):
        return
    if isinstance(before, list) and isinstance(after, list):
        for index, value in enumerate(after):
            if index < len(before):
                _compare(before[index], value, [*path, index], found)
            else:
                found.append(Change(path=[*path, index], value=value, n=None))
        if len(after) < len(before):
            found.append(Change(path=path, value=None, n=len(after)))
    elif (
        isinstance(before, dict) and isinstance(after, dict) and not _is_value(after) and before.keys() == after.keys()
    ):
        for key, value in after.items():
            _compare(before[key], value, [*path, key], found)
    else:
        found.append(Change(path=path, value=after, n=None))


def _is_value(part: dict[str, Any]) -> bool:
    """A recorded value is replaced as a whole: its keys are the user's, and no path leads into them."""
    return "cut" in part and "n_bytes" in part
