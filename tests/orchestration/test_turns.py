"""Conversations: pausing, resuming, and what stands between."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import interrupt

from ftnb.checkpoint import build_checkpointer
from ftnb.core.model import EngagementStatus, EventKind, StepStatus
from ftnb.orchestration import ResumeError, ThreadBusyError, Workflow
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.orchestration.models import Scripted, State, asking, events_of, one_step


async def test_a_pause_gives_its_card_and_a_resume_goes_on(recorder: Recorder, store: SQLiteStore) -> None:
    wf = asking()
    begun = await wf.start({"messages": []}, recorder, thread_id="t", llm=Scripted("hello"))
    assert (begun.status, begun.awaiting, begun.interrupt) == ("paused", "name", {"card": "who are you?"})
    assert store.get_engagement(begun.engagement_id).status is EngagementStatus.PAUSED

    ended = await wf.resume("t", recorder, input="Ada", llm=Scripted("hello"))
    assert (ended.status, ended.awaiting, ended.interrupt) == ("completed", None, None)
    assert ended.engagement_id == begun.engagement_id
    engagement = store.get_engagement(ended.engagement_id)
    assert engagement.status is EngagementStatus.COMPLETED
    assert [(s.name, s.status, s.visit, s.attempt, s.turn) for s in engagement.steps] == [
        ("ask", StepStatus.WAITING, 1, 1, 1),
        ("ask", StepStatus.COMPLETED, 1, 2, 2),
        ("greet", StepStatus.COMPLETED, 1, 1, 2),
    ]
    waited, answered, greeted = engagement.steps
    assert answered.routes == {waited.id: "resume"}
    assert greeted.routes == {answered.id: "static"}
    assert engagement.metadata == {"ft_thread_id": "t"}
    assert [one.id for one in store.list_engagements(where={"ft_thread_id": "t"})] == [engagement.id]


async def test_work_before_a_pause_is_counted_once_where_it_is_done_to_the_end(
    recorder: Recorder, store: SQLiteStore
) -> None:
    async def ask(state: State, ctx: Any) -> dict[str, Any]:
        await ctx.llm("before")
        return {"messages": [await ctx.pause(awaiting="x")]}

    wf, model = one_step(ask), Scripted("ok")
    begun = await wf.start({"messages": []}, recorder, thread_id="t", llm=model)
    assert begun.token_usage.total == 0
    ended = await wf.resume("t", recorder, input="y", llm=model)
    assert ended.token_usage.total == 7
    engagement = store.get_engagement(ended.engagement_id)
    assert engagement.total_tokens == 7
    assert [step.discarded_tokens for step in engagement.steps] == [7, 0]


async def test_several_pauses_in_one_step(recorder: Recorder) -> None:
    seen: list[Any] = []

    async def ask(state: State, ctx: Any) -> None:
        seen.append((await ctx.pause(awaiting="a"), await ctx.pause(awaiting="b")))

    wf = one_step(ask)
    assert (await wf.start({"messages": []}, recorder, thread_id="t")).awaiting == "a"
    assert (await wf.resume("t", recorder, input=1)).awaiting == "b"
    assert (await wf.resume("t", recorder, input={"two": 2})).status == "completed"
    assert seen == [(1, {"two": 2})]


async def test_steps_that_wait_side_by_side_are_answered_by_name(recorder: Recorder, store: SQLiteStore) -> None:
    wf = Workflow("parallel", state_schema=State)
    wf.step(lambda state: {}, name="fork")

    @wf.step
    async def left(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": ["left " + await ctx.pause(awaiting="l")]}

    @wf.step
    async def right(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": ["right " + await ctx.pause(awaiting="r")]}

    @wf.step
    def join(state: State) -> dict[str, Any]:
        return {"events": [{"kind": "log", "name": "said", "payload": {"said": sorted(state["messages"])}}]}

    wf.entry("fork")
    wf.edge("fork", "left")
    wf.edge("fork", "right")
    wf.edge("left", "join")
    wf.edge("right", "join")
    wf.finish("join")
    assert (await wf.start({"messages": []}, recorder, thread_id="t")).awaiting == "l"
    turn = await wf.resume("t", recorder, input="R", expect_awaiting="r")
    assert (turn.status, turn.awaiting) == ("paused", "l")
    turn = await wf.resume("t", recorder, input="L")
    assert turn.status == "completed"
    engagement = store.get_engagement(turn.engagement_id)
    (said,) = [e for e in events_of(engagement, EventKind.LOG) if e.name == "said"]
    assert said.payload == {"said": ["left L", "right R"]}
    assert {step.visit for step in engagement.steps} == {1}


async def test_langgraphs_own_interrupt_is_a_pause_too(recorder: Recorder) -> None:
    def ask(state: State) -> dict[str, Any]:
        return {"messages": [interrupt("sure?")]}

    wf = one_step(ask)
    turn = await wf.start({"messages": []}, recorder, thread_id="t")
    assert (turn.status, turn.awaiting, turn.interrupt) == ("paused", None, {"value": "sure?"})
    assert (await wf.resume("t", recorder, input="yes")).status == "completed"


async def test_a_pause_in_run_says_what_to_use_instead(recorder: Recorder, store: SQLiteStore) -> None:
    with pytest.raises(RuntimeError, match=r"in run\(\).*Use start\(\)"):
        await asking().run({"messages": []}, recorder)
    (summary,) = store.list_engagements()
    assert summary.status is EngagementStatus.FAILED


async def test_a_loop_of_pauses_is_one_paused_engagement(recorder: Recorder, store: SQLiteStore) -> None:
    wf = Workflow("session", state_schema=State)

    @wf.step
    async def listen(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.pause(awaiting="user")]}

    @wf.step
    async def answer(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.llm(state["messages"][-1])]}

    wf.entry("listen")
    wf.edge("listen", "answer")
    wf.edge("answer", "listen")
    begun = await wf.start({"messages": []}, recorder, thread_id="t", llm=Scripted("ok"))
    for n in range(3):
        turn = await wf.resume("t", recorder, input=f"question {n}", llm=Scripted("ok"))
        assert (turn.is_paused, turn.interrupt, turn.engagement_id) == (True, None, begun.engagement_id)
        assert turn.token_usage.total == 7
    engagement = store.get_engagement(begun.engagement_id)
    assert (engagement.status, engagement.n_turns, engagement.total_tokens) == (EngagementStatus.PAUSED, 4, 21)
    assert [(s.visit, s.attempt) for s in engagement.steps if s.name == "listen"] == [
        (1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1),
    ]  # fmt: skip


async def test_goals_are_judged_over_all_turns(recorder: Recorder, store: SQLiteStore) -> None:
    wf = asking(goal_nodes={"ask"})
    await wf.start({"messages": []}, recorder, thread_id="t", llm=Scripted("x"))
    turn = await wf.resume("t", recorder, input="Ada", llm=Scripted("x"))
    assert store.get_engagement(turn.engagement_id).status is EngagementStatus.COMPLETED

    missed = Workflow("missed", state_schema=State, goal_nodes={"never"})

    @missed.step
    async def ask(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.pause(awaiting="x")]}

    missed.step(lambda state: {}, name="never")
    missed.step(lambda state: {}, name="end")
    missed.entry("ask")
    missed.branch("ask", lambda state: "end", {"never": "never", "end": "end"})
    missed.finish("never")
    missed.finish("end")
    await missed.start({"messages": []}, recorder, thread_id="m")
    turn = await missed.resume("m", recorder, input=1)
    engagement = store.get_engagement(turn.engagement_id)
    assert (engagement.status, engagement.dropped_at) == (EngagementStatus.ABANDONED, "end")


async def test_start_begins_a_new_engagement_under_a_known_thread(recorder: Recorder, store: SQLiteStore) -> None:
    wf = asking()
    first = await wf.start({"messages": []}, recorder, thread_id="t", llm=Scripted("x"))
    second = await wf.start({"messages": []}, recorder, thread_id="t", llm=Scripted("x"))
    assert first.engagement_id != second.engagement_id
    ended = await wf.resume("t", recorder, input="x", llm=Scripted("x"))
    assert ended.engagement_id == second.engagement_id
    with pytest.raises(ResumeError) as caught:
        await wf.resume("t", recorder, input="x", llm=Scripted("x"))
    assert caught.value.reason == "no_resumable_engagement"


# --- what cannot be resumed ---


async def test_an_unknown_thread(recorder: Recorder, store: SQLiteStore) -> None:
    with pytest.raises(ResumeError, match=r"'nobody' has nothing to resume.*start it first") as caught:
        await asking().resume("nobody", recorder, input=1)
    assert (caught.value.reason, caught.value.thread_id) == ("no_resumable_engagement", "nobody")
    assert isinstance(caught.value, RuntimeError)
    assert store.list_engagements() == []


async def test_a_double_submit_after_the_end(recorder: Recorder, store: SQLiteStore) -> None:
    wf, model = asking(), Scripted("x")
    await wf.start({"messages": []}, recorder, thread_id="t", llm=model)
    ended = await wf.resume("t", recorder, input="Ada", llm=model)
    before = store.get_engagement(ended.engagement_id)
    with pytest.raises(ResumeError, match="is completed") as caught:
        await wf.resume("t", recorder, input="Ada", llm=model)
    assert caught.value.reason == "no_resumable_engagement"
    assert store.get_engagement(ended.engagement_id) == before


async def test_a_double_submit_at_the_same_time(recorder: Recorder, store: SQLiteStore) -> None:
    wf = Workflow("slow", state_schema=State)

    @wf.step
    async def ask(state: State, ctx: Any) -> dict[str, Any]:
        reply = await ctx.pause(awaiting="x")
        await asyncio.sleep(0.3)
        return {"messages": [reply, await ctx.llm("y")]}

    wf.entry("ask")
    wf.finish("ask")
    await wf.start({"messages": []}, recorder, thread_id="t")
    turns = (wf.resume("t", recorder, input=n, llm=Scripted("ok")) for n in range(2))
    won, lost = await asyncio.gather(*turns, return_exceptions=True)
    assert not isinstance(won, BaseException)
    assert isinstance(lost, ThreadBusyError)
    assert lost.reason == "not_paused"
    engagement = store.get_engagement(won.engagement_id)
    assert (won.token_usage.total, engagement.total_tokens) == (7, 7)
    assert [step.status for step in engagement.steps] == [StepStatus.WAITING, StepStatus.COMPLETED]


async def test_two_starts_of_one_thread_at_the_same_time(recorder: Recorder, store: SQLiteStore) -> None:
    async def slow(state: State) -> None:
        await asyncio.sleep(0.3)

    wf = one_step(slow)
    starts = (wf.start({"messages": []}, recorder, thread_id="t") for _ in range(2))
    won, lost = await asyncio.gather(*starts, return_exceptions=True)
    assert not isinstance(won, BaseException)
    assert isinstance(lost, ThreadBusyError)
    assert len(store.list_engagements()) == 1


async def test_a_stale_reply_is_not_delivered(recorder: Recorder, store: SQLiteStore) -> None:
    wf = asking()
    begun = await wf.start({"messages": []}, recorder, thread_id="t", llm=Scripted("x"))
    before = store.get_engagement(begun.engagement_id)
    with pytest.raises(ResumeError, match="waits for 'name', not for 'area'") as caught:
        await wf.resume("t", recorder, input="Ada", expect_awaiting="area")
    assert caught.value.reason == "awaiting_mismatch"
    assert store.get_engagement(begun.engagement_id) == before
    assert (
        await wf.resume("t", recorder, input="Ada", expect_awaiting="name", llm=Scripted("x"))
    ).status == "completed"


async def test_a_lost_checkpoint_is_told(recorder: Recorder) -> None:
    await asking().start({"messages": []}, recorder, thread_id="t")
    with pytest.raises(ResumeError, match="one in memory is lost with its process") as caught:
        await asking().resume("t", recorder, input="Ada")
    assert caught.value.reason == "not_paused"


async def test_resume_or_start(recorder: Recorder) -> None:
    wf, model = asking(), Scripted("x")

    async def handle(text: str) -> str:
        try:
            return (await wf.resume("t", recorder, input=text, llm=model)).status
        except ResumeError as error:
            if error.reason != "no_resumable_engagement":
                raise
            return (await wf.start({"messages": [text]}, recorder, thread_id="t", llm=model)).status

    assert [await handle("a") for _ in range(4)] == ["paused", "completed", "paused", "completed"]


# --- other processes ---

PROCESS = """
import asyncio, sys
from ftnb.checkpoint import build_checkpointer
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.orchestration.models import Scripted, asking
saver = build_checkpointer({backend!r}, **{where!r})
recorder = Recorder(SQLiteStore({store!r}))
wf = asking(checkpointer=saver)
if sys.argv[1] == "start":
    turn = asyncio.run(wf.start({{"messages": []}}, recorder, thread_id="t", llm=Scripted("x")))
