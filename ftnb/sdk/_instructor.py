"""Instructor: what it extracts is one extraction, with the attempts that it took; each attempt is a call of a model.

Taken is its loop of attempts, which clients of every provider and age go through. Where the SDK below is captured too,
that records the calls; else they are recorded here, as far as they can be seen.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from time import perf_counter_ns
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from ..core import _call_scope
from ..core._raised import raised
from ..core.errors import ReplayError
from ..core.model import EventKind, Extraction
from ..langgraph_adapter import _events as events
from ..langgraph_adapter import _place, calls
from ..langgraph_adapter._runs import describe
from ..langgraph_adapter.calls import Given
from ..plain import step as plain_step
from ..store import build
from . import _registry
from ._call import Call, copied
from ._patch import AttributePatch, Patch, Switch
from ._shapes import ANY
from ._stainless import count


def patches(module: ModuleType, switch: Switch) -> list[Patch]:
    """The places to take."""
    from instructor.v2.core import patch

    return [
        AttributePatch(patch, "retry_sync_v2", _retry(switch)),
        AttributePatch(patch, "retry_async_v2", _async_retry(switch)),
    ]


class _Extracting:
    """One extraction under way."""

    def __init__(self, schema: Any, given: Any) -> None:
        self.began = perf_counter_ns()
        self.schema = schema
        self.name = str(getattr(schema, "__name__", None) or schema)
        model = given.get("model")
        self.model = model if isinstance(model, str) else None
        self.n_attempts = 0
        self.failures: list[dict[str, str]] = []
        self.target, self.key, _ = _place.here()

    def failed_attempt(self, error: BaseException, **_: Any) -> None:
        """An attempt failed: the model, or what it said did not fit the schema."""
        self.failures.append({"error": str(error) or type(error).__name__, "error_type": type(error).__name__})

    def watched(self, kwargs: Any, attempt: Callable[[_Extracting, Any], Any]) -> Any:
        """The arguments of the loop, with each attempt made by `attempt`."""
        from instructor.v2.core.hooks import Hooks

        own = Hooks()
        for name in ("parse:error", "completion:error"):
            own.on(name, self.failed_attempt)
        hooks, function = kwargs.get("hooks"), kwargs["func"]
        return {**kwargs, "hooks": own if hooks is None else hooks + own, "func": attempt(self, function)}

    @property
    def is_partial(self) -> bool:
        """Whether its parts are one object as it grows, rather than several."""
        return "Partial" in self.name

    def part(self, several: list[Any], part: Any) -> None:
        """One more part."""
        if self.is_partial:
            several.clear()
        several.append(part)

    def done(self, value: Any, error: BaseException | None = None) -> None:
        """It ended, with a value or an error. Never raises."""
        if self.target is None:
            return
        if self.is_partial and isinstance(value, list) and value:
            value = value[-1]
        try:
            fact = (events.CALL, _record, perf_counter_ns(), self, value, error)
            self.target.put(fact)
        except Exception as fault:
            count(fault)


def _begin(switch: Switch, kwargs: Any) -> _Extracting | None:
    """The extraction that this is; None: none that is recorded here. Never raises."""
    try:
        schema = kwargs.get("response_model")
        if not switch.is_on or schema is None or "func" not in kwargs or _call_scope.outer() is not None:
            return None
        found = _Extracting(schema, kwargs.get("kwargs") or {})
        return None if found.target is None and calls.ANSWERS.get() is None else found
    except Exception as error:
        count(error)
        return None


def _retry(switch: Switch) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def run(found: _Extracting, args: Any, kwargs: Any) -> Any:
            try:
                result = original(*args, **found.watched(kwargs, _attempt))
            except BaseException as error:
                found.done(None, error)
                raise
            if inspect.isgenerator(result):
                return _followed(found, result)
            found.done(result)
            return result

        def retry(*args: Any, **kwargs: Any) -> Any:
            found = _begin(switch, kwargs)
            if found is None:
                return original(*args, **kwargs)
            if found.key is not None or (kwargs.get("kwargs") or {}).get("stream"):
                return run(found, args, kwargs)
            with plain_step(f"instructor {found.name}") as step:
                found.key = step.id
                return run(found, args, kwargs)

        return retry

    return make


def _async_retry(switch: Switch) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        async def run(found: _Extracting, args: Any, kwargs: Any) -> Any:
            try:
                result = await original(*args, **found.watched(kwargs, _async_attempt))
            except BaseException as error:
                found.done(None, error)
                raise
            if inspect.isasyncgen(result):
                return _afollowed(found, result)
            found.done(result)
            return result

        async def retry(*args: Any, **kwargs: Any) -> Any:
            found = _begin(switch, kwargs)
            if found is None:
                return await original(*args, **kwargs)
            if found.key is not None or (kwargs.get("kwargs") or {}).get("stream"):
                return await run(found, args, kwargs)
            with plain_step(f"instructor {found.name}") as step:
                found.key = step.id
                return await run(found, args, kwargs)

        return retry

    return make


# --- attempts ---


def _attempt(found: _Extracting, function: Any) -> Any:
    def attempt(*args: Any, **kwargs: Any) -> Any:
        found.n_attempts += 1
        call = Call(ANY, "instructor", found.model, kwargs)
        with _call_scope.claim("instructor", is_firm=False) as scope:
            try:
                given = _given(call, function)
                result = function(*args, **call.wanted(kwargs)) if given is None else _made(call, given)
            except BaseException as error:
                _attempted(call, scope, None, error)
                raise
        _attempted(call, scope, result, None)
        return result

    return attempt


def _async_attempt(found: _Extracting, function: Any) -> Any:
    async def attempt(*args: Any, **kwargs: Any) -> Any:
        found.n_attempts += 1
        call = Call(ANY, "instructor", found.model, kwargs)
        with _call_scope.claim("instructor", is_firm=False) as scope:
            try:
                given = _given(call, function)
                result = await function(*args, **call.wanted(kwargs)) if given is None else _made(call, given)
            except BaseException as error:
                _attempted(call, scope, None, error)
                raise
        _attempted(call, scope, result, None)
        return result

    return attempt


_BELOW = {"openai": "openai", "anthropic": "anthropic", "google": "google", "litellm": "litellm"}


def _given(call: Call, function: Any) -> Given | None:
    """While a replay runs, what its record says to an attempt, unless the SDK below recorded it, and asks itself."""
    inner: Any = inspect.unwrap(getattr(function, "func", function))
    package = str(getattr(inner, "__module__", "") or "").partition(".")[0]
    call.answers = calls.ANSWERS.get()
    if call.answers is None or (_BELOW.get(package) in _registry.seen() and not call.answers.knows(call.api.name)):
        return None
    call.instead()
    given = call.ask()
    if given is not None and call.given.get("stream"):
        raise ReplayError(
            f"the answer of {call.model} was streamed to Instructor, which does not show it whole; capture the SDK "
            'below it too: ftnb.capture("instructor", …)'
        )
    return given


def _made(call: Call, given: Given) -> Any:
    """A recorded answer as the SDK below gives it. Raises what it raised then, or ReplayError."""
    if given.error is not None:
        raise raised(*given.error)
    reply = dict(given.reply or {})
    for key, path in _KINDS.items():
        if key in reply:
            module, _, name = path.rpartition(".")
            kind = getattr(importlib.import_module(module), name)
            return kind.model_validate(reply) if key == "candidates" else kind.construct(**reply)
    raise ReplayError(f"the answer of {call.model} was recorded in a form that cannot be given again")


_KINDS = {
    "choices": "openai.types.chat.ChatCompletion",
    "output": "openai.types.responses.Response",
    "candidates": "google.genai.types.GenerateContentResponse",
    "content": "anthropic.types.Message",
}


def _attempted(call: Call, scope: _call_scope.CallScope, result: Any, error: BaseException | None) -> None:
    """An attempt is over. Where nobody below has recorded its call, it is recorded now."""
    if scope.inner or not call.begin():
        return
    call.body = copied(result)
    if error is None:
        call.over()
    else:
        call.failed(error)


# --- what comes in parts ---


def _followed(found: _Extracting, parts: Any) -> Iterator[Any]:
    several: list[Any] = []
    failed: BaseException | None = None
    try:
        for part in parts:
            found.part(several, part)
            yield part
    except GeneratorExit:
        raise
    except BaseException as error:
        failed = error
        raise
    finally:
        parts.close()
        _end_followed(found, several, failed)


async def _afollowed(found: _Extracting, parts: Any) -> AsyncIterator[Any]:
    several: list[Any] = []
    failed: BaseException | None = None
    try:
        async for part in parts:
            found.part(several, part)
            yield part
    except GeneratorExit:
        raise
    except BaseException as error:
        failed = error
        raise
    finally:
        _end_followed(found, several, failed)
        await parts.aclose()


def _end_followed(found: _Extracting, several: list[Any], error: BaseException | None) -> None:
    """The last part of one object, or all of several, or neither."""
    if not several and error is None:
        return
    value = several[-1] if several and found.is_partial else several
    if found.key is not None:
        found.done(value, error)
        return
    with plain_step(f"instructor {found.name}") as step:
        found.key = step.id
        found.done(value, error)


# --- on the writer's thread ---


def _record(assembler: Any, perf: int, found: _Extracting, value: Any, error: BaseException | None) -> None:
    run = assembler.code.found(found.key)
    step = None if run is None else run.step
    if step is None:
        return
    said = Extraction(
        schema_name=found.name,
        json_schema=_schema(found.schema),
        values=_values(value) if error is None else {"error": describe(error)},
        valid=error is None,
    ).model_dump()
    if error is None:
        step.extracted.append(said["values"])  # the node may report the same, and then it is one extraction
    at, began = step.turn.us(perf), step.turn.us(found.began)
    assembler._emit(build.extraction(step.turn.stream, at, step.step_id, said))
    payload = dict(said["values"])
    if found.n_attempts > 1 or found.failures:
        payload["attempts"] = {"count": found.n_attempts, "failed": found.failures}
    assembler._emit(
        build.event(
            step.turn.stream, began, step.step_id, EventKind.EXTRACTION, found.name, payload=payload,
            duration_us=at - began, error=None if error is None else str(error) or type(error).__name__,
            error_type=None if error is None else type(error).__name__,
        )
    )  # fmt: skip


def _schema(schema: Any) -> dict[str, Any]:
    try:
        return dict(schema.model_json_schema())
    except Exception:  # several models, or none of pydantic's
        return {}


def _values(value: Any) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, (list, tuple)):
        return {"items": [one.model_dump() if isinstance(one, BaseModel) else one for one in value]}
    return {"value": value}
