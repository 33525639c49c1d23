"""Structured data out of text: a Pydantic schema in, a validated instance out, and the trace told about it.

The work is Instructor's; a provider is chosen by its model string (`openai/gpt-4o-mini`, `anthropic/…`, `google/…`).
Instructor is imported when `Extractor.from_provider` is called.

Each call of the model, retries included, can be recorded with its tokens; an answer that never fitted the schema is
recorded too, as an invalid extraction with the text that came.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from .core import _call_scope
from .core._optional import require
from .core.errors import InvalidArgumentError
from .core.model import EventKind, Extraction, TokenUsage
from .llm import Messages
from .recorder import Recorder

__all__ = ["Attempt", "ExtractionResult", "Extractor"]

T = TypeVar("T", bound=BaseModel)
SUBTYPE = "extraction"
"""Of the events of the model calls that an extraction made."""


@dataclass
class Attempt:
    """One call of the model in the course of an extraction."""

    model: str = "llm"
    text: str = ""
    """What the model gave back: the arguments of its tool call, or its text."""
    tokens: TokenUsage | None = None
    duration_ms: float | None = None
    error: str | None = None
    """Why it did not fit the schema, or failed; None for the one that was taken."""
    error_type: str | None = None


@dataclass
class ExtractionResult(Generic[T]):
    """A validated instance, and what the trace should know of it."""

    value: T
    schema: type[T]
    attempts: list[Attempt] = field(default_factory=list)
    """Every model call that it took, in order; empty when the client does not tell."""

    @property
    def values(self) -> dict[str, Any]:
        """The instance as a plain dict."""
        return self.value.model_dump()

    def as_record(self) -> Extraction:
        """The record of it; as the state key `extraction`, return `result.as_record().model_dump()` from a node."""
        return Extraction(
            schema_name=self.schema.__name__, json_schema=self.schema.model_json_schema(), values=self.values
        )

    def as_llm_calls(self) -> list[dict[str, Any]]:
        """The model calls for the state key `llm_calls`."""
        return [_llm_call(one) for one in self.attempts if one.tokens is not None]


class Extractor:
    """Extracts Pydantic schemas through an Instructor client, sync or async."""

    def __init__(self, client: Any) -> None:
        """`client` has Instructor's `create(response_model=, messages=, …)`."""
        self._client = client

    @classmethod
    def from_provider(cls, model: str, *, async_client: bool = False, **kwargs: Any) -> Extractor:
        """An extractor for a model string as `openai/gpt-4o-mini`; `kwargs` go to `instructor.from_provider`."""
        instructor = require("instructor", feature="Extractor.from_provider", extra="extraction")
        return cls(instructor.from_provider(model, async_client=async_client, **kwargs))

    def extract(
        self, schema: type[T], messages: Messages, *, model: str | None = None, **kwargs: Any
    ) -> ExtractionResult[T]:
        """Extract `schema` from a text or chat messages.

        `model` and `kwargs` (max_retries, temperature …) go to the client, and what it raises is passed on.
        """
        return self._extract(schema, messages, model, kwargs, [])

    async def aextract(
        self, schema: type[T], messages: Messages, *, model: str | None = None, **kwargs: Any
    ) -> ExtractionResult[T]:
        """As `extract`, without blocking: a client that is not async is called in a thread."""
        return await self._aextract(schema, messages, model, kwargs, [])

    def extract_and_record(
        self,
        recorder: Recorder,
        step_id: str,
        schema: type[T],
        messages: Messages,
        *,
        model: str | None = None,
        **kwargs: Any,
    ) -> ExtractionResult[T]:
        """Extract, and record the model calls and the result with the step; a failure is recorded and then raised."""
        attempts: list[Attempt] = []
        try:
            with _call_scope.claim(SUBTYPE):
                result = self._extract(schema, messages, model, kwargs, attempts)
        except Exception as error:
            _record(recorder, step_id, attempts, invalid_extraction(schema, error, attempts))
            raise
        _record(recorder, step_id, attempts, result.as_record())
        return result

    async def aextract_and_record(
        self,
        recorder: Recorder,
        step_id: str,
        schema: type[T],
        messages: Messages,
        *,
        model: str | None = None,
        **kwargs: Any,
    ) -> ExtractionResult[T]:
        """As `extract_and_record`, without blocking."""
        attempts: list[Attempt] = []
        try:
            with _call_scope.claim(SUBTYPE):
                result = await self._aextract(schema, messages, model, kwargs, attempts)
        except Exception as error:
            _record(recorder, step_id, attempts, invalid_extraction(schema, error, attempts))
            raise
        _record(recorder, step_id, attempts, result.as_record())
        return result

    def _extract(
        self, schema: type[T], messages: Messages, model: str | None, more: dict[str, Any], attempts: list[Attempt]
    ) -> ExtractionResult[T]:
        value = self._client.create(**self._given(schema, messages, model, more, attempts))
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise InvalidArgumentError("this extractor's client is async: use `await extractor.aextract(…)`")
        return ExtractionResult(value, schema, attempts)

    async def _aextract(
        self, schema: type[T], messages: Messages, model: str | None, more: dict[str, Any], attempts: list[Attempt]
    ) -> ExtractionResult[T]:
        given = self._given(schema, messages, model, more, attempts)
        create = self._client.create
        if inspect.iscoroutinefunction(create) or type(self._client).__name__.startswith("Async"):
            value = create(**given)
        else:
            value = await asyncio.to_thread(lambda: create(**given))
        return ExtractionResult(await value if inspect.isawaitable(value) else value, schema, attempts)

    def _given(
        self, schema: type[T], messages: Messages, model: str | None, more: dict[str, Any], attempts: list[Attempt]
    ) -> dict[str, Any]:
        text = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        given: dict[str, Any] = {**more, "response_model": schema, "messages": text}
        if model is not None:
            given["model"] = model
        if "hooks" not in given and type(self._client).__module__.partition(".")[0] == "instructor":
            given["hooks"] = _watch(attempts)
        return given


