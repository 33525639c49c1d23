"""Steps as LangGraph's nodes: a step's function is given its context, and streams hear of its start and end."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..agent import AgentTool
from ._run import RUN
from .context import StepContext
from .turns import StreamEvent

_INJECTED = ("config", "writer", "store", "previous", "runtime")
"""Parameters that LangGraph fills in by their names."""


@dataclass(slots=True)
class StepDef:
    """A declared step."""

    name: str
    function: Callable[..., Any]
    tools: list[str] = field(default_factory=list)
    is_global: bool = False
    agent_tools: list[AgentTool] = field(default_factory=list)
    max_iterations: int = 8
    tool_timeout: float | None = None
    goto: tuple[str, ...] = ()
    """Steps that it may go to by returning a LangGraph Command."""


def wrap(step: StepDef, llm: Any, llm_timeout: float | None) -> Callable[..., Any]:
    """The step's function as a LangGraph node: it is given its context, and streams hear of its start and end.

    A function that is not async stays so: LangGraph runs it in a thread.
    """
    function, name = step.function, step.name
    wants_ctx = context_parameter(function) is not None

    def arguments(state: Any) -> tuple[Any, ...]:
        if not wants_ctx:
            return (state,)
        ctx = StepContext(
            llm=llm,
            tools=step.agent_tools,
            max_iterations=step.max_iterations,
            llm_timeout=llm_timeout,
            tool_timeout=step.tool_timeout,
        )
        return state, ctx

    def tell(kind: Literal["step_started", "step_finished"]) -> None:
        run = RUN.get()
        if run is not None and run.sink is not None:
            run.sink(StreamEvent(kind=kind, data={"node": name}))

    async def node(state: Any, **injected: Any) -> Any:
        tell("step_started")
        result = function(*arguments(state), **injected)
        if inspect.isawaitable(result):
            result = await result
        tell("step_finished")
        return result

    def sync_node(state: Any, **injected: Any) -> Any:
        tell("step_started")
        result = function(*arguments(state), **injected)
        tell("step_finished")
        return result

    made: Any = node if is_async(function) else sync_node
    made.__name__ = made.__qualname__ = name
    made.__doc__ = getattr(function, "__doc__", None)
    made.__wrapped__ = function  # whose text a trace shows
    made.__signature__ = _signature(function)
    made.__annotations__ = {}
    return made  # type: ignore[no-any-return]


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def context_parameter(function: Callable[..., Any]) -> str | None:
    """The name of the parameter that takes the context: the second one, unless LangGraph fills it in."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    names = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return names[0] if names and names[0] not in _INJECTED else None


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """What LangGraph looks at, to see which of its own parameters the step wants."""
    own = inspect.signature(function).parameters
    state = inspect.Parameter("state", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError):
        hints = {}
    injected = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=own[name].default,
            annotation=hints.get(name, own[name].annotation),
        )
        for name in _INJECTED
        if name in own
    ]
    return inspect.Signature([state, *injected])


def input_schema(function: Callable[..., Any]) -> type | None:
    """The part of the state that the step declares to want, by the type of its first parameter."""
    try:
        first = next(iter(inspect.signature(function).parameters))
        hint = get_type_hints(function).get(first)
        return hint if isinstance(hint, type) and get_type_hints(hint) else None
    except (NameError, TypeError, StopIteration):
        return None


def declared_gotos(function: Callable[..., Any]) -> tuple[str, ...]:
    """The steps named in a return annotation as `Command[Literal["a", "b"]]`."""
    try:
        returned = get_type_hints(function).get("return")
    except (NameError, TypeError):
        return ()
    for one in (returned, *get_args(returned)):
        inner = get_args(one)
        if getattr(get_origin(one), "__name__", "") == "Command" and inner and get_origin(inner[0]) is Literal:
            return tuple(str(name) for name in get_args(inner[0]))
    return ()
