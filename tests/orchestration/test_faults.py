"""Providers that fail: one clear error, a true state, and no token counted twice."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from ftnb.core.errors import LLMError
from ftnb.core.model import EngagementStatus, EventKind, StepStatus, TokenUsage
from ftnb.llm import LLMResult
from ftnb.orchestration import ResumeError, Workflow
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.orchestration.models import COST, Scripted, State, asking, events_of, one_step


async def talk(state: State, ctx: Any) -> dict[str, Any]:
    return {"messages": [await ctx.llm("first"), await ctx.llm("second")]}


async def test_a_provider_that_fails(recorder: Recorder, store: SQLiteStore) -> None:
    with pytest.raises(ConnectionError, match="provider is down"):
        await one_step(talk).run({"messages": []}, recorder, llm=Scripted("ok", ConnectionError("provider is down")))
    (summary,) = store.list_engagements()
    engagement = store.get_engagement(summary.id)
    assert (engagement.status, engagement.error) == (EngagementStatus.FAILED, "ConnectionError: provider is down")
    (step,) = engagement.steps
    assert (step.status, step.error_type) == (StepStatus.FAILED, "ConnectionError")
    good, bad = [event for event in step.events if event.kind is EventKind.LLM_CALL]
    assert (good.error, bad.error, bad.tokens) == (None, "provider is down", None)
    assert engagement.total_tokens == 7


async def test_a_provider_that_hangs(recorder: Recorder, store: SQLiteStore) -> None:
    class Hanging:
        model = "hanging"

        async def acomplete(self, messages: Any, **overrides: Any) -> Any:
            await asyncio.sleep(30)

    began = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"hanging gave no answer within 0\.1 s"):
        await one_step(talk, llm_timeout=0.1).run({"messages": []}, recorder, llm=Hanging())
    assert time.perf_counter() - began < 5
    (summary,) = store.list_engagements()
    assert summary.status is EngagementStatus.FAILED
    (call,) = events_of(store.get_engagement(summary.id), EventKind.LLM_CALL)
    assert call.error == "hanging gave no answer within 0.1 s"


async def test_a_provider_that_returns_nothing(recorder: Recorder, store: SQLiteStore) -> None:
    with pytest.raises(LLMError, match=r"returned None; it must return an ftnb\.llm\.LLMResult"):
        await one_step(talk).run({"messages": []}, recorder, llm=Scripted(None))
    (summary,) = store.list_engagements()
    (call,) = events_of(store.get_engagement(summary.id), EventKind.LLM_CALL)
    assert call.error is not None
    assert summary.status is EngagementStatus.FAILED


async def test_an_answer_without_text_is_paid_for_and_told(recorder: Recorder, store: SQLiteStore) -> None:
    class Filtered:
        async def acomplete(self, messages: Any, **overrides: Any) -> LLMResult:
            return LLMResult(None, COST, "filtered")  # type: ignore[arg-type]

    with pytest.raises(LLMError, match="answered without any text"):
        await one_step(talk).run({"messages": []}, recorder, llm=Filtered())
    (summary,) = store.list_engagements()
    assert store.get_engagement(summary.id).total_tokens == 7


async def test_a_stream_that_gives_nothing(recorder: Recorder) -> None:
    class Mute(Scripted):
        async def astream(self, messages: Any, **overrides: Any) -> Any:
            return
            yield

    async def say(state: State, ctx: Any) -> None:
        await ctx.llm("x", stream=True)

    with pytest.raises(LLMError, match="gave nothing at all"):
        async for _ in one_step(say).stream({"messages": []}, recorder, thread_id="t", llm=Mute("x")):
            pass


async def test_a_result_of_any_shape_that_tells_its_cost(recorder: Recorder, store: SQLiteStore) -> None:
    class Own:
        text = "mine"

        def as_llm_call(self) -> dict[str, Any]:
            return {"name": "own/model", "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}

    class Client:
        async def acomplete(self, messages: Any, **overrides: Any) -> Any:
            return Own()

    engagement_id = await one_step(talk).run({"messages": []}, recorder, llm=Client())
    calls = events_of(store.get_engagement(engagement_id), EventKind.LLM_CALL)
    assert [(call.name, call.tokens) for call in calls] == [
        ("own/model", TokenUsage(prompt=1, completion=2, total=3))
    ] * 2


async def test_a_failed_turn_ends_the_conversation_and_a_new_one_can_begin(
    recorder: Recorder, store: SQLiteStore
) -> None:
    wf = asking()
    begun = await wf.start({"messages": []}, recorder, thread_id="t")
    with pytest.raises(ConnectionError):
        await wf.resume("t", recorder, input="Ada", llm=Scripted(ConnectionError("down")))
    engagement = store.get_engagement(begun.engagement_id)
    assert (engagement.status, engagement.dropped_at) == (EngagementStatus.FAILED, "ask")
    with pytest.raises(ResumeError, match="is failed") as caught:
        await wf.resume("t", recorder, input="Ada", llm=Scripted("x"))
    assert caught.value.reason == "no_resumable_engagement"
    again = await wf.start({"messages": []}, recorder, thread_id="t")
    assert again.is_paused
    assert again.engagement_id != begun.engagement_id


async def test_recording_that_fails_does_not_stop_the_workflow() -> None:
    class Broken(SQLiteStore):
        def commit(self, batch: Any) -> None:
            raise OSError("disk full")

    store = Broken()
    recorder = Recorder(store)
    assert await one_step(talk).run({"messages": []}, recorder, llm=Scripted("ok"))
    recorder.close(0.1)


async def test_a_step_that_returns_nonsense_fails_clearly(recorder: Recorder, store: SQLiteStore) -> None:
    wf = Workflow("w", state_schema=State)
    wf.step(lambda state: "text", name="only")
    wf.entry("only")
    wf.finish("only")
    with pytest.raises(Exception, match="Expected dict"):
        await wf.run({"messages": []}, recorder)
    (summary,) = store.list_engagements()
    assert summary.status is EngagementStatus.FAILED
