"""Running a prepared graph, in a cell or in a coroutine, with the answers that people gave before."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from ..core.marked import Marked
from . import _restore
from ._cassette import _digest
from ._graphs import is_async_only, outer_tasks
from ._recorded import Recorded, Task


@dataclass
class Run:
    """A graph that is ready to go on from a checkpoint, and how far it is to go."""

    graph: Any
    saver: Any
    thread_id: str | None
    """None: nothing is kept between its runs."""
    config: Mapping[str, Any] | None = None
    context: Any = None
    one_superstep: bool = False
    begins_with: Any = None
    """Its input; None: it goes on from the checkpoint."""
    answers: dict[str, list[Any]] = field(default_factory=dict)
    """What was answered before, by the question."""
    output: Any = None
    is_async: bool | None = None
    """Whether only `ainvoke` can run it; None: to be looked up."""

    def configured(self) -> dict[str, Any]:
        """The config of its runs: the caller's, and the thread of its own saver."""
        given = dict(self.config or {})
        if self.thread_id is None:
            return given
        return {**given, "configurable": {**(given.get("configurable") or {}), "thread_id": self.thread_id}}

    def options(self) -> dict[str, Any]:
        """What else `invoke` is given."""
        options: dict[str, Any] = {} if self.context is None else {"context": self.context}
        return {**options, "interrupt_after": "*"} if self.one_superstep else options

    def go(self, given: Any = None) -> bool:
        """Run to the end, or to a question that nobody answered; whether it stopped at one."""
        if self._needs_loop():
            return bool(in_thread(self.ago(given)))
        self.output = self.graph.invoke(given, self.configured(), **self.options())
        while (resume := self._answer()) is not None:
            self.output = self.graph.invoke(resume, self.configured(), **self.options())
        return self._is_paused()

    async def ago(self, given: Any = None) -> bool:
        """The async twin of `go`."""
        self.output = await self.graph.ainvoke(given, self.configured(), **self.options())
        while (resume := self._answer()) is not None:
            self.output = await self.graph.ainvoke(resume, self.configured(), **self.options())
        return self._is_paused()

    def once(self, given: Any) -> None:
        """One run, to its end or to the next question."""
        if self._needs_loop():
            self.output = in_thread(self.graph.ainvoke(given, self.configured(), **self.options()))
        else:
            self.output = self.graph.invoke(given, self.configured(), **self.options())

    def is_over(self) -> bool:
        """Whether nothing is left to do in its thread."""
        return not self._state().next

    def answer(self, answers: dict[str, list[Any]]) -> Any:
        """The command that answers the open questions as they were answered then; None where there are none."""
        self.answers = answers
        return self._answer()

    def _needs_loop(self) -> bool:
        if self.is_async is None:
            self.is_async = is_async_only(self.graph)
        return self.is_async

    def _state(self) -> Any:
        return self.graph.get_state({"configurable": {"thread_id": self.thread_id}})

    def _asked(self) -> list[Any]:
        found = {one.id: one for task in self._state().tasks for one in task.interrupts}
        return list(found.values())

    def _is_paused(self) -> bool:
        return bool(self._asked()) if self.one_superstep else bool(self._state().next)

    def _answer(self) -> Any:
        """The command that answers every question that is open; None: nothing is open, or not all is known."""
        from langgraph.types import Command

        if not self.answers:
            return None
        asked = self._asked()
        known = {one.id: self.answers.get(_digest(one.value)) for one in asked}
        if not asked or not all(known.values()):
            return None
        return Command(
            resume={key: given.pop(0) if len(given) > 1 else given[0] for key, given in known.items() if given}
        )


def answers_of(recorded: Recorded, since: Task, beside: Sequence[Task] = ()) -> dict[str, list[Any]]:
    """What people answered from the first attempt of a task, and of those beside it, on, by what they were asked."""
    found: dict[str, list[Any]] = defaultdict(list)
    keys = {one.key for one in (since, *beside)}
    first = min(one.place for one in recorded.tasks if one.key in keys)
    outers = {one.key for one in outer_tasks(recorded, since)}
    for task in recorded.tasks:
        if task.place < first and task.key not in outers:
            continue
        if not task.questions:
            continue
        again = [one for one in recorded.tasks if one.key == task.key and one.attempt == task.attempt + 1]
        if not again or not again[0].answers:
            continue
        given = _live((recorded.value(again[0].answers[-1]) or {}).get("value"))
        for question in task.questions:
            asked = recorded.value(question) or {}
            answer = given[asked["id"]] if isinstance(given, dict) and asked.get("id") in given else given
            found[_digest(_live(asked.get("value")))].append(answer)
    return dict(found)


def _live(value: Any) -> Any:
    try:
        return _restore.restore(value)
    except _restore.Missing:
        return value if isinstance(value, Marked) else None


def in_thread(work: Any) -> Any:
    """The result of a coroutine, run on a loop of its own beside a loop that may be running here."""
    result: list[Any] = []
    context, loop = copy_context(), asyncio.new_event_loop()

    def run() -> None:
        try:
            result.append((loop.run_until_complete(work), None))
        except BaseException as error:
            result.append((None, error))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    thread = threading.Thread(target=context.run, args=(run,), name="ftnb-replay", daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join()
        raise
    value, error = result[0]
    if error is not None:
        raise error
    return value
