"""What can be told about a step from inside it: calls, notes, extracted data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from types import TracebackType
from typing import Any
from uuid import uuid4

from pydantic import BaseModel

from ..core._call_scope import CallScope
from ..core.errors import InvalidArgumentError
from ..core.freeze import freeze
from ..core.model import TokenUsage
from ..langgraph_adapter import _events as events
from ..langgraph_adapter._capture import Capture
from ..langgraph_adapter._llm import Answer
from ..langgraph_adapter._place import PLACE, Place, place_in
from ..langgraph_adapter._scope import SCOPE
from ..store.draft import tokens_of

_UNSAID: Any = object()


class Call:
    """A call of a model or a tool inside a step, under way until its outcome is told.

    As a block, `with s.tool_call("search") as call:`, it is timed, ends with the block, and has failed when an
    exception leaves it; what LangChain calls inside belongs to it. An outcome that nobody tells stays unknown.
    """

    __slots__ = ("_before", "_is_over", "_is_tool", "_run_id", "_scope", "_step", "_target", "_to", "_until")

    def __init__(self, target: Capture | None, step: Any, *, is_tool: bool) -> None:
        self._target = target
        self._step = step
        self._run_id = uuid4()
        self._is_tool = is_tool
        self._is_over = False
        self._before: Place | None = None
        self._scope: CallScope | None = None
        self._to: int | None = None
        """When the first token came."""
        self._until: int | None = None
        """When it ended, where that was told; None: when its outcome is."""

    def token(self) -> None:
        """A streamed token arrived; only the first one's time is kept."""
        if self._to is None:
            self._to = perf_counter_ns()

    def answered(
        self,
        response: Any = None,
        *,
        tokens: TokenUsage | Mapping[str, int] | None = None,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        model: str | None = None,
    ) -> None:
        """The model answered: a text, or a message as `{"role", "content", …}`. `model` is the one that did."""
        usage = _tokens(tokens, prompt_tokens, completion_tokens)
        said = {"role": "assistant", "content": response} if isinstance(response, str) else freeze(response)[0]
        self._end(events.LLM_END, Answer(said, tokens_of(usage), model), self._to, *self._seen_below())

    def returned(self, result: Any) -> None:
        """The tool returned."""
        self._end(events.TOOL_END, freeze(result))

    def failed(self, error: BaseException | str) -> None:
        """It failed."""
        if self._is_tool:
            self._end(events.TOOL_ERROR, error)
        else:
            self._end(events.LLM_ERROR, error, self._to, *self._seen_below())

    def _seen_below(self) -> tuple[list[Any], ...]:
        """What an SDK or a span saw of the call, which is recorded here."""
        return (self._scope.inner,) if self._scope is not None and self._scope.inner else ()

    def _end(self, kind: int, *facts: Any) -> None:
        if self._target is not None and not self._is_over:
            self._is_over = True
            self._target.send(kind, self._until or perf_counter_ns(), self._run_id, *facts)

    def __enter__(self) -> Call:
        self._before = PLACE.get()
        place = None if self._target is None else place_in(SCOPE.get())
        if place is not None and place.key == self._step:
            PLACE.set(place._replace(key=self._run_id))
        if self._target is not None and not self._is_tool:
            self._scope = CallScope("plain").open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        PLACE.set(self._before)
        if self._scope is not None:
            self._scope.close()
        if error is not None:
            self.failed(error)
        elif self._is_tool:
            self.returned(None)
        else:
            self.answered()


