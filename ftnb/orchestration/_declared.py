"""What a workflow consists of: its steps and the ways between them, and the graph that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from ..agent import as_tools
from ..core.errors import InvalidArgumentError
from ..core.model import Engagement, Topology
from ..langgraph_adapter import read_topology
from ..llm import as_client
from ._graph import Plan, Router, build
from ._nodes import StepDef, declared_gotos
from .context import DEFAULT_ITERATIONS

F = TypeVar("F", bound=Callable[..., Any])


class Declared:
    """The declaring half of a `Workflow`."""

    def __init__(
        self,
        name: str,
        state_schema: type,
        goal_nodes: Iterable[str],
        llm: Any,
        llm_timeout: float | None,
        tool_timeout: float | None,
    ) -> None:
        self.name = name
        self._plan = Plan(name, state_schema, goals=set([goal_nodes] if isinstance(goal_nodes, str) else goal_nodes))
        self._llm = None if llm is None else as_client(llm)
        self._llm_timeout = llm_timeout
        self._tool_timeout = tool_timeout
        self._compiled: Any = None
        self._checkpointed: tuple[Any, Any] | None = None
        """The graph with a checkpointer, and that checkpointer."""
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
