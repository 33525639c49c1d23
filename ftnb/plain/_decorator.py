"""`ftnb.step`: a function that is a step whenever it runs, or a block that is one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar, overload

from ..core.errors import InvalidArgumentError
from ..core.freeze import freeze
from ..langgraph_adapter import _place
from ..langgraph_adapter._scope import SCOPE
from ._alone import begin_apart, begin_here
from ._generators import async_generator, generator
from ._inside import Inside
from ._step import Step, checked_name, checked_tools

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def step(function: Function, /) -> Function: ...


@overload
def step(name: str | None = None, /, *, tools: Sequence[Any] = ()) -> Stepping: ...


def step(what: Any = None, /, *, tools: Sequence[Any] = ()) -> Any:
    """Make each call of a function a step: `@ftnb.step`, or `@ftnb.step("search", tools=["portal"])`.

    Arguments are the step's input, what it returns (a generator: what it yields) its output. Functions, methods,
    coroutines, generators and async generators stay what they were, and raise what they raised. As a block,
    `with ftnb.step("search") as s:`, it is a step of the code that runs here. It lies in the step or the
    `ftnb.record` block around it; outside any it is an engagement of its own, and nothing where nothing is recorded.
    """
    if what is None or isinstance(what, str):
        return Stepping(None if what is None else checked_name(what), checked_tools(tools))
    return _decorated(what, None, checked_tools(tools))


class Stepping:
    """`ftnb.step(...)`: a decorator, and a block."""

    def __init__(self, name: str | None, tools: tuple[str, ...]) -> None:
        self._name = name
        self._tools = tools
        self._step: Step | None = None

    def __call__(self, function: Function) -> Function:
        return _decorated(function, self._name, self._tools)  # type: ignore[no-any-return]

    def __enter__(self) -> Step:
        if self._name is None:
            raise InvalidArgumentError('a block that is a step needs a name: with ftnb.step("search") as s: …')
        self._step = Step(self._name, self._tools, begin_here)
        return self._step.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._step is not None:
            self._step.end(error)

    async def __aenter__(self) -> Step:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def current_step() -> Inside:
    """The step in which this is called, to tell about it: `ftnb.current_step().log("found", n=3)`.

    It is the innermost one: of plain code, or a LangGraph node. Outside any, and where nothing is recorded, what is
    told goes nowhere.
    """
    target = _place.target()
    place = None if target is None else _place.place_in(SCOPE.get())
    if place is None or place.key is None:
        return Inside(None, None)
    return Inside(target, place.key)


def _decorated(function: Any, name: str | None, tools: tuple[str, ...]) -> Any:
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(_decorated(function.__func__, name, tools))
    if isinstance(function, type) or not callable(function):
        raise InvalidArgumentError(
            f"ftnb.step is for functions, and takes a step's name for a block; got {function!r}. "
            'A step of a few lines is a block: with ftnb.step("search") as s: …'
        )
    label = name or getattr(function, "__name__", None) or type(function).__name__
    bind = binder_of(function)

    is_apart = inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
    begin = begin_apart if is_apart else begin_here

    def fresh(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Step:
        return Step(label, tools, begin, freeze((args, kwargs)), bind)

    if inspect.isasyncgenfunction(function):
        wrapper = async_generator(function, fresh)
    elif inspect.isgeneratorfunction(function):
        wrapper = generator(function, fresh)
    elif inspect.iscoroutinefunction(function):
        wrapper = _coroutine(function, fresh)
    else:
        wrapper = _plain(function, fresh)
    return functools.wraps(function)(wrapper)


Fresh = Callable[[tuple[Any, ...], dict[str, Any]], Step]


def _plain(function: Any, fresh: Fresh) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        if _place.target() is None:
            return function(*args, **kwargs)
        with fresh(args, kwargs) as running:
            result = function(*args, **kwargs)
            running.output = result
        return result

    return call


def _coroutine(function: Any, fresh: Fresh) -> Any:
    async def call(*args: Any, **kwargs: Any) -> Any:
        if _place.target() is None:
            return await function(*args, **kwargs)
        with fresh(args, kwargs) as running:
            result = await function(*args, **kwargs)
            running.output = result
        return result

    return call


def binder_of(function: Any) -> Callable[[Any, Any], dict[str, Any]]:
    """What makes a step's input of arguments: {parameter: value}, without `self` and `cls`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a function of C, which has none to show
        parameters = []
    positional = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    rest = next((one.name for one in parameters if one.kind is one.VAR_POSITIONAL), "args")
    skipped = positional[:1] if positional[:1] in (["self"], ["cls"]) else []

    def bind(args: Any, kwargs: Any) -> dict[str, Any]:
        given = dict(zip(positional, args, strict=False))
        if len(args) > len(positional):
            given[rest] = list(args[len(positional) :])
        return {key: value for key, value in {**given, **kwargs}.items() if key not in skipped}

    return bind
