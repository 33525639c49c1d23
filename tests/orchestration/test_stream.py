"""Turns that tell what happens while it happens."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from ftnb.core.model import EngagementStatus, EventKind, StepStatus
from ftnb.orchestration import ResumeError, Workflow
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.orchestration.models import Scripted, State, asking, collect, events_of, one_step


async def test_events_come_in_order_and_end_with_the_turn(recorder: Recorder, store: SQLiteStore) -> None:
    wf, model = asking(), Scripted("hello you")
    begun = await collect(wf.stream({"messages": []}, recorder, thread_id="t", llm=model))
    assert [(e.kind, e.data) for e in begun] == [("step_started", {"node": "ask"}), ("paused", {"awaiting": "name"})]
    assert begun[-1].turn is not None
    assert begun[-1].turn.interrupt == {"card": "who are you?"}

    ended = await collect(wf.stream_resume("t", recorder, input="Ada", llm=model))
    assert [(e.kind, e.data) for e in ended] == [
        ("step_started", {"node": "ask"}),
        ("step_finished", {"node": "ask"}),
        ("step_started", {"node": "greet"}),
        ("token", {"text": "hel"}),
        ("token", {"text": "lo "}),
        ("token", {"text": "you"}),
        ("step_finished", {"node": "greet"}),
        ("completed", {}),
    ]
    assert [e.turn for e in ended[:-1]] == [None] * 7
    turn = ended[-1].turn
    assert turn is not None
    assert (turn.engagement_id, turn.token_usage.total) == (begun[-1].turn.engagement_id, 7)
    (call,) = events_of(store.get_engagement(turn.engagement_id), EventKind.LLM_CALL)
    assert call.payload["response"]["content"] == "hello you"
    assert call.ttft_ms is not None
    assert call.duration_ms is not None
    assert call.ttft_ms <= call.duration_ms


async def test_events_arrive_while_the_step_runs(recorder: Recorder) -> None:
    gate = asyncio.Event()

    async def step(state: State, ctx: Any) -> None:
        ctx.emit({"n": 1})
        await asyncio.wait_for(gate.wait(), 5)
        ctx.emit({"n": 2})

    stream = one_step(step).stream({"messages": []}, recorder, thread_id="t")
    seen = [await anext(stream), await anext(stream)]
    assert [event.kind for event in seen] == ["step_started", "emit"]
    gate.set()
    assert [event.kind async for event in stream] == ["emit", "step_finished", "completed"]


async def test_a_step_that_is_not_async_emits_too(recorder: Recorder) -> None:
    def step(state: State, ctx: Any) -> None:
        ctx.emit({"from": "a thread"})

    events = await collect(one_step(step).stream({"messages": []}, recorder, thread_id="t"))
    assert [(e.kind, e.data) for e in events[:-1]] == [
        ("step_started", {"node": "step"}),
        ("emit", {"from": "a thread"}),
        ("step_finished", {"node": "step"}),
    ]


async def test_without_a_stream_emit_and_stream_change_nothing(recorder: Recorder, store: SQLiteStore) -> None:
    class NoStream(Scripted):
        def astream(self, messages: Any, **overrides: Any) -> Any:
            raise AssertionError("not to be called")

    async def step(state: State, ctx: Any) -> dict[str, Any]:
        ctx.emit({"x": 1})
        return {"messages": [await ctx.llm("hi", stream=True)]}

    engagement_id = await one_step(step).run({"messages": []}, recorder, llm=NoStream("ok"))
    assert store.get_engagement(engagement_id).total_tokens == 7


async def test_a_client_that_cannot_stream_answers_at_once(recorder: Recorder) -> None:
    class Plain:
        acomplete = Scripted("whole").acomplete

    async def step(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.llm("hi", stream=True)]}

    Plain.acomplete.__self__.model = "plain"  # type: ignore[attr-defined]
    events = await collect(one_step(step).stream({"messages": []}, recorder, thread_id="t", llm=Plain()))
    assert [e.kind for e in events] == ["step_started", "step_finished", "completed"]
    assert events[-1].turn is not None
    assert events[-1].turn.token_usage.total == 7


async def test_a_stream_without_a_last_result_still_gives_its_text(recorder: Recorder, store: SQLiteStore) -> None:
    class OnlyText:
        async def acomplete(self, messages: Any, **overrides: Any) -> Any:
            raise AssertionError

        async def astream(self, messages: Any, **overrides: Any) -> Any:
            yield "a"
            yield "b"

    async def step(state: State, ctx: Any) -> dict[str, Any]:
        assert await ctx.llm("hi", stream=True) == "ab"
        return {}

    events = await collect(one_step(step).stream({"messages": []}, recorder, thread_id="t", llm=OnlyText()))
    assert events[-1].kind == "completed"


async def test_a_resume_error_comes_before_the_first_event(recorder: Recorder, store: SQLiteStore) -> None:
    wf = asking()
    with pytest.raises(ResumeError) as caught:
        await anext(wf.stream_resume("t", recorder, input=1))
    assert caught.value.reason == "no_resumable_engagement"
    await wf.start({"messages": []}, recorder, thread_id="t")
    with pytest.raises(ResumeError) as caught:
        await anext(wf.stream_resume("t", recorder, input=1, expect_awaiting="other"))
    assert caught.value.reason == "awaiting_mismatch"


async def test_what_a_step_raises_comes_out_of_the_stream(recorder: Recorder, store: SQLiteStore) -> None:
    async def step(state: State, ctx: Any) -> None:
        ctx.emit({"n": 1})
        raise ValueError("no such street")

    stream = one_step(step).stream({"messages": []}, recorder, thread_id="t")
    assert [(await anext(stream)).kind, (await anext(stream)).kind] == ["step_started", "emit"]
    with pytest.raises(ValueError, match="no such street"):
        await anext(stream)
    (summary,) = store.list_engagements()
    assert summary.status is EngagementStatus.FAILED


async def test_a_reader_that_leaves_cancels_the_turn(recorder: Recorder, store: SQLiteStore) -> None:
    cancelled = asyncio.Event()

    async def step(state: State, ctx: Any) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    stream = one_step(step).stream({"messages": []}, recorder, thread_id="t")
    await anext(stream)
    await stream.aclose()
    assert cancelled.is_set()
    (summary,) = store.list_engagements()
    engagement = store.get_engagement(summary.id)
    assert (engagement.status, engagement.error) == (EngagementStatus.ABANDONED, "cancelled before it ended")
    assert [step.status for step in engagement.steps] == [StepStatus.CANCELLED]


async def test_a_resume_that_was_cancelled_can_be_made_again(recorder: Recorder, store: SQLiteStore) -> None:
    wf = asking()

    class Slow(Scripted):
        async def acomplete(self, messages: Any, **overrides: Any) -> Any:
            await asyncio.sleep(30)

    async def ask_again(state: State, ctx: Any) -> dict[str, Any]:
        reply = await ctx.pause(awaiting="x")
        return {"messages": [reply, await ctx.llm("think")]}

    wf = one_step(ask_again)
    begun = await wf.start({"messages": []}, recorder, thread_id="t")
    stream = wf.stream_resume("t", recorder, input="yes", llm=Slow("never"))
    async for _ in stream:
        break
    await stream.aclose()
    assert store.get_engagement(begun.engagement_id).status is EngagementStatus.PAUSED

    turn = await wf.resume("t", recorder, input="yes", llm=Scripted("ok"))
    assert (turn.status, turn.engagement_id, turn.token_usage.total) == ("completed", begun.engagement_id, 7)
    engagement = store.get_engagement(begun.engagement_id)
    assert [(s.status, s.visit, s.attempt) for s in engagement.steps] == [
        (StepStatus.WAITING, 1, 1),
        (StepStatus.CANCELLED, 1, 2),
        (StepStatus.COMPLETED, 1, 3),
    ]
    assert engagement.total_tokens == 7


async def test_a_turn_right_after_a_stream_was_left(recorder: Recorder) -> None:
    async def step(state: State, ctx: Any) -> None:
        await asyncio.sleep(0.01)

    wf = one_step(step)
    async for _ in wf.stream({"messages": []}, recorder, thread_id="t"):
        break
    assert (await wf.start({"messages": []}, recorder, thread_id="t")).status == "completed"


async def test_cancelling_a_start_leaves_a_true_state(recorder: Recorder, store: SQLiteStore) -> None:
    wf = Workflow("late", state_schema=State)
    wf.step(lambda state: {}, name="quick")

    @wf.step
    async def slow(state: State) -> None:
        await asyncio.sleep(30)

    wf.entry("quick")
    wf.edge("quick", "slow")
    wf.finish("slow")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wf.start({"messages": []}, recorder, thread_id="t"), 0.5)
    (summary,) = store.list_engagements()
    assert (summary.status, summary.dropped_at) == (EngagementStatus.ABANDONED, "quick")


async def test_a_stream_leaves_its_callers_context_alone(recorder: Recorder) -> None:
    before = {**contextvars.copy_context()}
    stream = asking().stream({"messages": []}, recorder, thread_id="t")
    await anext(stream)
    between = {**contextvars.copy_context()}
    await stream.aclose()
    assert {key.name for key in between} - {key.name for key in before} == set()


async def test_streams_side_by_side_are_not_mixed(recorder: Recorder) -> None:
    async def step(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.llm("hi", stream=True)]}

    wf = one_step(step)

    async def one(n: int) -> str:
        events = await collect(wf.stream({"messages": []}, recorder, thread_id=f"t{n}", llm=Scripted(f"text {n}")))
        return "".join(e.data["text"] for e in events if e.kind == "token")

    assert await asyncio.gather(*(one(n) for n in range(30))) == [f"text {n}" for n in range(30)]
