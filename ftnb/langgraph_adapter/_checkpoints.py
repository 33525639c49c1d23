"""Which engagement wrote a checkpoint, in this process or any other that uses the store.

Checkpoints have ids that are unique everywhere, and the tap tells which one a run loaded. So a conversation is known by
its latest checkpoint: the store indexes it (the label that a record's `head` gives), and steps name theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Any, NamedTuple

from ..store.base import LogStore
from ..store.leaf import INDEX, Row
from ._identity import Verdict
from ._runs import Engaged

_BODY, _TURN = INDEX["body"], INDEX["turn"]
_MAX_KNOWN = 10_000
_MAX_CANDIDATES = 20


class Loaded(NamedTuple):
    """What a root run found in its saver."""

    checkpoint_id: str | None
    """None: nothing."""
    before: str | None
    """The checkpoint before that one."""


def lane_of(thread_id: str, namespace: str) -> str:
    """A short name of a thread that tells nothing about it."""
    return blake2b(f"{thread_id}\x00{namespace}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


class Checkpoints:
    """Knows who wrote which checkpoint. Belongs to the writer's thread."""

    def __init__(self, store: Any) -> None:
        self._store: LogStore | None = store if isinstance(store, LogStore) else None
        self._heads: OrderedDict[str, Engaged] = OrderedDict()
        self._written: OrderedDict[str, Engaged] = OrderedDict()

    def wrote(self, engaged: Engaged, lane: str, checkpoint_id: str) -> None:
        """`engaged` has a new latest checkpoint of the thread `lane`."""
        before = engaged.heads.get(lane)
        if before is not None:
            self._heads.pop(before, None)
        engaged.heads[lane] = checkpoint_id
        self._heads[checkpoint_id] = engaged
        self.branched(engaged, checkpoint_id)
        while len(self._heads) > _MAX_KNOWN:
            self._heads.popitem(last=False)

    def branched(self, engaged: Engaged, checkpoint_id: str) -> None:
        """A checkpoint of the engagement that is not its latest, or will not stay so."""
        self._written[checkpoint_id] = engaged
        while len(self._written) > _MAX_KNOWN:
            self._written.popitem(last=False)

    def resolve(self, loaded: Loaded, lane: str, *, is_asked: bool) -> Verdict:
        """Where a run belongs; `is_asked`: its caller named the checkpoint, which may be an old one.

        The verdict's engagement is an `Engaged` where this process has it, else an id.
        """
        found = loaded.checkpoint_id
        if found is None:
            return Verdict("new")
        engaged = self._heads.get(found)
        if engaged is not None:
            moved_on = is_asked and self._moved_on(engaged, lane, found)
            return Verdict("fork" if moved_on else "continue", engaged)
        if found in self._written:
            return Verdict("fork", self._written[found])
        owner: Engaged | str | None = self._head_of(lane, found)
        if owner is None and loaded.before is not None:
            # Written after what the engagement has on record: its process died in between, or looked away.
            owner = self._heads.get(loaded.before) or self._head_of(lane, loaded.before)
        if owner is not None:
            return Verdict("continue", owner)
        owner = self._writer_of(lane, found)
        return Verdict("new") if owner is None else Verdict("fork", owner)

    def only_owner(self, lane: str) -> str | None:
        """The one engagement of a thread; None when there is none, or there are several."""
        found = self._engagements({("ftnb.thread", lane): 1}, 2)
        return found[0] if len(found) == 1 else None

    def _head_of(self, lane: str, checkpoint_id: str) -> str | None:
        return next(iter(self._engagements({("ftnb.checkpoint", lane): checkpoint_id}, 1)), None)

    def _writer_of(self, lane: str, checkpoint_id: str) -> str | None:
        for engagement_id in self._engagements({("ftnb.thread", lane): 1}, _MAX_CANDIDATES):
            if any(checkpoint_id.encode() in (row[_BODY] or b"") for row in self._rows(engagement_id)):
                return engagement_id
        return None

    def _moved_on(self, engaged: Engaged, lane: str, checkpoint_id: str) -> bool:
        """Whether another process has gone on with what this one takes for the latest checkpoint."""
        turn = engaged.stream.turn
        if turn is None or self._head_of(lane, checkpoint_id) == engaged.engagement_id:
            return False
        return any(row[_TURN] > turn for row in self._rows(engaged.engagement_id))

    def _rows(self, engagement_id: str) -> list[Row]:
        # Not by `scan`: it is for frames, and the first one imports Arrow, which takes the writer's thread a second.
        rows = getattr(self._store, "_rows", None)
        return [] if rows is None else [row for _, row in rows(engagement_id)]

    def _engagements(self, where: dict[Any, Any], limit: int) -> list[str]:
        if self._store is None:
            return []
        return [summary.id for summary in self._store.list_engagements(where, limit=limit, newest=True)]
