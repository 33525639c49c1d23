"""Events inside steps: calls of models, tools and retrievers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.model import EventKind
from ..store import build
from ..store.draft import Draft
from . import _llm
from ._runs import CallRun, StepRun


class Calls:
    """Records calls when they end. Belongs to one assembler, and so to the writer's thread."""

    def __init__(self, emit: Callable[[Draft], None]) -> None:
        self._emit = emit

    def llm(self, step: StepRun, perf: int, name: str, messages: Any, metadata: Any, parameters: Any) -> CallRun:
        """A model was called with `messages`: chat messages, or one prompt text."""
        given, is_late = parameters or (None, False)
        call = CallRun(step.turn, step, step.graph, kind="llm", perf=perf, is_late=is_late)
        if isinstance(messages, _llm.Seen):
            call.seen = messages
            _, provider, call.model, call.subtype = messages.about()
            call.name, call.payload = call.model or name, {"provider": provider}
            return call
        call.name = str(metadata.get("ls_model_name") or (given or {}).get("model") or name)
        call.model = metadata.get("ls_model_name") or (given or {}).get("model") or (given or {}).get("model_name")
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if messages is None:
            call.payload = {}  # dropped, as the store does not keep up
        else:
            call.payload = {
                "messages": [_llm.message(one) for one in messages],
                "parameters": _llm.parameters(given),
            }
        if metadata.get("ls_provider"):
            call.payload["provider"] = metadata["ls_provider"]
        return call

    def llm_end(
        self, call: CallRun, perf: int, result: Any, first_token: int | None, inner: Sequence[_llm.Seen] = ()
    ) -> None:
        """The model answered. `inner`: the same call as layers below saw it."""
        answer = result if isinstance(result, _llm.Answer) else _llm.answer(result)
        call.name = (answer.model or call.name) if isinstance(result, _llm.Answer) else call.name
        call.payload["response"] = answer.response
        answer = _llm.completed(answer, inner)
        call.payload.update(answer.more)
        first_token = answer.first_token if first_token is None else first_token
        self._llm_event(call, perf, first_token, tokens=answer.tokens, model=answer.model or call.model)

    def seen_end(self, call: CallRun, perf: int | None, seen: _llm.Seen) -> None:
        """A call that no callback saw is over; `perf` None: as far as it got."""
        answer = seen.answer()
        messages, parameters, is_late = seen.asked()
        call.payload.update(messages=messages, parameters=parameters, response=answer.response)
        call.is_late = call.is_late or is_late
        error = answer.error_text or (None, None)
        if answer.error is not None:
            error = told(answer.error)  # type: ignore[assignment]
        call.payload.update(answer.more)
        raw = seen.raw()
        if raw is not None:
            call.payload["raw"] = raw
        fields = {
            "tokens": answer.tokens,
            "model": answer.model or call.model,
            "error": error[0],
            "error_type": error[1],
        }
        self._llm_event(call, perf, answer.first_token, **fields)

    def llm_error(
        self,
        call: CallRun,
        perf: int,
        error: BaseException,
        first_token: int | None,
        inner: Sequence[_llm.Seen] = (),
    ) -> None:
        """The call of the model failed."""
        message, kind = told(error)
        for one in inner:
            call.payload.update(one.answer().more)
        self._llm_event(call, perf, first_token, model=call.model, error=message, error_type=kind)

    def _llm_event(self, call: CallRun, perf: int | None, first_token: int | None, **fields: Any) -> None:
        if call.inner:
            if len(call.inner) == 1 and call.inner[0].tokens is None:
                call.inner[0].tokens = fields.get("tokens")  # still held, as it had none
            return
        ttft = None if first_token is None else (first_token - call.perf) // 1000
        draft = self._draft(call, EventKind.LLM_CALL, perf, ttft_us=ttft, subtype=call.subtype, **fields)
        if call.outer is not None:
            call.outer.inner.append(draft)
        if call.step is not None:
            call.step.calls.append(("llm", draft))
            # The node may report the tokens itself, where its graph has a key for that.
            reports = call.graph is not None and call.graph.reports_calls
            if draft.tokens is None and reports and "error" not in draft.body:
                call.step.held.append(draft)
                return
        self._emit(draft)

    def tool(
        self, step: StepRun, perf: int, name: str, given: Any, call_id: str | None, subtype: str | None
    ) -> CallRun:
        """A tool or, with the subtype `retriever`, a retriever was called."""
        arguments, is_late = given or (None, False)
        call = CallRun(step.turn, step, step.graph, kind=subtype or "tool", name=name, perf=perf, is_late=is_late)
        call.payload = {"query": arguments} if subtype == "retriever" else {"args": arguments}
        if call_id is not None:
            call.payload["call_id"] = call_id
        return call

    def tool_end(self, call: CallRun, perf: int, returned: Any) -> None:
        """The tool returned; a tool message that says so counts as an error."""
        output, is_late = returned or (None, False)
        call.is_late = call.is_late or is_late
        if call.kind == "retriever":
            call.payload["documents"], error = _llm.documents(output), None
        else:
            call.payload["result"], error = _llm.tool_result(output)
        self._tool_event(call, perf, error, None)

    def tool_error(self, call: CallRun, perf: int, error: BaseException) -> None:
        """The tool raised."""
        self._tool_event(call, perf, *told(error))

    def _tool_event(self, call: CallRun, perf: int, error: str | None, error_type: str | None) -> None:
        subtype = "retriever" if call.kind == "retriever" else None
        draft = self._draft(call, EventKind.TOOL_CALL, perf, subtype=subtype, error=error, error_type=error_type)
        if call.step is not None:
            call.step.calls.append(("tool", draft))
        self._emit(draft)

    def unended(self, call: CallRun) -> None:
        """The run around the call ended without it."""
        if call.seen is not None:
            self.seen_end(call, None, call.seen)
            return
        kind = EventKind.LLM_CALL if call.kind == "llm" else EventKind.TOOL_CALL
        self._emit(self._draft(call, kind, None, model=call.model))

    def _draft(self, call: CallRun, kind: EventKind, perf: int | None, **fields: Any) -> Draft:
        step_id = call.step.step_id if call.step is not None else ""
        turn = call.turn
        begun = turn.us(call.perf)
        duration = None if perf is None else turn.us(perf) - begun
        draft = build.event(
            turn.stream, begun, step_id, kind, call.name, payload=call.payload, duration_us=duration, **fields
        )
        if call.is_late:
            draft.body["late_bound"] = True
        return draft

    def log(self, step: StepRun, perf: int, name: str, payload: Any, subtype: str, frozen: Any) -> None:
        """The node told something itself."""
        turn = step.turn
        draft = build.event(
            turn.stream, turn.us(perf), step.step_id, EventKind.LOG, name, payload=payload, subtype=subtype
        )
        if frozen is not None and frozen[1]:
            draft.body["late_bound"] = True
        self._emit(draft)


def told(error: BaseException | str) -> tuple[str | None, str | None]:
    """Message and class of what a call raised; a text is a message. Control flow is no error."""
    if isinstance(error, str):
        return error or "failed", None
    if any(base.__name__ == "GraphBubbleUp" for base in type(error).__mro__):
        return None, None
    try:
        return str(error) or type(error).__name__, type(error).__name__
    except Exception:
        return type(error).__name__, type(error).__name__
