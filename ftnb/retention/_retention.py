"""`tr.retention(...)`: a policy over one store, its plan, its receipts; and legal holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..audit._holds import holds_of
from ..audit._panel import panel
from ..core.errors import InvalidArgumentError, StoreError, UnknownEngagementError
from ..core.ids import new_id
from ._apply import Receipts, applied
from ._look import look, matching
from ._plan import Plan, Window, planned
from ._policy import RetentionWarning, aware

if TYPE_CHECKING:
    import polars as pl

REGULATIONS: dict[str, tuple[timedelta, str]] = {
    "eu-ai-act": (timedelta(days=183), "Regulation (EU) 2024/1689, Articles 19 and 26(6): logs are kept six months"),
}
"""The shortest window that a regulation allows, and where it says so. No legal advice."""
_DORMANT = timedelta(days=31)
_AHEAD = timedelta(minutes=5)


class Retention:
    """How long the engagements of one store are kept."""

    def __init__(
        self,
        store: Any,
        max_age: timedelta | str | None = None,
        *,
        windows: Sequence[Window] = (),
        content_only: bool = False,
        keep_turns: int | None = None,
        regulation: str | None = None,
    ) -> None:
        """`windows` come first, `max_age` is for whatever they do not fit (None: that is kept).

        With `content_only` an engagement loses its content and keeps names, times, statuses and token counts. Of
        engagements with more than `keep_turns` turns, ended or not, the older ones lose their content. `regulation`
        warns (RetentionWarning) where a window is shorter than it allows, or turns go whatever their age; known:
        eu-ai-act.
        """
        self._store = store
        self._windows = [*windows, *([] if max_age is None else [Window(max_age)])]
        self._content_only = content_only
        if keep_turns is not None and (isinstance(keep_turns, bool) or keep_turns < 1):
            raise InvalidArgumentError(f"keep_turns is a number of turns, 1 or more; got {keep_turns!r}")
        self._keep_turns = keep_turns
        if regulation is not None:
            self._warn(regulation)

    def _warn(self, regulation: str) -> None:
        if regulation not in REGULATIONS:
            raise InvalidArgumentError(f"no regulation {regulation!r}; known: {', '.join(REGULATIONS)}")
        shortest, source = REGULATIONS[regulation]
        for window in self._windows:
            if window.age < shortest:
                text = f"{window} is shorter than the {shortest.days} days of {regulation} ({source})"
                warnings.warn(text, RetentionWarning, stacklevel=4)
        if self._keep_turns is not None:
            text = (
                f"keep_turns={self._keep_turns} takes content out of turns that may be younger than the {shortest.days}"
            )
            warnings.warn(f"{text} days of {regulation} ({source})", RetentionWarning, stacklevel=4)

    @property
    def policy(self) -> str:
        """The policy in words, as receipts quote it."""
        said = [str(window) for window in self._windows]
        said += ["content only"] if self._content_only else []
        said += [f"keep_turns={self._keep_turns}"] if self._keep_turns is not None else []
        return "; ".join(said) or "keep everything"

    def plan(self, *, now: datetime | None = None) -> Plan:
        """What would happen now, or at the moment `now`. Changes nothing.

        Raises InvalidArgumentError where the clock cannot be believed: it is behind the newest record, or so far ahead
        of it that it may have jumped (31 days); say `now=` then.
        """
        view = look(self._store)
        at = datetime.now(UTC) if now is None else aware(now, "now").astimezone(UTC)
        if now is None and view.newest_at is not None:
            if at < view.newest_at - _AHEAD:
                raise InvalidArgumentError(
                    f"the clock says {at:%Y-%m-%d %H:%M} UTC, the newest record {view.newest_at:%Y-%m-%d %H:%M}: "
                    "nothing is purged by a clock that was set back. Give the moment with now="
                )
            if at - view.newest_at > _DORMANT:
                raise InvalidArgumentError(
                    f"the newest record is {(at - view.newest_at).days} days old: this store rests, or the clock "
                    f"jumped ahead. If {at:%Y-%m-%d} is right, say so: now=datetime.now(datetime.UTC)"
                )
        acts = planned(view, self._windows, at, content_only=self._content_only, keep_turns=self._keep_turns)
        return Plan(acts, view, at, self.policy)

    def apply(
        self,
        plan: Plan | None = None,
        *,
        now: datetime | None = None,
        progress: bool | Callable[[int, int], Any] = True,
    ) -> Receipts:
        """Do what `plan` says (None: a plan of now). An engagement that changed since the plan is kept.

        Afterwards nothing of what went is left in the store's files or live streams; copies elsewhere are not reached.
        Raises StoreError where the store cannot take content out (`content_only`, `keep_turns`), or is read-only.
        """
        return applied(self._store, self.plan(now=now) if plan is None else plan, progress)

    # --- holds ---

    def hold(
        self,
        engagement_id: str | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        reason: str,
        by: str | None = None,
    ) -> str:
        """Keep one engagement, or all whose metadata equals `where` now, until it is released; the hold's id.

        A hold outranks every window. Raises UnknownEngagementError; InvalidArgumentError when nothing is asked for.
        """
        if (engagement_id is None) == (where is None):
            raise InvalidArgumentError("hold what? Give an engagement's id, or where={…} on its metadata")
        if not reason:
            raise InvalidArgumentError("a hold needs a reason: whoever finds it later must know why")
        if engagement_id is not None:
            self._store.get_engagement(engagement_id)
            ids = [engagement_id]
        else:
            ids = list(matching(self._store, dict(where or {})))
            if not ids:
                raise UnknownEngagementError(f"no engagement has the metadata {dict(where or {})!r}")
        hold_id = new_id()
        fields = {"hold": hold_id, "engagements": ids, "reason": reason, "by": by}
        self._log("hold", fields)
        return hold_id

    def release(self, hold_id: str, *, by: str | None = None) -> None:
        """End a hold. Raises InvalidArgumentError when there is none of that id."""
        if hold_id not in set(self.holds()["hold_id"]):
            raise InvalidArgumentError(f"no hold {hold_id!r}; see holds()")
        self._log("release", {"hold": hold_id, "by": by})

    def holds(self) -> pl.DataFrame:
        """One row a hold that lasts: hold_id, at (UTC), reason, by, engagement_ids."""
        import polars as pl

        released = {entry["hold"] for entry in self._store.store_entries("release")}
        rows = [
            (entry["hold"], entry["at"], entry["reason"], entry["by"], entry["engagements"])
            for entry in self._store.store_entries("hold")
            if entry["hold"] not in released
        ]
        schema: Any = {
            "hold_id": pl.String, "at": pl.Datetime("us", "UTC"), "reason": pl.String, "by": pl.String,
            "engagement_ids": pl.List(pl.String),
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _log(self, kind: str, fields: dict[str, Any]) -> None:
        if not hasattr(self._store, "append_entry"):
            raise StoreError(f"{self._store!r} keeps no log of its own, so it cannot hold anything")
        self._store.append_entry(kind, fields)

    def __repr__(self) -> str:
        return f"<retention: {self.policy}>"

    def _repr_html_(self) -> str:
        held = holds_of(self._store.store_entries())
        purged = len(self._store.store_entries("purge"))
        rows = [
            ("policy", self.policy),
            ("held", f"{len(held)} engagements"),
            ("purged so far", f"{purged} engagements"),
            ("next", ".plan() shows what would go, .apply() does it"),
        ]
        return panel("Retention", rows)
