"""Workflows, declared step by step.

wf = Workflow("school_journey", state_schema=State, goal_nodes={"submit"})

@wf.step(tools=["search_schools"])
def select(state): ...

@wf.step
async def submit(state, ctx): ...

wf.entry("select")
wf.edge("select", "submit")
wf.finish("submit")

engagement_id = await wf.run({"messages": []}, recorder)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..checkpoint import build_checkpointer
from ..core.errors import InvalidArgumentError
from ..langgraph_adapter._scope import Labels
from ..llm import as_client
from ..recorder import Recorder
from ..registry import REGISTER
from . import _driver
from ._declared import Declared
from ._graph import build
from ._sync import run_sync
from ._threads import THREAD_META_KEY
from .turns import StreamEvent, WorkflowTurn

if TYPE_CHECKING:
    from .chat import ChatBox


class Workflow(Declared):
    """A workflow: declare it once, run it any number of times, also at the same time.

    `run` takes it from entry to end. A conversation, whose steps wait for a human with `ctx.pause`, goes by turns:
    `start` (or `stream`) and then `resume` (or `stream_resume`), under a `thread_id` of yours.
    """

    THREAD_META_KEY = THREAD_META_KEY
    """Metadata key under which an engagement has the id of its thread."""

    def __init__(
        self,
        name: str,
        *,
        state_schema: type,
        goal_nodes: Iterable[str] = (),
        llm: Any = None,
        checkpointer: Any = None,
        llm_timeout: float | None = None,
        tool_timeout: float | None = None,
    ) -> None:
        """`goal_nodes` mean success when reached. `llm` is the model of runs that bring none: an `LLMClient` or a
        LangChain chat model. `checkpointer` holds paused conversations; None: one in memory, lost with the process. The
        timeouts bound each call of the model and of a tool, in seconds.
        """
        super().__init__(name, state_schema, goal_nodes, llm, llm_timeout, tool_timeout)
        self._checkpointer = checkpointer

    # --- running ---

    async def run(
        self,
        input: Any,
        recorder: Recorder | None = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        llm: Any = None,
        deps: Any = None,
    ) -> str:
        """Run from entry to end as a new engagement, and return its id.

        `recorder` None: the registry's, or that of the session. `llm` and `deps` are this run's own, `config` is
        LangGraph's. What a step raises is passed on, after the engagement ended as failed.
        """
        job = self._job(self.compile(), input, recorder, name, metadata, config, llm, deps)
        return (await job.run()).engagement_id

    def run_sync(self, input: Any, recorder: Recorder | None = None, **options: Any) -> str:
        """`run`, for code that cannot await; it also works where an event loop runs, as in a notebook."""
        return run_sync(self.run(input, recorder, **options))

    async def start(
        self,
        input: Any,
        recorder: Recorder | None = None,
        *,
        thread_id: str,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        llm: Any = None,
        deps: Any = None,
        checkpointer: Any = None,
    ) -> WorkflowTurn:
        """Begin a conversation, as a new engagement, and run until it pauses or ends.

        `thread_id` is your id of the conversation, under which it is resumed. Raises ThreadBusyError while another turn
        of it runs.
        """
        job = self._begun(input, recorder, thread_id, name, metadata, config, llm, deps, checkpointer)
        return await job.run()

    async def resume(
        self,
        thread_id: str,
        recorder: Recorder | None = None,
        *,
        input: Any = None,
        expect_awaiting: str | None = None,
        config: Mapping[str, Any] | None = None,
        llm: Any = None,
        deps: Any = None,
        checkpointer: Any = None,
    ) -> WorkflowTurn:
        """Go on where a conversation paused, with `input` as what its `ctx.pause` returns, in the same engagement.

        Where several steps wait, the first is answered, or the one that `expect_awaiting` names. Raises ResumeError,
        before anything is delivered; its `reason` is `no_resumable_engagement` (never begun, or ended), `not_paused`
        (it does not wait now) or `awaiting_mismatch` (it waits for something else than `expect_awaiting`).
        """
        return await self._resumed(thread_id, recorder, input, expect_awaiting, config, llm, deps, checkpointer).run()

    def stream(
        self,
        input: Any,
        recorder: Recorder | None = None,
        *,
        thread_id: str,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        llm: Any = None,
        deps: Any = None,
        checkpointer: Any = None,
    ) -> AsyncIterator[StreamEvent]:
        """As `start`, giving events as they happen and the turn with the last one. Closing it cancels the turn."""
        return _driver.stream(self._begun(input, recorder, thread_id, name, metadata, config, llm, deps, checkpointer))

    def stream_resume(
        self,
        thread_id: str,
        recorder: Recorder | None = None,
        *,
        input: Any = None,
        expect_awaiting: str | None = None,
        config: Mapping[str, Any] | None = None,
        llm: Any = None,
        deps: Any = None,
        checkpointer: Any = None,
    ) -> AsyncIterator[StreamEvent]:
        """As `resume`, giving events as they happen; a ResumeError comes before the first."""
        return _driver.stream(
            self._resumed(thread_id, recorder, input, expect_awaiting, config, llm, deps, checkpointer)
        )

    def chat(self, recorder: Recorder | None = None, **options: Any) -> ChatBox:
        """A chat with this workflow, for a notebook; `options` as of `ChatBox`."""
        from .chat import ChatBox

        return ChatBox(self, _recorder(recorder), **options)

    def _with_checkpointer(self, given: Any) -> tuple[Any, Any]:
        """The graph with a checkpointer, and that checkpointer; compiled once for the latest one."""
        if given is None:
            if self._checkpointer is None:
                self._checkpointer = build_checkpointer("memory")
            given = self._checkpointer
        if self._checkpointed is None or self._checkpointed[1] is not given:
            graph = build(self._plan, self._llm, self._llm_timeout)
            self._checkpointed = graph.compile(checkpointer=given, name=self.name), given
        return self._checkpointed

    def _begun(
        self, input: Any, recorder: Recorder | None, thread_id: str, name: str | None,
        metadata: Mapping[str, Any] | None, config: Mapping[str, Any] | None, llm: Any, deps: Any, checkpointer: Any,
    ) -> _driver.Job:  # fmt: skip
        compiled, saver = self._with_checkpointer(checkpointer)
        about = {THREAD_META_KEY: thread_id, **(metadata or {})}
        job = self._job(compiled, input, recorder, name, about, config, llm, deps)
        job.thread_id, job.checkpointer = thread_id, saver
        return job

    def _resumed(
        self, thread_id: str, recorder: Recorder | None, input: Any, expect_awaiting: str | None,
        config: Mapping[str, Any] | None, llm: Any, deps: Any, checkpointer: Any,
    ) -> _driver.Job:  # fmt: skip
        compiled, saver = self._with_checkpointer(checkpointer)
        job = self._job(compiled, input, recorder, None, None, config, llm, deps)
        job.thread_id, job.checkpointer = thread_id, saver
        job.resumes, job.expect_awaiting = True, expect_awaiting
        return job

    def _job(
        self, compiled: Any, input: Any, recorder: Recorder | None, name: str | None,
        metadata: Mapping[str, Any] | None, config: Mapping[str, Any] | None, llm: Any, deps: Any,
    ) -> _driver.Job:  # fmt: skip
        plan = self._plan
        labels = Labels.of(name or self.name, metadata, plan.goals, self.global_nodes, self.node_tools)
        client = None if llm is None else as_client(llm)
        return _driver.Job(
            compiled, _recorder(recorder), labels, self.topology, config or {}, llm=client, deps=deps, input=input
        )


def _recorder(given: Recorder | None) -> Recorder:
    if given is not None:
        return given
    from ..langgraph_adapter.handler import AMBIENT

    ambient = AMBIENT.target
    found: Recorder | None = REGISTER.get_recorder() or (None if ambient is None else ambient.recorder)
    if found is None:
        raise InvalidArgumentError(
            "there is no recorder: pass one, Recorder(SQLiteStore('traces.db')); or REGISTER.set_recorder(…); "
            "or ftnb.start('traces.db')"
        )
    return found