def invalid_extraction(schema: type[BaseModel], error: BaseException, attempts: list[Attempt]) -> Extraction:
    """The record of an extraction that failed: not valid, with the last text that came and the error."""
    failed = next((one for one in reversed(attempts) if one.text), None)
    text = failed.text if failed is not None else _raw_text(getattr(error, "last_completion", None))
    said = (failed.error if failed is not None else None) or str(error) or type(error).__name__
    values = {"raw_text": text, "error": said}
    return Extraction(schema_name=schema.__name__, json_schema=schema.model_json_schema(), values=values, valid=False)


def _watch(attempts: list[Attempt]) -> Any:
    """Instructor hooks of one call that note each attempt."""
    hooks = require("instructor.core.hooks", feature="Extractor", extra="extraction").Hooks()
    began = [perf_counter()]

    def asked(*_: Any, **kwargs: Any) -> None:
        began[0] = perf_counter()
        attempts.append(Attempt(model=str(kwargs.get("model") or "llm")))

    def answered(response: Any) -> None:
        attempt = attempts[-1]
        attempt.duration_ms = (perf_counter() - began[0]) * 1000
        attempt.text, attempt.tokens = _raw_text(response), _usage(response)
        attempt.model = str(getattr(response, "model", None) or attempt.model)

    def failed(error: Exception, **_: Any) -> None:
        attempt = attempts[-1]
        attempt.error, attempt.error_type = str(error) or type(error).__name__, type(error).__name__

    on: Callable[[str, Callable[..., None]], None] = hooks.on
    on("completion:kwargs", asked)
    on("completion:response", answered)
    on("completion:error", failed)
    on("parse:error", failed)
    return hooks


def _record(recorder: Recorder, step_id: str, attempts: list[Attempt], extraction: Extraction) -> None:
    for one in attempts:
        recorder.record_event(
            step_id,
            EventKind.LLM_CALL,
            one.model,
            payload={"response": one.text},
            duration_ms=one.duration_ms,
            error=one.error,
            error_type=one.error_type,
            tokens=one.tokens,
            model=one.model,
            subtype=SUBTYPE,
        )
    recorder.record_extraction(step_id, extraction)


def _llm_call(attempt: Attempt) -> dict[str, Any]:
    tokens = attempt.tokens or TokenUsage()
    call: dict[str, Any] = {
        "name": attempt.model,
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.completion,
        "total_tokens": tokens.total,
        "duration_ms": attempt.duration_ms,
    }
    return {**call, "error": attempt.error} if attempt.error else call


def _usage(response: Any) -> TokenUsage | None:
    usage = getattr(response, "usage", None)
    if usage is None:
        return None
    counts = [
        next((value for name in names if isinstance(value := getattr(usage, name, None), int)), 0)
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"), ("total_tokens",))
    ]
    return TokenUsage(prompt=counts[0], completion=counts[1], total=counts[2])


def _raw_text(response: Any) -> str:
    """What a model said, out of a provider's response: tool arguments before text. Unknown shapes as their repr."""
    if response is None:
        return ""
    choices = getattr(response, "choices", None)
    if choices:
        message = choices[0].message
        calls = getattr(message, "tool_calls", None)
        return str(calls[0].function.arguments) if calls else str(getattr(message, "content", None) or "")
    blocks = getattr(response, "content", None)
    if isinstance(blocks, list):
        inputs = [json.dumps(block.input, default=str) for block in blocks if getattr(block, "input", None)]
        return "".join(inputs or [str(getattr(block, "text", "")) for block in blocks])
    text = getattr(response, "text", None)
    return text if isinstance(text, str) else repr(response)
