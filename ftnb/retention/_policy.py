"""The simplest policy: engagements that ended before a moment go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, field_validator

from ..analytics._windows import micros_of
from ..core.errors import InvalidArgumentError
from ..store.base import Store
from ._look import TERMINAL, Known, all_held_since, held_since, look


class RetentionWarning(UserWarning):
    """A policy that can be applied, and that a regulation asked for does not allow."""


class RetentionPolicy(BaseModel):
    """Keep engagements for `max_age` after they ended. Active and paused ones are never purged."""

    max_age: timedelta
    """A timedelta, or a text as '90d'."""

    @field_validator("max_age", mode="before")
    @classmethod
    def _as_time(cls, value: Any) -> timedelta:
        return timedelta(microseconds=micros_of(value, "max_age"))

    def apply(self, store: Store, *, now: datetime | None = None) -> list[str]:
        """Purge what is too old at `now` (None: the present), and return the ids, oldest first."""
        moment = datetime.now(UTC) if now is None else aware(now, "now")
        return purge_before(store, moment - self.max_age)


def purge_before(store: Store, cutoff: datetime) -> list[str]:
    """Purge the engagements that ended before `cutoff`, and return their ids, oldest first.

    Those that are active, paused or held stay, and those with a record since, even one that came during the purge.
    """
    cutoff = aware(cutoff, "cutoff")
    view = look(store)
    old = [one for one in view.engagements if one.is_terminal and not one.holds and one.newest_at < cutoff]
    why = {"policy": f"ended before {cutoff.isoformat()}"}
    gone = purge_all_unchanged(store, old, {one.summary.id: why for one in old}, view.log_size)
    return [one.summary.id for one in old if one.summary.id in gone]


def purge_all_unchanged(
    store: Any, known: Sequence[Known], whys: Mapping[str, dict[str, Any]], log_size: int
) -> set[str]:
    """Purge those that were not added to, reopened or held since they were looked at; the ids of those that went.

    `whys` are what each one's receipt says. Decided inside the transaction, in which nobody else can add a hold.
    """
    if not hasattr(store, "purge_many"):
        ids = [one.summary.id for one in known if purge_unchanged(store, one, log_size, **whys[one.summary.id])]
        return set(ids)
    last = {one.summary.id: one.last_seq for one in known}
    held, expected = set[str](), log_size

    def changed(key: str, last_seq: int, size: int) -> bool:
        nonlocal held, expected
        if size != expected:  # not only by the receipts of those that went before it
            held, expected = all_held_since(store, log_size), size
        if key in held or last_seq != last[key]:
            return True
        expected += 1
        return False

    return set(store.purge_many(whys, unless=changed))


def purge_unchanged(store: Any, known: Known, log_size: int, **why: Any) -> bool:
    """Purge it unless it was added to, reopened or held since it was looked at; decided inside the transaction."""
    if not hasattr(store, "store_entries"):  # somebody else's store: there is only its status to ask for again
        again = {one.id: one for one in store.list_engagements()}.get(known.summary.id)
        return again is not None and again.status.value in TERMINAL and bool(store.purge(known.summary.id))

    def changed(last_seq: int, size: int) -> bool:
        return last_seq != known.last_seq or (size > log_size and held_since(store, known.summary.id, log_size))

    return bool(store.purge(known.summary.id, unless=changed, **why))


def aware(moment: datetime, what: str) -> datetime:
    """`moment`, which must know its time zone. Raises InvalidArgumentError."""
    if not isinstance(moment, datetime):
        raise InvalidArgumentError(f"{what} is a datetime with a time zone, got {moment!r}")
    if moment.tzinfo is None:
        raise InvalidArgumentError(f"{what} has no time zone: for UTC, {moment!r}.replace(tzinfo=datetime.UTC)")
    return moment
