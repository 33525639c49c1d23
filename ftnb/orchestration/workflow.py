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

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..agent import as_tools
from ..checkpoint import build_checkpointer
from ..core.errors import InvalidArgumentError
from ..core.model import Engagement, Topology
from ..langgraph_adapter import read_topology
from ..langgraph_adapter._scope import Labels
from ..recorder import Recorder
from ..registry import REGISTER
from . import _driver
from ._graph import Plan, Router, StepDef, build, declared_gotos
from ._sync import run_sync
from ._threads import THREAD_META_KEY
from .context import DEFAULT_ITERATIONS
from .turns import StreamEvent, WorkflowTurn

if TYPE_CHECKING:
    from .chat import ChatBox

F = TypeVar("F", bound=Callable[..., Any])


class Workflow:
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
        self.name = name
        self._plan = Plan(name, state_schema, goals=set([goal_nodes] if isinstance(goal_nodes, str) else goal_nodes))
        self._llm = llm
        self._checkpointer = checkpointer
        self._llm_timeout = llm_timeout
        self._tool_timeout = tool_timeout
        self._compiled: Any = None
        self._checkpointed: tuple[Any, Any] | None = None
        self._topology: Topology | None = None

    def __repr__(self) -> str:
        return f"<Workflow {self.name!r}: {len(self._plan.steps)} steps>"

    # --- declaring ---

    @overload
    def step(self, fn: F, /) -> F: ...
    @overload
    def step(
        self, fn: None = None, /, *, name: str | None = None, tools: Iterable[str] = (), goto: Iterable[str] = ()
    ) -> Callable[[F], F]: ...
    def step(
        self, fn: F | None = None, /, *, name: str | None = None, tools: Iterable[str] = (), goto: Iterable[str] = ()
    ) -> F | Callable[[F], F]:
        """Declare a step: `@wf.step` or `@wf.step(tools=[…])`. Its function takes the state and, if it has a second
        parameter, the context; it returns a state update.

        `tools` are the names of tools that it has, for the trace; `goto` the steps that it may go to by returning a
        LangGraph `Command`.
        """
        return self._declare(fn, name, list(tools), tuple(goto))

    @overload
    def global_step(self, fn: F, /) -> F: ...
    @overload
    def global_step(
        self, fn: None = None, /, *, name: str | None = None, tools: Iterable[str] = (), goto: Iterable[str] = ()
    ) -> Callable[[F], F]: ...
    def global_step(
        self, fn: F | None = None, /, *, name: str | None = None, tools: Iterable[str] = (), goto: Iterable[str] = ()
    ) -> F | Callable[[F], F]:
        """Declare a step that may be entered from anywhere; entering it is recorded as an intent switch."""
        return self._declare(fn, name, list(tools), tuple(goto), is_global=True)

    @overload
    def agent_step(self, fn: F, /) -> F: ...
    @overload
    def agent_step(
        self,
        fn: None = None,
        /,
        *,
        name: str | None = None,
        tools: Iterable[Any] = (),
        max_iterations: int = DEFAULT_ITERATIONS,
        tool_timeout: float | None = None,
        goto: Iterable[str] = (),
    ) -> Callable[[F], F]: ...
    def agent_step(
        self,
        fn: F | None = None,
        /,
        *,
        name: str | None = None,
        tools: Iterable[Any] = (),
        max_iterations: int = DEFAULT_ITERATIONS,
        tool_timeout: float | None = None,
        goto: Iterable[str] = (),
    ) -> F | Callable[[F], F]:
        """Declare a step in which the model uses tools: its function calls `await ctx.run_tools(messages)`.

        `tools` are AgentTools, typed Python functions or LangChain tools; `max_iterations` bounds the rounds of one
        `run_tools`, `tool_timeout` each call in seconds.
        """
        made = as_tools(tools)
        if max_iterations < 1:
            raise InvalidArgumentError(f"max_iterations={max_iterations}: at least one round is needed")
        return self._declare(
            fn,
            name,
            [tool.name for tool in made],
            tuple(goto),
            agent_tools=made,
            max_iterations=max_iterations,
            tool_timeout=self._tool_timeout if tool_timeout is None else tool_timeout,
        )

    def _declare(
        self, fn: F | None, name: str | None, tools: list[str], goto: tuple[str, ...], **more: Any
    ) -> F | Callable[[F], F]:
        def register(function: F) -> F:
            called = name or function.__name__
            ways = goto or declared_gotos(function)
            self._plan.add(StepDef(called, function, tools, goto=ways, **{"tool_timeout": self._tool_timeout, **more}))
            self._changed()
            return function

        return register if fn is None else register(fn)

    def entry(self, node: str) -> None:
        """The step that a run begins with."""
        if node not in self._plan.entries:
            self._plan.entries.append(node)
        self._changed()

    def edge(self, source: str, target: str) -> None:
        """After `source` comes `target`."""
        self._plan.edges.append((source, target))
        self._changed()

    def branch(self, source: str, router: Router, mapping: dict[Any, str] | list[str]) -> None:
        """After `source`, `router(state)` says what comes: a key of `mapping`, or the name of a step in it."""
        self._plan.branches.append((source, router, mapping))
        self._changed()

    def finish(self, node: str) -> None:
        """A run may end after `node`."""
        if node not in self._plan.finish:
            self._plan.finish.append(node)
        self._changed()

    def _changed(self) -> None:
        self._compiled, self._checkpointed, self._topology = None, None, None

    # --- looking ---

    @property
    def global_nodes(self) -> set[str]:
        """Names of the global steps."""
        return {name for name, step in self._plan.steps.items() if step.is_global}

    @property
    def node_tools(self) -> dict[str, list[str]]:
        """Names of tools, by step."""
        return {name: list(step.tools) for name, step in self._plan.steps.items()}

    @property
    def goal_nodes(self) -> set[str]:
        """Names of the steps that mean success."""
        return set(self._plan.goals)

    @property
    def topology(self) -> Topology:
        """Its graph: steps and the ways between them. Raises WorkflowError where that cannot be compiled."""
        if self._topology is None:
            compiled = self.compile()
            self._topology = read_topology(compiled, global_nodes=self.global_nodes, node_tools=self.node_tools)
        return self._topology

    def compile(self) -> Any:
        """The LangGraph graph, without a checkpointer; compiled once. It can be used as any other graph: its steps then
        have the workflow's model or the registry's, and no deps. Raises WorkflowError.
        """
        if self._compiled is None:
            self._compiled = build(self._plan, self._llm, self._llm_timeout).compile(name=self.name)
        return self._compiled

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

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from html import escape

        from ..widget.payload import engagement_payload
        from ..widget.svg import graph_svg

        try:
            graph = graph_svg(engagement_payload(Engagement(name=self.name, topology=self.topology)))
        except Exception as error:  # a display never breaks a cell: a graph that cannot be compiled yet says why
            return {"text/plain": f"{self!r} ({error})"}
        count = len(self._plan.steps)
        goals = f"; goals: {', '.join(sorted(self._plan.goals))}" if self._plan.goals else ""
        head = f"<b>{escape(self.name)}</b>: {count} {'step' if count == 1 else 'steps'}{escape(goals)}"
        style = "font-family:system-ui,sans-serif;font-size:13px"
        return {"text/plain": repr(self), "text/html": f'<div style="{style}"><p>{head}</p>{graph}</div>'}

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
        return _driver.Job(
            compiled, _recorder(recorder), labels, self.topology, config or {}, llm=llm, deps=deps, input=input
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
