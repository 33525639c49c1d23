"""Tasks of the functional API: found in the code that calls them, and called alone."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.errors import ReplayError
from ._graphs import graph_with, outer_tasks
from ._recorded import Recorded, Task

_MAX_DEPTH = 6


def function_of(root: Any, recorded: Recorded, task: Task) -> Any:
    """The live `@task` that `task` ran. Raises ReplayError."""
    outer = next(one for one in reversed(outer_tasks(recorded, task)) if not one.is_called)
    node = graph_with(root, recorded, outer).nodes[outer.name]
    found: dict[int, Any] = {}
    for function in _functions(node.bound):
        for one in _tasks_in(function, 0, set()):
            if one.__name__ == task.name:
                found[id(one)] = one
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise ReplayError(f"the code of {outer.full!r} calls {len(found)} different tasks named {task.name!r}")
    raise ReplayError(
        f"task {task.name!r} was called by {outer.full!r}, and the code of {outer.full!r} today names no such @task; "
        f"replay the step {outer.full!r} that calls it"
    )


def calling(root: Any, name: str, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], saver: Any) -> Any:
    """A graph that calls one task and returns what it returns; its input is not used."""
    from langgraph.func import entrypoint

    made: Any
    if inspect.iscoroutinefunction(inspect.unwrap(function.func)):

        async def made(given: Any) -> Any:
            return await function(*args, **kwargs)

    else:

        def made(given: Any) -> Any:
            return function(*args, **kwargs).result()

    made.__name__ = made.__qualname__ = name
    # What else the graph has for its tasks: a store, a context.
    schema = getattr(root, "context_schema", None)
    return entrypoint(checkpointer=saver, store=root.store, context_schema=schema)(made)


def bound(function: Any, given: Any, task: Task) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Recorded arguments, by name, as they are passed. Raises ReplayError."""
    if not isinstance(given, dict):
        return (given,), {}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    left = dict(given)
    for name, parameter in inspect.signature(function.func).parameters.items():
        if name not in left:
            continue
        value = left.pop(name)
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(value)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            kwargs[name] = value
        else:
            args.append(value)
    if left:
        raise ReplayError(
            f"task {task.name!r} was called with {', '.join(sorted(left))}, which today's function does not take: "
            f"{task.name}{inspect.signature(function.func)}"
        )
    return tuple(args), kwargs


def _functions(bound: Any) -> Iterator[Any]:
    for part in (bound, *(getattr(bound, "steps", None) or ())):
        for name in ("func", "afunc"):
            function = getattr(part, name, None)
            if function is not None:
                yield inspect.unwrap(getattr(function, "func", function))


def _tasks_in(function: Any, depth: int, seen: set[int]) -> Iterator[Any]:
    """The tasks that a function's code names, and those that they name in turn."""
    if id(function) in seen or depth > _MAX_DEPTH:
        return
    seen.add(id(function))
    try:
        names = inspect.getclosurevars(function)
    except (TypeError, ValueError):  # no Python function
        return
    for one in [*names.nonlocals.values(), *names.globals.values()]:
        if type(one).__name__ == "_TaskFunction":
            yield one
            yield from _tasks_in(inspect.unwrap(one.func), depth + 1, seen)
        elif inspect.isfunction(one):
            yield from _tasks_in(inspect.unwrap(one), depth + 1, seen)