else:
    turn = asyncio.run(wf.resume("t", recorder, input="Ada", llm=Scripted("x")))
print(turn.status, turn.engagement_id)
saver.close()
"""


def run_turns(backend: str, where: dict[str, str], store: Path) -> list[list[str]]:
    code = PROCESS.format(backend=backend, where=where, store=str(store))
    root = str(Path(__file__).parents[2])
    said = []
    for verb in ("start", "resume"):
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code), verb],
            capture_output=True, text=True, check=False, cwd=root, env={**os.environ, "PYTHONPATH": root},
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        said.append(run.stdout.split())
    return said


def check_turns(said: list[list[str]], path: Path) -> None:
    (begun, first), (ended, second) = said
    assert (begun, ended, first) == ("paused", "completed", second)
    store = SQLiteStore(path)
    engagement = store.get_engagement(first)
    store.close()
    assert [(s.name, s.visit, s.attempt, s.turn) for s in engagement.steps] == [
        ("ask", 1, 1, 1),
        ("ask", 1, 2, 2),
        ("greet", 1, 1, 2),
    ]
    assert engagement.steps[1].routes == {engagement.steps[0].id: "resume"}
    assert (engagement.n_turns, engagement.total_tokens) == (2, 7)


def test_another_process_resumes_through_sqlite(tmp_path: Path) -> None:
    said = run_turns("sqlite", {"path": str(tmp_path / "checkpoints.db")}, tmp_path / "traces.db")
    check_turns(said, tmp_path / "traces.db")


def test_one_workflow_serves_several_loops(tmp_path: Path, recorder: Recorder) -> None:
    saver = build_checkpointer("sqlite", path=tmp_path / "checkpoints.db")
    wf = asking(checkpointer=saver)
    asyncio.run(wf.start({"messages": []}, recorder, thread_id="t", llm=Scripted("x")))
    turn = asyncio.run(wf.resume("t", recorder, input="Ada", llm=Scripted("x")))
    saver.close()
    assert turn.status == "completed"


async def test_conversations_side_by_side_are_not_mixed(recorder: Recorder, store: SQLiteStore) -> None:
    wf = asking()

    async def talk(n: int) -> str:
        begun = await wf.start({"messages": []}, recorder, thread_id=f"t{n}", llm=Scripted("x"), metadata={"n": n})
        ended = await wf.resume(f"t{n}", recorder, input=n, llm=Scripted(f"hello {n}"))
        assert begun.engagement_id == ended.engagement_id
        assert ended.token_usage.total == 7
        return ended.engagement_id

    ids = await asyncio.gather(*(talk(n) for n in range(50)))
    for n, engagement_id in enumerate(ids):
        engagement = store.get_engagement(engagement_id)
        assert engagement.metadata == {"ft_thread_id": f"t{n}", "n": n}
        assert [step.name for step in engagement.steps] == ["ask", "ask", "greet"]
        (call,) = events_of(engagement, EventKind.LLM_CALL)
        assert call.payload["response"]["content"] == f"hello {n}"


async def test_a_checkpointer_of_the_call_comes_first(recorder: Recorder) -> None:
    own, other = build_checkpointer("memory"), build_checkpointer("memory")
    wf = asking(checkpointer=own)
    await wf.start({"messages": []}, recorder, thread_id="t", checkpointer=other)
    with pytest.raises(ResumeError):
        await wf.resume("t", recorder, input=1, llm=Scripted("x"))
    turn = await wf.resume("t", recorder, input=1, checkpointer=other, llm=Scripted("x"))
    assert turn.status == "completed"


async def test_the_trace_holds_what_was_asked_and_answered(recorder: Recorder, store: SQLiteStore) -> None:
    wf = asking()
    await wf.start({"messages": []}, recorder, thread_id="t", llm=Scripted("x"))
    turn = await wf.resume("t", recorder, input={"text": "Ada"}, llm=Scripted("x"))
    logs = events_of(store.get_engagement(turn.engagement_id), EventKind.LOG)
    assert [log.name for log in logs] == ["interrupt", "resume"]
    assert logs[0].payload["value"] == {"awaiting": "name", "payload": {"card": "who are you?"}}
    assert logs[1].payload == {"value": {"text": "Ada"}}
