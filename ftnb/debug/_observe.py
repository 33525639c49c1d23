"""Seeing what the tasks of a replayed run write, at next to no cost: LangGraph's loop tells when it takes their writes.

No callback and no recorder takes part. Two methods of the loop are wrapped only while a replay runs, pass on exactly
what they are given, and look at loops that began in the context of the replay.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ..langgraph_adapter.handler import HANDLER

Key = tuple[str, str, int]
_START = "__start__"
_ERROR, _INTERRUPT = "__error__", "__interrupt__"
_lock = threading.Lock()
_users = 0
_wrapped: list[tuple[type, str, Any]] = []


@dataclass(slots=True, eq=False)
class Ran:
    """One task of a replayed run."""

    ns: str
    name: str
    task_id: str
    input: Any
    writes: Sequence[tuple[str, Any]]
    order: tuple[Any, ...]
    """Its place among the tasks of its superstep."""
    visit: int = 0

    @property
    def key(self) -> Key:
        """What it is known by in the record."""
        return self.ns, self.name, self.visit

    @property
    def error(self) -> BaseException | None:
        """What it raised; None: it did not."""
        return next((value for channel, value in self.writes if channel == _ERROR), None)

    @property
    def status(self) -> str:
        """completed, failed or waiting."""
        channels = [channel for channel, _ in self.writes]
        return "failed" if _ERROR in channels else "waiting" if _INTERRUPT in channels else "completed"


class Observer:
    """What ran, in the order in which it ended."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, int], list[Ran]] = defaultdict(list)
        """By loop and superstep, in the order in which they were first seen."""

    def wrote(self, loop: Any, task_id: str, writes: Sequence[tuple[str, Any]]) -> None:
        """A task of `loop` wrote."""
        task = loop.__dict__.get("tasks", {}).get(task_id)
        if task is None or task.name == _START:
            return
        namespace = task.config["configurable"].get("checkpoint_ns") or ""
        names = [part.partition(":")[0] for part in namespace.split("|")[:-1] if not part.isdigit()]
        ran = Ran("/".join(names), task.name, task_id, task.input, tuple(writes), order_of(task.path))
        self._groups[id(loop), loop.step].append(ran)

    def tasks(self) -> dict[Key, Ran]:
        """The last attempt of each task, with its visit."""
        visits: Counter[tuple[str, str]] = Counter()
        known: dict[str, int] = {}
        found: dict[Key, Ran] = {}
        for group in self._groups.values():
            for ran in sorted(group, key=lambda one: one.order) if len(group) > 1 else group:
                if ran.task_id not in known:
                    visits[ran.ns, ran.name] += 1
                    known[ran.task_id] = visits[ran.ns, ran.name]
                ran.visit = known[ran.task_id]
                found[ran.key] = ran
        return found


def order_of(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tasks of one node in one superstep start by their number: of the packet, or of the call."""
    if len(path) > 3:
        return (*order_of(path[1]), path[2])
    return (path[1] if isinstance(path[1], int) else -1,)


OBSERVER: ContextVar[Observer | None] = ContextVar("ftnb_observer", default=None)


@contextmanager
def observing() -> Iterator[None]:
    """Let nobody record the runs of this context, and have loops tell the observer that is set in it."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _install()
    token = HANDLER.set(None)
    try:
        yield
    finally:
        HANDLER.reset(token)
        with _lock:
            _users -= 1
            while not _users and _wrapped:
                owner, name, original = _wrapped.pop()
                setattr(owner, name, original)


@contextmanager
def observed(observer: Observer) -> Iterator[Observer]:
    """Loops that begin in this context tell `observer`."""
    token = OBSERVER.set(observer)
    try:
        yield observer
    finally:
        OBSERVER.reset(token)


def _install() -> None:
    from langgraph.pregel._loop import PregelLoop

    _wrap(PregelLoop, "__init__", _init)
    _wrap(PregelLoop, "put_writes", _put_writes)


def _wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    original = owner.__dict__[name]
    setattr(owner, name, functools.wraps(original)(make(original)))
    _wrapped.append((owner, name, original))


def _init(original: Any) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self._ftnb_observer = OBSERVER.get()

    return __init__


def _put_writes(original: Any) -> Any:
    def put_writes(self: Any, task_id: Any, writes: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, task_id, writes, *args, **kwargs)
        observer = self.__dict__.get("_ftnb_observer")
        if observer is not None:
            observer.wrote(self, task_id, writes)
        return result

    return put_writes