class Inside:
    """Tells about the step with the run id `key`; it does nothing where nothing is recorded."""

    __slots__ = ("_key", "_target")

    def __init__(self, target: Capture | None, key: Any) -> None:
        self._target = target
        self._key = key

    def llm_call(
        self,
        model: str,
        *,
        messages: Sequence[Any] | str | None = None,
        response: Any = _UNSAID,
        tokens: TokenUsage | Mapping[str, int] | None = None,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        parameters: Mapping[str, Any] | None = None,
        provider: str | None = None,
        duration_ms: float | None = None,
        ttft_ms: float | None = None,
        error: BaseException | str | None = None,
    ) -> Call:
        """A model is called, or was: what is told of the outcome (`response`, tokens, `duration_ms`, `error`) ends it.

        `tokens` has the fields of `core.model.TokenUsage`: cached and reasoning tokens are parts of prompt and
        completion. `ttft_ms` is the time to the first streamed token.
        """
        _check_name(model, "a model's name")
        usage = _tokens(tokens, prompt_tokens, completion_tokens)
        call, began = self._call(duration_ms, is_tool=False)
        if call._target is not None:
            given = list(messages) if isinstance(messages, Sequence) and not isinstance(messages, str) else messages
            about = {"ls_model_name": model, "ls_provider": provider}
            settings = freeze(dict(parameters or {}))
            start = (began, call._run_id, self._key, model, given if given is not None else [], about, settings, None)
            call._target.send(events.LLM_START, *start)
            if ttft_ms is not None:
                call._to = began + round(ttft_ms * 1e6)
        if error is not None:
            call.failed(error)
        elif response is not _UNSAID or usage is not None or duration_ms is not None:
            call.answered(None if response is _UNSAID else response, tokens=usage)
        return call

    def tool_call(
        self,
        name: str,
        *,
        args: Any = None,
        result: Any = _UNSAID,
        call_id: str | None = None,
        duration_ms: float | None = None,
        error: BaseException | str | None = None,
    ) -> Call:
        """A tool is called, or was: `result`, `duration_ms` or `error` ends it."""
        _check_name(name, "a tool's name")
        call, began = self._call(duration_ms, is_tool=True)
        if call._target is not None:
            start = (began, call._run_id, self._key, name, freeze(args), call_id, None, None)
            call._target.send(events.TOOL_START, *start)
        if error is not None:
            call.failed(error)
        elif result is not _UNSAID or duration_ms is not None:
            call.returned(None if result is _UNSAID else result)
        return call

    def log(self, name: str, data: Any = None, /, **fields: Any) -> None:
        """Something worth noting: a name, and a value or named values."""
        _check_name(name, "the name of a note")
        if self._target is not None:
            said = {**data, **fields} if isinstance(data, Mapping) else {"value": data, **fields}
            payload = fields if data is None else said
            self._target.send(events.CUSTOM, perf_counter_ns(), self._key, name, freeze(payload), "custom")

    def extraction(
        self,
        values: BaseModel | Mapping[str, Any],
        *,
        schema_name: str | None = None,
        json_schema: Mapping[str, Any] | None = None,
        confidence: float | None = None,
        valid: bool = True,
    ) -> None:
        """Structured data was pulled: a pydantic object, or values and the name of their schema."""
        if isinstance(values, BaseModel):
            schema_name = schema_name or type(values).__name__
            json_schema = type(values).model_json_schema() if json_schema is None else json_schema
            values = values.model_dump()
        given: Any = values
        if not isinstance(given, Mapping) or not schema_name:
            raise InvalidArgumentError(
                "an extraction is a pydantic object, or a mapping with schema_name=…; "
                f"got {type(given).__name__} with schema_name={schema_name!r}"
            )
        if confidence is not None and not 0 <= confidence <= 1:
            raise InvalidArgumentError(f"confidence lies between 0 and 1; got {confidence!r}")
        if self._target is not None:
            fields = {
                "schema_name": schema_name,
                "json_schema": dict(json_schema or {}),
                "values": freeze(dict(given))[0],
                "confidence": confidence,
                "valid": valid,
            }
            self._target.send(events.EXTRACTED, perf_counter_ns(), self._key, fields)

    def _call(self, duration_ms: float | None, *, is_tool: bool) -> tuple[Call, int]:
        if duration_ms is not None and not duration_ms >= 0:
            raise InvalidArgumentError(f"duration_ms is a number of milliseconds, 0 or more; got {duration_ms!r}")
        now, call = perf_counter_ns(), Call(self._target, self._key, is_tool=is_tool)
        if duration_ms is None:
            return call, now
        call._until = now
        return call, now - round(duration_ms * 1e6)


def _check_name(name: Any, what: str) -> None:
    if not isinstance(name, str) or not name:
        raise InvalidArgumentError(f"{what} is a text that is not empty; got {name!r}")


def _tokens(tokens: TokenUsage | Mapping[str, int] | None, prompt: int, completion: int) -> TokenUsage | None:
    if tokens is None:
        return TokenUsage(prompt=prompt, completion=completion) if prompt or completion else None
    if isinstance(tokens, TokenUsage):
        return tokens
    given: Any = tokens
    known = TokenUsage.model_fields
    unknown = [str(key) for key in given if key not in known] if isinstance(given, Mapping) else [repr(given)]
    if unknown:
        raise InvalidArgumentError(
            f"tokens: not understood: {', '.join(unknown)}. It is a mapping with some of {', '.join(known)}"
        )
    return TokenUsage.model_validate(dict(given))
