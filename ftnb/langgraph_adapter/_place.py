"""Where in a trace the running code is: the step around it, and the one that ended before it in its thread of work.

It needs no LangChain: plain Python, spans and patched SDKs ask here which step a call belongs to. A place is set by
those who begin steps; inside a LangGraph node it is LangChain's own config that tells, and the inner of both wins.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import _get_running_loop as _running_loop
from contextvars import ContextVar
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from ._scope import SCOPE, Scope

if TYPE_CHECKING:
    from ._capture import Capture


class Strand:
    """One thread of work: a thread, or a task of asyncio. What it forks off has strands of its own."""

    __slots__ = ("_here", "born", "fork", "is_apart", "last", "parent")

    def __init__(self, parent: Strand | None = None, fork: str | None = None, *, is_apart: bool = False) -> None:
        self.parent = parent
        self.is_apart = is_apart
        """It is no thread of its own: it runs, a piece at a time, between what `parent` does, which is the strand of
        the running code."""
        self.fork = fork
        """Id of the step after which `parent` forked it off; None: before any."""
        self.last: str | None = None
        """Id of the step that ended last in it."""
        self.born: int | None = parent.born if is_apart and parent is not None else _number_of_task()
        """Of tasks with names of asyncio's own, which was made first; None: no such task."""
        self._here: tuple[int, int | None] = parent._here if is_apart and parent is not None else thread_here()

    def is_here(self) -> bool:
        """Whether the running code belongs to it."""
        return self._here == thread_here()


class Place(NamedTuple):
    """A point between two steps, or the start of one."""

    scope: Scope | None
    """Of which engagement; None: of the graph run around it."""
    key: Any
    """Run id of the step around it: LangChain's for a node, the step's own id for a plain one. None: at the top."""
    run: Any
    """LangChain's run around it as this place was set: where that has changed, this place is not the innermost."""
    strand: Strand
    last: str | None
    """Id of the step that ended before it, inside the same step and strand."""


PLACE: ContextVar[Place | None] = ContextVar("ftnb_place", default=None)
"""The place of the code that runs now, as far as plain steps tell."""

ORIGIN: ContextVar[Any] = ContextVar("ftnb_origin", default=None)
"""In a pool's thread: the run that handed the work over."""

ambient: Capture | None = None
"""What records whatever runs outside an explicit recorder; set by the session."""

handlers: Any = None
"""The context variable of LangChain's handler; None while LangChain is not looked at."""


def target() -> Capture | None:
    """Who records in this context; None: nobody."""
    if handlers is None:
        return ambient
    handler = handlers.get()
    if handler is None:
        return None
    return ambient if getattr(handler, "is_ambient", False) else handler.target


def run_around() -> Any:
    """LangChain's id of the run in which this is called; None: in none."""
    runnables = sys.modules.get("langchain_core.runnables.config")
    if runnables is not None:
        config = runnables.var_child_runnable_config.get()
        if config is not None:
            found = getattr(config.get("callbacks"), "parent_run_id", None)
            if found is not None:
                return found
    return ORIGIN.get()


def place_in(scope: Scope | None, top: Strand | None = None) -> Place | None:
    """The innermost place of `scope` here; None: in no step of it, and it is no block's either.

    `top` is the strand in which the block was begun: code that came here without a context goes on from there.
    """
    place, run = PLACE.get(), run_around()
    if place is not None and place.scope is scope and place.run == run:
        if place.strand.is_here():
            return place
        return place._replace(strand=Strand(place.strand, place.last))
    if run is not None and scope is SCOPE.get():
        return Place(scope, run, run, Strand(None if place is None else place.strand), None)
    if scope is None:
        return None
    last = None if top is None else top.last
    return Place(scope, None, run, Strand(top, last), last)


def here() -> tuple[Capture | None, Any, Scope | None]:
    """Who records here, the run id of the step around this code, and the block's scope where there is no such step."""
    recording = target()
    if recording is None:
        return None, None, None
    scope = SCOPE.get()
    place = place_in(scope)
    key = None if place is None else place.key
    return recording, key, scope if key is None else None


def inner(parent_run_id: Any) -> Any:
    """The plain step inside which LangChain's run `parent_run_id` (None: no run) calls something, else that run."""
    place = PLACE.get()
    if place is None or place.key is None or place.run != parent_run_id or place.scope is not SCOPE.get():
        return parent_run_id
    return place.key


def thread_here() -> tuple[int, int | None]:
    """What tells the running thread, and task of asyncio, from others that run."""
    loop = _running_loop()
    task = None if loop is None else asyncio.current_task(loop)
    return get_ident(), None if task is None else id(task)


def _number_of_task() -> int | None:
    loop = _running_loop()
    task = None if loop is None else asyncio.current_task(loop)
    number = "" if task is None else task.get_name().removeprefix("Task-")
    return int(number) if number.isdigit() else None
