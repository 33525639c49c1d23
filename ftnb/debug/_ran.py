"""The steps of an engagement as debugging needs them: in which superstep, led to by what, with references for values.

Read from columns of the log, without the tree: ten thousand steps in a fraction of a second.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..core.canonical import Json
from ..core.errors import UnknownEngagementError
from ..frames.schema import BRANCH_KEY
from ..store.base import LogStore
from ..store.leaf import has_lost_body, is_closed
from ..store.reconstruct import UNKNOWN_NAME
from ._rows import BRANCH_AT, Visits, body_of, in_order
from ._values import Values

_HEAD = ("type", "stream_id", "n", "turn", "step_id", "parent_id", "name", "ns", "visit", "attempt", "status",
         "at_us", "duration_us", "error_type", "body")  # fmt: skip
_TYPE, _STREAM, _N, _TURN = (_HEAD.index(name) for name in ("type", "stream_id", "n", "turn"))
_PARENT = _HEAD.index("parent_id")
_NAME, _STATUS, _BODY = _HEAD.index("name"), _HEAD.index("status"), _HEAD.index("body")
_TYPES = (
    "engagement_started", "engagement_labelled", "engagement_status_changed", "engagement_ended", "step_started",
    "step_ended",
)  # fmt: skip
_STEP_TYPES = ("step_started", "step_ended")
_EVENT = ("step_id", "kind", "name", "model", "tok_prompt", "tok_completion", "tok_total", "at_us", "tok_cache_read",
          "tok_cache_write", "tok_reasoning")  # fmt: skip


@dataclass(slots=True, eq=False)
class Ran:
    """One step."""

    place: int
    """Its number among the engagement's steps, from 0."""
    step_id: str
    name: str
    ns: str = ""
    visit: int = 1
    attempt: int = 1
    turn: int = 1
    parent_id: str | None = None
    status: str = "running"
    started_us: int = 0
    ended_us: int | None = None
    duration_us: int | None = None
    triggers: list[str] = field(default_factory=list)
    routes: dict[str, str] = field(default_factory=dict)
    decisions: Mapping[str, Json] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    superstep: int | None = None
    path: list[Any] = field(default_factory=list)
    """LangGraph's path of a task that was sent or called; empty for one that its edges led to."""
    state: Json = None
    update: Json = None
    writes: list[Json] | None = None
    entry: list[Json] | None = None
    withheld: str | None = None
    """Why its values cannot be read although they were recorded."""
    dropped: str | None = None
    """Why its values were not recorded."""
    begun_at: int = 0
    ended_at: int | None = None
    """Its start's and its end's number among the records of the engagement: what came before what."""
    tokens: int = 0
    calls: list[Call] = field(default_factory=list)

    @property
    def full(self) -> str:
        """Its node's name, with the nodes around it."""
        return f"{self.ns}/{self.name}" if self.ns else self.name

    is_task: bool = False
    """Known to be a task of the functional API by its graph's code, where its path is not on record."""

    @property
    def is_called(self) -> bool:
        """Whether it is a task that a node of the functional API called."""
        return self.is_task or (len(self.path) > 3 and self.path[-1] is True)

    @property
    def is_sent(self) -> bool:
        """Whether a `Send` started it."""
        return bool(self.path) and not self.is_called

    def label(self) -> str:
        """`search`, or `search visit 2`, `search visit 2 attempt 3`."""
        text = self.full + (f" visit {self.visit}" if self.visit > 1 else "")
        return f"{text} attempt {self.attempt}" if self.attempt > 1 else text


@dataclass(slots=True)
class Call:
    """A call of a model or a tool, without what it carried."""

    kind: str
    name: str
    model: str | None
    prompt: int
    completion: int
    total: int
    at_us: int = 0
    cache: tuple[int | None, int | None, int | None] = (None, None, None)
    """Of the prompt: tokens read from and written to the provider's cache; of the completion: of hidden reasoning."""


@dataclass(slots=True)
class Code:
    """From which step on which version of the code ran."""

    place: int
    version: str
    text: Json = None
    """The code itself, by reference; None where an earlier or later engagement has it."""


