"""Alerts: conditions on what is being recorded, and what happens when they come true."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..core.errors import InvalidArgumentError
from ._expression import Expression, Level

if TYPE_CHECKING:
    from ._activity import Activity
    from ._watch import Watch

__all__ = ["Alarm", "Alert", "alert", "alerts"]

logger = logging.getLogger("ftnb")
_MAX_KEYS = 100_000


@dataclass(frozen=True)
class Alarm:
    """A condition came true."""

    alert: Alert = field(repr=False)
    engagement_id: str
    engagement_name: str
    step_id: str | None
    """The step, for conditions on steps and events."""
    values: dict[str, Any]
    """The quantities that the condition asks about, as they were."""
    at: datetime

    @property
    def text(self) -> str:
        """One line."""
        shown = ", ".join(f"{name} {value!r}" for name, value in self.values.items())
        return f"{self.alert.name}: {self.engagement_name} ({shown})"


class Alert:
    """A condition that is watched. Once for an engagement (or a step, or an event) it comes true, and not again."""

    def __init__(self, condition: str, watch: Watch, *, name: str | None, do: Callable[[Alarm], Any] | None) -> None:
        self.expression = Expression(condition)
        self.name = name or condition
        self.last_error: str | None = None
        """What the callback raised last."""
        self.fired: list[Alarm] = []
        """When it came true, oldest first; the newest thousand."""
        self._do, self._watch = do, watch
        self._keys: dict[str, None] = {}

    @property
    def condition(self) -> str:
        """As it was written."""
        return self.expression.text

    @property
    def level(self) -> Level:
        """What it is asked of."""
        return self.expression.level

    @property
    def is_active(self) -> bool:
        """Whether it is still watched."""
        return self in self._watch.alerts

    def remove(self) -> None:
        """Watch it no longer. Twice is fine."""
        self._watch.remove(self)

    def ask(self, activity: Activity, values: dict[str, Any], key: str, step_id: str | None) -> Alarm | None:
        """The alarm, if the condition is true of `values` and was not before of `key`."""
        if key in self._keys or not self.expression.holds(values):
            return None
        self._keys[key] = None
        if len(self._keys) > _MAX_KEYS:
            self._keys.pop(next(iter(self._keys)))
        about = {name: _asked(values, name) for name in sorted(self.expression.names)}
        made = Alarm(self, activity.id, activity.name, step_id, about, datetime.now(UTC))
        self.fired = [*self.fired[-999:], made]
        return made

    def call(self, alarm: Alarm) -> None:
        """Tell whoever asked to be told; what that raises is kept and logged."""
        if self._do is None:
            return
        try:
            self._do(alarm)
        except Exception as error:
            if self.last_error is None:
                logger.warning("ftnb: the callback of alert %r raised %s: %s", self.name, type(error).__name__, error)
            self.last_error = f"{type(error).__name__}: {error}"

    def __repr__(self) -> str:
        state = "" if self.is_active else ", removed"
        return f"<Alert {self.name!r}: came true {len(self.fired)} times{state}>"


def _asked(values: dict[str, Any], name: str) -> Any:
    return values["metadata"].get(name.removeprefix("metadata.")) if name.startswith("metadata.") else values.get(name)


def alert(
    condition: str, *, name: str | None = None, do: Callable[[Alarm], Any] | None = None, source: Any = None
) -> Alert:
    """Watch for `condition`, as "tokens > 50_000" or "step.name == 'search' and step.visit > 3".

    It is shown in `ftnb.monitor()` when it comes true, once for each engagement, step or event, and `do(alarm)` is
    called, on a thread of its own. `source` is a store, trace, path or URL; None: what is recorded into. Raises
    InvalidArgumentError with all that a condition can ask about, and FtnbError when nothing is recorded.
    """
    from ._watch import watch_of

    if do is not None and not callable(do):
        raise InvalidArgumentError(f"do= is a function that is given an Alarm; got {do!r}")
    Expression(condition)  # a condition that is not understood is told before anything is looked up
    watch = watch_of(source)
    made = Alert(condition, watch, name=name, do=do)
    watch.add(made)
    return made


def alerts() -> list[Alert]:
    """All alerts that are watched now, over all stores."""
    from ._watch import watches

    return [one for watch in watches() for one in watch.alerts]
