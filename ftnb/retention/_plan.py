"""What would go, what would stay, and why: to be looked at before anything is erased."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from ..analytics._windows import micros_of
from ..core.errors import InvalidArgumentError
from ._look import TERMINAL, Known, View

if TYPE_CHECKING:
    import polars as pl

Action = Literal["purge", "redact", "trim", "keep"]
"""Erase it; take its content and keep its statistics; take the content of its oldest turns; leave it."""


@dataclass(frozen=True, slots=True)
class Window:
    """How long engagements of one kind are kept. The first window that fits an engagement counts."""

    max_age: timedelta | str
    """After its end, as '90d'."""
    status: str | None = None
    """completed, failed or abandoned; None: any of them."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Metadata that it has."""

    def __post_init__(self) -> None:
        micros_of(self.max_age, "max_age")
        if self.status is not None and self.status not in TERMINAL:
            known = ", ".join(sorted(TERMINAL))
            raise InvalidArgumentError(
                f"no window for status {self.status!r}: only what has ended is purged, so it is one of {known}"
            )

    @property
    def age(self) -> timedelta:
        """`max_age` as a timedelta."""
        return timedelta(microseconds=micros_of(self.max_age, "max_age"))

    def fits(self, known: Known) -> bool:
        """Whether it is about this engagement."""
        summary = known.summary
        return (self.status is None or summary.status.value == self.status) and all(
            summary.metadata.get(key) == value for key, value in self.where.items()
        )

    def __str__(self) -> str:
        said = [f"max_age={self.max_age}"]
        said += [f"status={self.status}"] if self.status else []
        return " ".join(said + [f"{key}={value!r}" for key, value in self.where.items()])


@dataclass(frozen=True, slots=True)
class Act:
    """What is to happen to one engagement."""

    known: Known
    action: Action
    why: str
    turns: int = 0
    """Of a trim: turns 1 to this one lose their content."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a policy would do to a store as it stood when it was asked."""

    acts: tuple[Act, ...]
    view: View
    at: datetime
    """The moment that ages were counted to."""
    policy: str

    def frame(self) -> pl.DataFrame:
        """One row an engagement, oldest first: engagement_id, name, status, ended_at (UTC), age_days (null while it has
        not ended), n_turns, n_records, action (purge, redact, trim, keep), why."""
        import polars as pl

        rows = []
        for act in self.acts:
            summary, known = act.known.summary, act.known
            age = (self.at - known.newest_at) / timedelta(days=1) if known.is_terminal else None
            rows.append(
                (summary.id, summary.name, summary.status.value, summary.ended_at, age, summary.n_turns,
                 known.n_records, act.action, act.why)
            )  # fmt: skip
        schema: Any = {
            "engagement_id": pl.String, "name": pl.String, "status": pl.String,
            "ended_at": pl.Datetime("us", "UTC"), "age_days": pl.Float64, "n_turns": pl.Int64, "n_records": pl.Int64,
            "action": pl.String, "why": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")

    @property
    def n(self) -> dict[str, int]:
        """How many engagements meet which action."""
        return dict(Counter(act.action for act in self.acts))

    def __repr__(self) -> str:
        n = self.n
        parts = [f"{n[action]} to {action}" for action in ("purge", "redact", "trim", "keep") if n.get(action)]
        return f"<plan at {self.at:%Y-%m-%d %H:%M} UTC: {', '.join(parts) or 'no engagements'}>"

    def _repr_html_(self) -> str:
        why = Counter((act.action, act.why) for act in self.acts)
        rows = "".join(
            f"<tr><td>{action}</td><td style='text-align:right'>{n}</td><td>{escape(reason)}</td></tr>"
            for (action, reason), n in why.most_common(20)
        )
        head = "<tr><th>action</th><th>engagements</th><th>why</th></tr>"
        return f"<p>{escape(repr(self))}: nothing has happened yet</p><table>{head}{rows}</table>"


def planned(
    view: View, windows: Sequence[Window], at: datetime, *, content_only: bool, keep_turns: int | None
) -> tuple[Act, ...]:
    """What becomes of each engagement."""
    return tuple(_act(known, windows, at, content_only, keep_turns) for known in view.engagements)


def _act(known: Known, windows: Sequence[Window], at: datetime, content_only: bool, keep_turns: int | None) -> Act:
    if known.holds:
        return Act(known, "keep", f"held: {'; '.join(known.holds)}")
    window = next((one for one in windows if one.fits(known)), None)
    if known.is_terminal and window is not None and known.newest_at + window.age < at:
        return Act(known, "redact" if content_only else "purge", f"older than {window}")
    if keep_turns is not None and known.summary.n_turns > keep_turns:
        return Act(known, "trim", f"more than {keep_turns} turns", known.summary.n_turns - keep_turns)
    if not known.is_terminal:
        return Act(known, "keep", f"it is {known.summary.status.value}")
    return Act(known, "keep", "no window is about it" if window is None else f"within {window}")
