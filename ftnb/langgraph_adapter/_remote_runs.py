"""Runs of remote graphs: from what their streams told to steps. Runs on the writer's thread."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.model import EngagementStatus
from . import _events as events
from ._drive import Resumed
from ._place import Place, Strand
from ._runs import Engaged
from ._scope import Labels, Scope

if TYPE_CHECKING:
    from ._assembler import Assembler

_MAX_THREADS = 10_000
_INTERRUPT = "__interrupt__"
_OWN = ("metadata", "end", "error", "heartbeat", "state")
"""Events of the server's that are no chunks, and the state that was fetched in the end."""


class Asked(NamedTuple):
    """What was asked of a remote graph."""

    step_id: str
    place: Place | None
    """Where it was asked; None: outside anything of ours."""
    name: str
    assistant_id: str
    thread_id: str | None
    url: str | None
    is_node: bool
    """It is a node of a graph, whose step stands for it."""
    resumes: bool


class _Open:
    """A run under way."""

    def __init__(self, key: Any, scope: Scope | None) -> None:
        self.key = key
        """Run id of its step."""
        self.scope = scope
        """The engagement that was begun for it."""
        self.output: Any = None
        self.interrupts: Any = None


class RemoteRuns:
    """The remote runs that one assembler sees."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._threads: OrderedDict[tuple[str | None, str, str], Engaged] = OrderedDict()
        """Engagements by server, assistant and thread."""

    @classmethod
    def of(cls, assembler: Assembler) -> RemoteRuns:
        """The runs of an assembler."""
        found = _all.get(assembler)
        if found is None:
            found = _all[assembler] = cls()
        return found

    @staticmethod
    def began(assembler: Assembler, perf: int, offset: int, asked: Asked, given: Any) -> None:
        """A run begins."""
        self, place = RemoteRuns.of(assembler), asked.place
        if asked.is_node and place is not None:
            self._open[asked.step_id] = _Open(place.key, None)
            return
        scope = None
        if place is None:
            scope = self._scope(assembler, perf, offset, asked)
            place = Place(scope, None, None, Strand(), None)
        self._open[asked.step_id] = _Open(asked.step_id, scope)
        assembler.take((events.STEP_START, perf, asked.step_id, place, asked.name, given, None, ()))

    def _scope(self, assembler: Assembler, perf: int, offset: int, asked: Asked) -> Scope:
        """The engagement of a run that lies in none: the one of its thread, or a new one."""
        labels = Labels(asked.name)
        thread = None if asked.thread_id is None else (asked.url, asked.assistant_id, asked.thread_id)
        known = None if thread is None else self._threads.get(thread)
        scope = Scope(labels)
        if known is not None:
            scope = Scope(
                labels, engagement_id=known.engagement_id, resumed=Resumed.of_engaged(known), after=known.stream
            )
        assembler.take((events.SCOPE_OPEN, perf, offset, scope))
        if thread is not None:
            self._threads[thread] = assembler.turns.engaged_in(scope, (perf + offset) // 1000)
            self._threads.move_to_end(thread)
            if len(self._threads) > _MAX_THREADS:
                self._threads.popitem(last=False)
        return scope

    @staticmethod
    def part(assembler: Assembler, perf: int, asked: Asked, name: str, data: Any) -> None:
        """The server sent something."""
        run = RemoteRuns.of(assembler)._open.get(asked.step_id)
        if run is None:
            return
        mode, *path = name.split("|")
        value, is_late = data
        if mode == "metadata":
            about = dict(value) if isinstance(value, dict) else {"value": value}
            about.update(assistant_id=asked.assistant_id, thread_id=asked.thread_id, url=asked.url)
            said = {key: one for key, one in about.items() if one is not None}
            assembler.take((events.CUSTOM, perf, run.key, "remote run", (said, is_late), "remote"))
        if mode == "state":
            run.output = data
        if mode in _OWN:
            return
        if mode == "input.requested":
            run.interrupts = [*(run.interrupts or ()), value]
        if not path and mode == "values":
            run.output = data
        if not path and mode in ("updates", "values") and isinstance(value, dict) and value.get(_INTERRUPT):
            run.interrupts = value[_INTERRUPT]
        chunk = {"data": value, "ns": path} if path else {"data": value}
        assembler.take((events.CUSTOM, perf, run.key, mode, (chunk, is_late), "stream"))

    @staticmethod
    def ended(assembler: Assembler, perf: int, offset: int, asked: Asked, error: BaseException | None) -> None:
        """It ended; the step of a node ends with the node."""
        run = RemoteRuns.of(assembler)._open.pop(asked.step_id, None)
        if run is None or asked.is_node:
            return
        scope = run.scope or (None if asked.place is None else asked.place.scope)
        if error is None and run.interrupts:
            RemoteRuns._waits(assembler, perf, run, scope, asked)
        assembler.take((events.STEP_END, perf, asked.step_id, run.output, None, error))
        if run.scope is not None:
            raised = None if isinstance(error, GeneratorExit) else error
            assembler.take((events.SCOPE_CLOSE, perf, offset, run.scope, raised))

    @staticmethod
    def _waits(assembler: Assembler, perf: int, run: _Open, scope: Scope | None, asked: Asked) -> None:
        place = Place(scope, run.key, None, Strand(), None)
        if scope is not None:
            assembler.take((events.VERDICT, perf, scope, place, EngagementStatus.PAUSED, run.interrupts))
        else:
            step = assembler.code.found(run.key)
            if step is not None and step.step is not None:
                step.step.waits = True


_all: weakref.WeakKeyDictionary[Assembler, RemoteRuns] = weakref.WeakKeyDictionary()
