"""A step of plain code, as the code that runs it sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from ..core.errors import FtnbError, InvalidArgumentError
from ..core.freeze import freeze
from ..core.ids import new_id
from ..langgraph_adapter import _events as events
from ..langgraph_adapter._capture import Capture
from ..langgraph_adapter._place import PLACE, Place, Strand, run_around, thread_here
from ._inside import Call, Inside

__all__ = ["Call", "Step", "checked_tools"]

_MAX_BRANCHES = 10_000

Begin = Callable[["Step"], tuple[Capture | None, Place | None]]
"""Who records the step that begins, and where it lies; nobody: it is not recorded."""
Leave = Callable[["Step", BaseException | None], None]


class Step(Inside):
    """One step: `with run.step("search") as s:`, or `async with`.

    It ends with its block: completed, or failed by the exception that leaves it. Steps, graphs and calls of models
    that begin inside are inside it, in tasks of asyncio and in thread pools, too.
    """

    __slots__ = (
        "_before", "_begin", "_binder", "_branches", "_given", "_input", "_leave", "_output", "_outside", "_state",
        "_tools", "id", "name",
    )  # fmt: skip

    def __init__(self, name: str, tools: tuple[str, ...], begin: Begin, given: Any = None, binder: Any = None) -> None:
        """`given`, if any, is what it was given as `freeze` makes it, and `binder` what makes the input of that."""
        self._target = None
        self._key = self.id = new_id()
        self.name = name
        self._tools = tools
        self._begin = begin
        self._given = given
        self._binder = binder
        self._input: Any = None
        self._output: Any = None
        self._state = "new"
        self._before: Place | None = None
        """Where it lies."""
        self._outside: Place | None = None
        """The place of the code that began it, where that is another one."""
        self._leave: Leave | None = None
        """What else its end does, and then the code is back at `_outside`."""
        self._branches: dict[tuple[int, int | None], Place] = {}
        """Where threads that name it as the parent of their steps have got to, by thread and task."""

    def __repr__(self) -> str:
        return f"<step {self.name!r}: {self._state}>"

    @property
    def is_new(self) -> bool:
        """Whether it was not begun yet."""
        return self._state == "new"

    @property
    def is_in_block(self) -> bool:
        """Whether its end is nothing but an end."""
        return self._leave is None

    @property
    def input(self) -> Any:
        """What it was given, as told last; a copy is on record, so that later changes do not rewrite it."""
        found = self._given if self._input is None else self._input
        return None if found is None or self._binder is not None else found[0]

    @input.setter
    def input(self, value: Any) -> None:
        self._input = freeze(value)

    @property
    def output(self) -> Any:
        """What it made, as told last."""
        return None if self._output is None else self._output[0]

    @output.setter
    def output(self, value: Any) -> None:
        self._output = freeze(value)

    def __enter__(self) -> Step:
        if self._state != "new":
            raise FtnbError(f"the step {self.name!r} was begun already; make another one with step({self.name!r})")
        self._state = "running"
        self._outside = PLACE.get()
        target, place = self._begin(self)
        if target is not None and place is not None:
            self._target, self._before = target, place
            begun = events.STEP_START, perf_counter_ns(), self.id, place, self.name
            target.put((*begun, self._given, self._binder, self._tools))
            PLACE.set(Place(place.scope, self.id, place.run, place.strand, None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    async def __aenter__(self) -> Step:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """What the end of the block does; for code in which a step begins and ends in different places."""
        target, before = self._target, self._before
        if self._state != "running":
            if self._state == "new":
                raise FtnbError(f"the step {self.name!r} was not begun: use it as `with run.step({self.name!r}) as s:`")
            return
        self._state = "ended" if error is None else "failed"
        if target is None or before is None:
            return
        target.put((events.STEP_END, perf_counter_ns(), self.id, self._output, self._input, error))
        before.strand.last = self.id
        if self._leave is None:
            PLACE.set(Place(before.scope, before.key, before.run, before.strand, self.id))
        else:
            PLACE.set(self._outside)
            self._leave(self, error)

    def begin(self) -> Step:
        """What the start of the block does."""
        return self.__enter__()

    def when_left(self, leave: Leave) -> None:
        """At its end the code is back where it was before, and `leave` is called."""
        self._leave = leave

    # --- threads that were started by hand, whose steps name it as their parent ---

    def branch(self) -> Place | None:
        """Where the running thread goes on inside this step; None: the step is not recorded."""
        if self._before is None:
            return None
        known = self._branches.get(thread_here())
        if known is not None:
            return known
        return Place(self._before.scope, self.id, run_around(), Strand(self._before.strand), None)

    def branched(self, place: Place, last: str) -> None:
        """The running thread has ended the step `last` inside this one."""
        if len(self._branches) < _MAX_BRANCHES:
            self._branches[thread_here()] = place._replace(last=last)


def checked_name(name: Any) -> str:
    """`name`, if a step can be called so. Raises InvalidArgumentError."""
    if not isinstance(name, str) or not name:
        raise InvalidArgumentError(f"a step's name is a text that is not empty; got {name!r}")
    return name


def checked_tools(tools: Sequence[Any]) -> tuple[str, ...]:
    """Names of tools, from names or tools with a name. Raises InvalidArgumentError."""
    if not tools:
        return ()
    if isinstance(tools, str):
        raise InvalidArgumentError(f"tools is a list of names; got the text {tools!r}. Write tools=[{tools!r}]")
    names = [
        tool if isinstance(tool, str) else getattr(tool, "name", getattr(tool, "__name__", None)) for tool in tools
    ]
    if not all(isinstance(name, str) and name for name in names):
        raise InvalidArgumentError(f"tools is a list of names, or of tools with a name; got {list(tools)!r}")
    return tuple(str(name) for name in names)