class Story:
    """What an engagement did, step by step."""

    def __init__(self, engagement_id: str) -> None:
        self.id = engagement_id
        self.steps: list[Ran] = []
        self.by_id: dict[str, Ran] = {}
        self.name = UNKNOWN_NAME
        self.parent: str | None = None
        """The engagement that it was forked from."""
        self.branch: str | None = None
        """replay or fork; None: it is no branch."""
        self.branch_at: Json = None
        """Of a branch: the step that it was made at."""
        self.status = "active"
        self.error: str | None = None
        self.dropped_at: str | None = None
        self._visits = Visits()
        self.codes: list[Code] = []
        self.values = Values(lambda _: None)
        self._has_bare = False
        """Whether a record of a step has no body."""

    @classmethod
    def of(cls, store: LogStore, engagement_id: str) -> Story:
        """Read an engagement. Raises UnknownEngagementError: it is not there, or was purged."""
        with uncollected():
            return cls._read(store, engagement_id)

    @classmethod
    def _read(cls, store: LogStore, engagement_id: str) -> Story:
        story = cls(engagement_id)
        story.values = Values.of(store, engagement_id)
        table = store.scan(_HEAD, types=_TYPES, engagement_id=engagement_id)
        if not table.num_rows:
            newest = [summary.id for summary in store.list_engagements(limit=5, newest=True)]
            raise UnknownEngagementError.of(engagement_id, newest)
        story._take(table)
        if story._has_bare:
            story._tell_erased(store)
        story._take_calls(store.scan(_EVENT, types=("event_recorded",), engagement_id=engagement_id))
        return story

    def _take(self, table: Any) -> None:
        rows = list(zip(*(table[name].to_pylist() for name in _HEAD), strict=True))
        for at, row in enumerate(in_order(rows, _TURN, _STREAM, _N)):
            body, withheld = body_of(row[_BODY])
            kind = row[_TYPE]
            if row[_BODY] is None and kind in _STEP_TYPES:
                self._has_bare = True
            if kind == "step_started":
                self._begin(at, row, body, withheld)
            elif kind == "step_ended":
                self._end(at, row, body, withheld)
            else:
                self._header(kind, row, body)

    def _begin(self, at: int, row: tuple[Any, ...], body: Mapping[str, Json], withheld: str | None) -> None:
        _, _, _, turn, step_id, parent_id, name, ns, visit, attempt, _, at_us, _, _, _ = row
        get = body.get
        name, ns = get("name") or name or UNKNOWN_NAME, ns or ""
        counted = self._visits.of(ns, str(name), visit)
        step = Ran(len(self.steps), step_id or "", str(name), ns, counted, attempt or 1, turn or 1, parent_id)
        step.started_us, step.begun_at = at_us, at
        step.withheld = withheld
        step.state = get("@state")
        if "state" in body:
            step.state = body["state"]
        step.triggers, step.routes, step.path = get("triggers") or [], get("routes") or {}, get("path") or []
        step.superstep, step.entry, step.dropped = get("superstep"), get("@entry"), get("dropped")
        self._add(step)

    def _add(self, step: Ran) -> Ran:
        self.steps.append(step)
        self.by_id[step.step_id] = step
        return step

    def _end(self, at: int, row: tuple[Any, ...], body: Mapping[str, Json], withheld: str | None) -> None:
        _, _, _, turn, step_id, _, name, _, _, _, status, at_us, duration_us, error_type, _ = row
        step = self.by_id.get(step_id)
        if step is None:  # its start was lost
            step = self._add(Ran(len(self.steps), step_id or "", body.get("name") or name or UNKNOWN_NAME))
            step.turn, step.started_us, step.begun_at = turn or 1, at_us, at
        step.ended_at = at
        step.status, step.ended_us, step.duration_us = status or "completed", at_us, duration_us
        step.error, step.error_type = body.get("error"), error_type
        step.update, step.writes = body.get("@update", body.get("update")), body.get("@writes")
        step.decisions = body.get("decisions") or {}
        step.withheld = step.withheld or withheld
        step.dropped = step.dropped or body.get("dropped")

    def _header(self, kind: str, row: tuple[Any, ...], body: Mapping[str, Json]) -> None:
        name = row[_NAME]
        if kind in ("engagement_started", "engagement_labelled"):
            self.name = str(body.get("name") or name or self.name)
            self.parent = row[_PARENT] or self.parent
            metadata = body.get("metadata") or {}
            self.branch, self.branch_at = metadata.get(BRANCH_KEY, self.branch), metadata.get(BRANCH_AT, self.branch_at)
            if "code" in body:
                self.codes.append(Code(len(self.steps), body["code"], body.get("@code")))
            return
        self.status = row[_STATUS] or self.status
        if kind == "engagement_ended":
            self.error, self.dropped_at = body.get("error"), name

    def _tell_erased(self, store: LogStore) -> None:
        """Of records without a body: which had one, of which the commitment is left."""
        columns = ["step_id", "body", "salt", "commitment"]
        table = store.scan(columns, types=("step_started", "step_ended"), engagement_id=self.id)
        for step_id, body, salt, commitment in zip(*(table[name].to_pylist() for name in columns), strict=True):
            step = self.by_id.get(step_id)
            if step is not None and (is_closed(salt, body, commitment) or has_lost_body(salt, body, commitment)):
                step.withheld = "it was redacted after it was written; its commitment is left"

    def _take_calls(self, table: Any) -> None:
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            step_id, kind, name, model, prompt, completion, total, at_us, *cache = row
            step = self.by_id.get(step_id)
            if step is None or kind not in ("llm_call", "tool_call"):
                continue
            counted = total or (prompt or 0) + (completion or 0)
            step.calls.append(Call(kind, name or "", model, prompt or 0, completion or 0, counted, at_us, tuple(cache)))
            if step.status != "waiting":
                step.tokens += counted

    @cached_property
    def inside(self) -> dict[str | None, list[Ran]]:
        """The steps right inside each step, and at the top (None), in order."""
        found: dict[str | None, list[Ran]] = {}
        for step in self.steps:
            found.setdefault(step.parent_id if step.parent_id in self.by_id else None, []).append(step)
        return found

    @cached_property
    def leads_to(self) -> dict[str, list[Ran]]:
        """The steps that each step led to."""
        found: dict[str, list[Ran]] = {}
        for step in self.steps:
            for cause in step.triggers:
                found.setdefault(cause, []).append(step)
        return found

    def code_of(self, step: Ran) -> Code | None:
        """The code that ran when `step` did; None when none is on record before it."""
        earlier = [code for code in self.codes if code.place <= step.place]
        return earlier[-1] if earlier else None


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: looking again and again at many small objects that stay is half of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
