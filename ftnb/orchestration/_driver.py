"""The one way in which a workflow runs: `run`, `start`, `resume` and their streams differ in what they pass in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from ..core.model import EngagementStatus, TokenUsage, Topology
from ..langgraph_adapter._drive import Drive
from ..langgraph_adapter._scope import Labels, Scope
from ..langgraph_adapter.runner import recording
from ..recorder import Recorder
from . import _threads
from ._run import RUN, Run, queue_sink
from .turns import StreamEvent, WorkflowTurn

_CLEANUP_S = 2.0
CANCELLED = "cancelled before it ended"
Sink = Callable[[StreamEvent], None]


@dataclass(slots=True)
class Job:
    """One run of a workflow, or one turn of a conversation with it."""

    compiled: Any
    recorder: Recorder
    labels: Labels
    topology: Topology
    config: Mapping[str, Any]
    llm: Any = None
    deps: Any = None
    input: Any = None
    thread_id: str | None = None
    """None: one run without pauses."""
    checkpointer: Any = None
    resumes: bool = False
    """`input` is the answer to a pause."""
    expect_awaiting: str | None = None
    engagement_id: str = field(init=False, default="")

    async def run(self, sink: Sink | None = None) -> WorkflowTurn:
        """Do it, telling `sink` what happens. Raises what a step raises; ResumeError before anything is recorded."""
        async with AsyncExitStack() as stack:
            if self.thread_id is not None:
                await stack.enter_async_context(_threads.only_turn(self.checkpointer, self.thread_id))
            scope, given = await self._prepared()
            self.engagement_id = scope.engagement_id
            waiting = await self._driven(scope, given, sink)
            if self.thread_id is None:
                return self._turn([], TokenUsage())
            # Another process may be asked to go on as soon as the caller has the turn.
            await asyncio.to_thread(self.recorder.flush)
            assert scope.drive is not None
            return self._turn(waiting, scope.drive.usage.total())

    async def _prepared(self) -> tuple[Scope, Any]:
        """The engagement that the turn belongs to, and what the graph is given."""
        if not self.resumes or self.thread_id is None:
            return Scope(self.labels, self.topology, drive=Drive()), self.input
        from langgraph.types import Command

        waiting, known = await _threads.parked(self.compiled, self._config(None))
        store = self.recorder.store
        found = await asyncio.to_thread(_threads.resumable, store, self.thread_id, known, self.topology)
        engagement_id, resumed = found
        pause = _threads.choose(waiting, self.thread_id, self.expect_awaiting)
        scope = Scope(self.labels, self.topology, engagement_id, Drive(resumed))
        # By the interrupt's id: LangGraph takes a bare None for no answer at all.
        return scope, Command(resume={pause.interrupt_id: self.input})

    async def _driven(self, scope: Scope, given: Any, sink: Sink | None) -> list[_threads.Pause]:
        """Run the graph, recorded; returns what it waits for."""
        drive = scope.drive
        assert drive is not None
        from langchain_core.runnables.config import var_child_runnable_config

        run = RUN.set(Run(self.llm, self.deps, sink, can_pause=self.thread_id is not None))
        # In a step of another workflow this is no part of its graph: neither its checkpoints nor its engagement.
        outer = var_child_runnable_config.set(None)
        try:
            with recording(self.recorder, self.labels, scope=scope):
                try:
                    result = await self.compiled.ainvoke(given, self._config(scope.engagement_id))
                except asyncio.CancelledError:
                    drive.outcome, drive.error = await self._left_off()
                    raise
                waiting = _threads.pauses(result.get("__interrupt__") if isinstance(result, dict) else None)
                drive.outcome = EngagementStatus.PAUSED if waiting else EngagementStatus.COMPLETED
                return waiting
        finally:
            var_child_runnable_config.reset(outer)
            RUN.reset(run)

    async def _left_off(self) -> tuple[EngagementStatus, str | None]:
        """Where a cancelled turn leaves its engagement: still waiting, if its checkpoint does."""
        if self.thread_id is not None:
            try:
                look = _threads.parked(self.compiled, self._config(None))
                waiting, _ = await asyncio.wait_for(look, _CLEANUP_S)
            except Exception:
                waiting = []  # what cannot be looked at cannot be resumed either
            if waiting:
                return EngagementStatus.PAUSED, None
        return EngagementStatus.ABANDONED, CANCELLED

    def _config(self, engagement_id: str | None) -> dict[str, Any]:
        own = dict(self.config.get("configurable") or {})
        if self.thread_id is not None:
            own["thread_id"] = self.thread_id
            if engagement_id is not None:
                own[_threads.ENGAGEMENT_KEY] = engagement_id
        return {**self.config, "configurable": own}

    def _turn(self, waiting: list[_threads.Pause], usage: TokenUsage) -> WorkflowTurn:
        thread_id = self.thread_id or ""
        if not waiting:
            return WorkflowTurn(
                engagement_id=self.engagement_id, thread_id=thread_id, status="completed", token_usage=usage
            )
        first = waiting[0]
        shown = first.payload
        return WorkflowTurn(
            engagement_id=self.engagement_id,
            thread_id=thread_id,
            status="paused",
            awaiting=first.awaiting,
            interrupt=shown if shown is None or isinstance(shown, dict) else {"value": shown},
            token_usage=usage,
        )


async def stream(job: Job) -> AsyncIterator[StreamEvent]:
    """What happens in a turn, as it happens, and at last the turn. Closing it cancels the turn."""
    queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
    # A task of its own: a generator shares its caller's context variables, and would leave ours set between events.
    task: asyncio.Task[WorkflowTurn] = asyncio.ensure_future(_told(job.run(queue_sink(queue)), queue))
    try:
        while (event := await queue.get()) is not None:
            yield event
        turn = await task
        data = {"awaiting": turn.awaiting} if turn.is_paused else {}
        yield StreamEvent(kind=turn.status, data=data, turn=turn)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        elif not task.cancelled():
            task.exception()  # seen: it was raised above, or nobody is left to raise it to


async def _told(work: Coroutine[Any, Any, WorkflowTurn], queue: asyncio.Queue[StreamEvent | None]) -> WorkflowTurn:
    try:
        return await work
    finally:
        queue.put_nowait(None)
