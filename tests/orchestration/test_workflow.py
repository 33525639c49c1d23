"""Declaring, compiling and running workflows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from operator import add
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, MessagesState
from langgraph.types import Command
from pydantic import BaseModel

import ftnb
from ftnb.core.model import EngagementStatus, EventKind, StepStatus
from ftnb.langgraph_adapter import run_instrumented
from ftnb.llm import LLMResult
from ftnb.orchestration import Workflow, WorkflowError
from ftnb.recorder import Recorder
from ftnb.registry import REGISTER
from ftnb.store.sqlite import SQLiteStore
from tests.orchestration.models import COST, Scripted, State, events_of, one_step


def two_steps(**options: Any) -> Workflow:
    wf = Workflow("two", state_schema=State, **options)

    @wf.step(tools=["look"])
    def first(state: State) -> dict[str, Any]:
        return {"messages": ["one"]}

    @wf.step
    async def second(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": ["two"]}

    wf.entry("first")
    wf.edge("first", "second")
    wf.finish("second")
    return wf


# --- what cannot work is told when it is compiled ---


def test_an_edge_to_an_unknown_step_names_the_steps_there_are() -> None:
    wf = two_steps()
    wf.edge("second", "frist")
    with pytest.raises(WorkflowError, match=r"no step 'frist'; steps: first, second\. Did you mean 'first'\?"):
        wf.compile()


@pytest.mark.parametrize("where", ["branch", "finish", "goal", "entry", "source"])
def test_every_unknown_name_is_told(where: str) -> None:
    wf = two_steps(goal_nodes={"nowhere"} if where == "goal" else ())
    if where == "branch":
        wf.branch("second", lambda state: "x", {"x": "nowhere"})
    elif where == "finish":
        wf.finish("nowhere")
    elif where == "source":
        wf.edge("nowhere", "first")
    elif where == "entry":
        wf = Workflow("two", state_schema=State)
        wf.step(lambda state: {}, name="first")
        wf.entry("nowhere")
    with pytest.raises(WorkflowError, match="no step 'nowhere'; steps: first"):
        wf.compile()


def test_a_workflow_needs_steps_and_one_entry() -> None:
    wf = Workflow("empty", state_schema=State)
    with pytest.raises(WorkflowError, match="no steps"):
        wf.compile()
    wf.step(lambda state: {}, name="a")
    with pytest.raises(WorkflowError, match=r"no entry; call wf\.entry.* one of: a"):
        wf.compile()
    wf.step(lambda state: {}, name="b")
    wf.entry("a")
    wf.entry("b")
    with pytest.raises(WorkflowError, match="several entries, a, b"):
        wf.compile()


def test_a_step_that_no_way_leads_to_is_told() -> None:
    wf = two_steps()
    wf.step(lambda state: {}, name="island")
    with pytest.raises(WorkflowError, match="from the entry 'first' to 'island'"):
        wf.compile()


def test_a_global_step_may_be_entered_from_anywhere() -> None:
    wf = two_steps()

    @wf.global_step
    def escalate(state: State) -> dict[str, Any]:
        return {}

    assert wf.compile() is wf.compile()
    assert wf.global_nodes == {"escalate"}


def test_doubled_declarations_are_told() -> None:
    wf = two_steps()
    wf.edge("first", "second")
    with pytest.raises(WorkflowError, match="'first' -> 'second' twice"):
        wf.compile()

    other = two_steps()
    other.step(lambda state: {}, name="first")
    with pytest.raises(WorkflowError, match="two steps named 'first'"):
        other.compile()


async def test_a_cell_that_is_run_again_replaces_its_step(recorder: Recorder, store: SQLiteStore) -> None:
    wf = Workflow("cells", state_schema=State)
    for number, version in enumerate(("old", "new")):
        cell = f"@wf.step\ndef only(state):\n    return {{'messages': ['{version}']}}"
        exec(compile(cell, f"<cell {number}>", "exec"), {"wf": wf})
    wf.entry("only")
    wf.finish("only")
    result = await wf.compile().ainvoke({"messages": []})
    assert result["messages"] == ["new"]


def test_a_bound_below_one_round_is_refused() -> None:
    wf = Workflow("w", state_schema=State)
    with pytest.raises(ftnb.InvalidArgumentError, match="max_iterations=0"):
        wf.agent_step(tools=[], max_iterations=0)


# --- the graph ---


def test_the_compiled_graph_is_an_ordinary_one() -> None:
    wf = Workflow("plain", state_schema=State)

    @wf.step
    def double(state: State) -> dict[str, Any]:
        return {"messages": [m * 2 for m in state["messages"]]}

    wf.entry("double")
    wf.finish("double")
    graph = wf.compile()
    assert graph.invoke({"messages": [2]})["messages"] == [2, 4]
    assert [list(chunk) for chunk in graph.stream({"messages": [1]})] == [["double"]]
    assert graph.get_graph().nodes.keys() >= {"double"}


async def test_its_steps_use_the_default_model_and_are_recorded(recorder: Recorder, store: SQLiteStore) -> None:
    async def talk(state: State, ctx: Any) -> dict[str, Any]:
        ctx.emit({"card": 1})
        return {"messages": [await ctx.llm("hi")], "deps": ctx.deps}

    REGISTER.set_llm_provider(Scripted("hello"))
    engagement_id = await run_instrumented(one_step(talk).compile(), {"messages": []}, recorder)
    (call,) = events_of(store.get_engagement(engagement_id), EventKind.LLM_CALL)
    assert call.tokens is not None
    assert (call.tokens.total, call.payload["response"]["content"]) == (7, "hello")


async def test_langgraphs_own_parameters_reach_a_step(recorder: Recorder) -> None:
    seen: dict[str, Any] = {}

    async def step(state: State, ctx: Any, config: RunnableConfig) -> dict[str, Any]:
        seen.update(config["configurable"], deps=ctx.deps)
        return {}

    config = {"configurable": {"tenant": "t-1"}}
    await one_step(step).run({"messages": []}, recorder, deps={"who": "x"}, config=config)
    assert seen["tenant"] == "t-1"
    assert seen["deps"] == {"who": "x"}


async def test_a_step_sees_the_part_of_the_state_that_it_asks_for(recorder: Recorder) -> None:
    seen: list[Any] = []

    class Part(TypedDict):
        area: str

    class Whole(Part):
        secret: str

    def step(state: Part) -> None:
        seen.append(dict(state))

    # Type hints that only this function's scope knows cannot be read; then the step sees all.
    step.__annotations__ = {"state": Part}
    wf = Workflow("part", state_schema=Whole)
    wf.step(step)
    wf.entry("step")
    wf.finish("step")
    await wf.run({"area": "a", "secret": "s"}, recorder)
    assert seen == [{"area": "a"}]


async def test_a_command_may_go_to_declared_steps(recorder: Recorder, store: SQLiteStore) -> None:
    wf = Workflow("goto", state_schema=State)

    @wf.step
    def choose(state: State) -> Command[Literal["left", "right"]]:
        return Command(goto="right", update={"messages": ["right"]})

    wf.step(lambda state: {}, name="left")
    wf.step(lambda state: {}, name="right")
    wf.entry("choose")
    wf.finish("left")
    wf.finish("right")
    engagement_id = await wf.run({"messages": []}, recorder)
    engagement = store.get_engagement(engagement_id)
    assert [step.name for step in engagement.steps] == ["choose", "right"]
    assert {edge.target for edge in engagement.topology.edges} == {"left", "right"}


def test_a_notebook_shows_the_graph_and_survives_a_wrong_one() -> None:
    shown = two_steps()._repr_mimebundle_()
    assert "first" in shown["text/html"]
    assert "<svg" in shown["text/html"]
    assert "<b>two</b>: 2 steps" in shown["text/html"]
    broken = Workflow("broken", state_schema=State)
    assert "no steps" in broken._repr_mimebundle_()["text/plain"]


def test_importing_it_imports_no_langgraph() -> None:
    code = (
        "import sys; import ftnb.orchestration, ftnb.llm, ftnb.agent, ftnb.extraction, ftnb.checkpoint, ftnb.registry\n"
        "print(sorted({'langgraph', 'langchain_core', 'litellm', 'instructor', 'ipywidgets'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# --- running ---


async def test_a_run_is_one_engagement_with_what_was_declared(recorder: Recorder, store: SQLiteStore) -> None:
    wf = two_steps(goal_nodes={"second"})
    engagement_id = await wf.run({"messages": []}, recorder, metadata={"user_id": "u1"})
    engagement = store.get_engagement(engagement_id)
    assert (engagement.name, engagement.status) == ("two", EngagementStatus.COMPLETED)
    assert engagement.metadata == {"user_id": "u1"}
    assert engagement.goal_nodes == ["second"]
    assert [(step.name, step.status) for step in engagement.steps] == [
        ("first", StepStatus.COMPLETED),
        ("second", StepStatus.COMPLETED),
    ]
    assert engagement.steps[0].tools_available == ["look"]
    assert len(store.list_engagements()) == 1


async def test_an_explicit_recorder_keeps_the_sessions_silent(tmp_path: Any, recorder: Recorder) -> None:
    ftnb.start(tmp_path / "ambient.db")
    try:
        await two_steps().run({"messages": []}, recorder)
    finally:
        ftnb.stop()
    assert ftnb.open(tmp_path / "ambient.db").engagements().height == 0
    assert len(recorder.store.list_engagements()) == 1


async def test_without_a_recorder_the_sessions_is_used_or_the_error_says_what_to_do(tmp_path: Any) -> None:
    with pytest.raises(ftnb.InvalidArgumentError, match=r"REGISTER\.set_recorder.*ftnb\.start"):
        await two_steps().run({"messages": []})
    ftnb.start(tmp_path / "traces.db")
    try:
        engagement_id = await two_steps().run({"messages": []})
    finally:
        ftnb.stop()
    assert ftnb.open(tmp_path / "traces.db").engagement(engagement_id).status == "completed"


async def test_the_nearest_model_answers(recorder: Recorder, store: SQLiteStore) -> None:
    async def talk(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.llm("hi")]}

    async def answer(wf: Workflow, **options: Any) -> str:
        engagement_id = await wf.run({"messages": []}, recorder, **options)
        (call,) = events_of(store.get_engagement(engagement_id), EventKind.LLM_CALL)
        return str(call.payload["response"]["content"])

    with pytest.raises(ftnb.FtnbError, match=r"no language model.*REGISTER\.set_llm_provider"):
        await one_step(talk).run({"messages": []}, recorder)
    REGISTER.set_llm_provider(Scripted("registry"))
    assert await answer(one_step(talk)) == "registry"
    assert await answer(one_step(talk, llm=Scripted("workflow"))) == "workflow"
    assert await answer(one_step(talk, llm=Scripted("workflow")), llm=Scripted("run")) == "run"


async def test_messages_of_the_state_can_be_the_prompt(recorder: Recorder) -> None:
    async def talk(state: State, ctx: Any) -> None:
        await ctx.llm(state["messages"])

    model = Scripted("ok")
    given = [HumanMessage("hi"), AIMessage("hello"), "so?"]
    await one_step(talk).run({"messages": given}, recorder, llm=model)
    assert model.seen == [
        [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "user", "content": "so?"},
        ]
    ]


@pytest.mark.parametrize("kind", ["pydantic", "dataclass", "messages"])
async def test_every_kind_of_state_that_langgraph_takes(recorder: Recorder, store: SQLiteStore, kind: str) -> None:
    class Model(BaseModel):
        messages: Annotated[list[Any], add] = []

    @dataclass
    class Data:
        messages: Annotated[list[Any], add] = field(default_factory=list)

    schema: Any = {"pydantic": Model, "dataclass": Data, "messages": MessagesState}[kind]
    wf = Workflow("w", state_schema=schema)

    @wf.step
    async def ask(state: Any, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.pause(awaiting="x")]}

    wf.entry("ask")
    wf.finish("ask")
    assert (await wf.start({"messages": []}, recorder, thread_id="t")).is_paused
    turn = await wf.resume("t", recorder, input="yes")
    assert turn.status == "completed"
    assert len(store.get_engagement(turn.engagement_id).steps) == 2


async def test_edges_and_branches_may_lead_to_the_end(recorder: Recorder, store: SQLiteStore) -> None:
    wf = Workflow("w", state_schema=State)
    wf.step(lambda state: {}, name="a")
    wf.step(lambda state: {}, name="b")
    wf.entry("a")
    wf.branch("a", lambda state: "stop", {"stop": END, "go": "b"})
    wf.edge("b", END)
    engagement = store.get_engagement(await wf.run({"messages": []}, recorder))
    assert [step.name for step in engagement.steps] == ["a"]
    wf.finish(END)
    with pytest.raises(WorkflowError, match="'__end__' is no step"):
        wf.compile()


async def test_overrides_reach_the_client(recorder: Recorder) -> None:
    async def talk(state: State, ctx: Any) -> None:
        await ctx.llm("hi", model="other", temperature=0)

    model = Scripted("ok")
    await one_step(talk).run({"messages": []}, recorder, llm=model)
    assert model.overrides == [{"model": "other", "temperature": 0}]


async def test_a_langchain_model_is_a_client_and_its_call_is_one_event(recorder: Recorder, store: SQLiteStore) -> None:
    async def talk(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.llm("hi")]}

    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    model = GenericFakeChatModel(messages=iter([AIMessage("hello", usage_metadata=usage)]))
    engagement_id = await one_step(talk).run({"messages": []}, recorder, llm=model)
    engagement = store.get_engagement(engagement_id)
    assert len(events_of(engagement, EventKind.LLM_CALL)) == 1
    assert engagement.total_tokens == 5


async def test_a_client_that_wraps_a_model_without_usage_adds_its_tokens(
    recorder: Recorder, store: SQLiteStore
) -> None:
    inner = GenericFakeChatModel(messages=iter([AIMessage("hello")]))

    class Metered(Scripted):
        async def acomplete(self, messages: Any, **overrides: Any) -> Any:
            await inner.ainvoke(messages)
            return await super().acomplete(messages, **overrides)

    async def talk(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.llm("hi")]}

    engagement_id = await one_step(talk).run({"messages": []}, recorder, llm=Metered("x"))
    (call,) = events_of(store.get_engagement(engagement_id), EventKind.LLM_CALL)
    assert call.tokens is not None
    assert call.tokens.total == 7


async def test_a_call_told_twice_is_one_event(recorder: Recorder, store: SQLiteStore) -> None:
    """Through ctx.llm, and again in the state key that other nodes use to tell."""
    model = Scripted("ok")

    async def talk(state: State, ctx: Any) -> dict[str, Any]:
        text = await ctx.llm("hi")
        told = {"name": "scripted", "prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
        return {"messages": [text], "llm_calls": [told]}

    engagement_id = await one_step(talk).run({"messages": []}, recorder, llm=model)
    assert store.get_engagement(engagement_id).total_tokens == 7


async def test_extraction_through_the_runs_own_model(recorder: Recorder, store: SQLiteStore) -> None:
    class Budget(BaseModel):
        budget: int
        area: str

    async def criteria(state: State, ctx: Any) -> dict[str, Any]:
        raw = await ctx.llm(f"As JSON of {Budget.model_json_schema()}: {state['messages'][-1]}")
        return {"extraction": {"schema_name": "Budget", "values": Budget.model_validate_json(raw).model_dump()}}

    model = Scripted('{"budget": 95000, "area": "Shibuya"}')
    engagement_id = await one_step(criteria).run({"messages": ["Shibuya, 95k"]}, recorder, llm=model)
    (step,) = store.get_engagement(engagement_id).steps
    assert step.extraction is not None
    assert (step.extraction.values, step.total_tokens) == ({"budget": 95000, "area": "Shibuya"}, 7)


async def test_a_blocking_sdk_in_a_thread(recorder: Recorder, store: SQLiteStore) -> None:
    where: list[int] = []

    class Blocking(Scripted):
        def ask(self) -> LLMResult:
            where.append(threading.get_ident())
            return LLMResult("slow", COST, "sdk")

        async def acomplete(self, messages: Any, **overrides: Any) -> Any:
            return await asyncio.to_thread(self.ask)

    async def talk(state: State, ctx: Any) -> dict[str, Any]:
        return {"messages": [await ctx.llm("hi")]}

    engagement_id = await one_step(talk).run({"messages": []}, recorder, llm=Blocking("x"))
    assert where != [threading.get_ident()]
    assert store.get_engagement(engagement_id).total_tokens == 7


async def test_an_async_step_does_not_hold_the_loop_nor_does_a_blocking_one(recorder: Recorder) -> None:
    here = threading.get_ident()
    where: list[int] = []

    def blocking(state: State, ctx: Any) -> None:
        where.append(threading.get_ident())

    await one_step(blocking).run({"messages": []}, recorder)
    assert where != [here]


def test_run_sync_works_without_a_loop_and_inside_one(recorder: Recorder, store: SQLiteStore) -> None:
    wf = two_steps()
    outside = wf.run_sync({"messages": []}, recorder)

    async def cell() -> str:
        return wf.run_sync({"messages": []}, recorder)

    inside = asyncio.run(cell())
    assert outside != inside
    assert {one.id: one.status for one in store.list_engagements()} == {
        outside: EngagementStatus.COMPLETED,
        inside: EngagementStatus.COMPLETED,
    }


def test_run_sync_passes_on_what_a_step_raises(recorder: Recorder, store: SQLiteStore) -> None:
    def broken(state: State) -> None:
        raise ValueError("no such street")

    with pytest.raises(ValueError, match="no such street"):
        one_step(broken).run_sync({"messages": []}, recorder)
    (summary,) = store.list_engagements()
    assert summary.status is EngagementStatus.FAILED


async def test_run_sync_inside_a_step_of_its_own_is_refused(recorder: Recorder) -> None:
    wf = two_steps()

    async def nested(state: State) -> None:
        wf.run_sync({"messages": []}, recorder)

    with pytest.raises(RuntimeError, match="would wait for itself"):
        await asyncio.to_thread(one_step(nested).run_sync, {"messages": []}, recorder)


async def test_a_workflow_inside_a_step_is_an_engagement_of_its_own(recorder: Recorder, store: SQLiteStore) -> None:
    inner = two_steps()

    async def outer(state: State) -> dict[str, Any]:
        return {"messages": [await inner.run({"messages": []}, recorder)]}

    await one_step(outer).run({"messages": []}, recorder)
    engagements = [store.get_engagement(one.id) for one in store.list_engagements()]
    assert sorted([step.name for step in one.steps] for one in engagements) == [["first", "second"], ["outer"]]


async def test_two_hundred_runs_at_once_lose_and_mix_nothing(recorder: Recorder, store: SQLiteStore) -> None:
    wf = Workflow("many", state_schema=Many)

    @wf.step
    async def first(state: Many, ctx: Any) -> dict[str, Any]:
        await asyncio.sleep(0.001 * (ctx.deps["n"] % 7))
        return {"seen": [await ctx.llm(f"first {ctx.deps['n']}")]}

    @wf.step
    def second(state: Many, ctx: Any) -> dict[str, Any]:
        return {"seen": [ctx.deps["n"]]}

    @wf.step
    async def third(state: Many, ctx: Any) -> dict[str, Any]:
        return {"seen": [await ctx.llm(f"third {ctx.deps['n']}")]}

    wf.entry("first")
    wf.edge("first", "second")
    wf.edge("second", "third")
    wf.finish("third")

    async def one(n: int) -> str:
        return await wf.run({"seen": []}, recorder, llm=Scripted(f"answer {n}"), deps={"n": n}, metadata={"n": n})

    ids = await asyncio.gather(*(one(n) for n in range(200)))
    assert len(set(ids)) == 200
    for n, engagement_id in enumerate(ids):
        engagement = store.get_engagement(engagement_id)
        assert engagement.metadata == {"n": n}
        assert [step.name for step in engagement.steps] == ["first", "second", "third"]
        calls = events_of(engagement, EventKind.LLM_CALL)
        assert [call.payload["messages"][0]["content"] for call in calls] == [f"first {n}", f"third {n}"]
        assert {call.payload["response"]["content"] for call in calls} == {f"answer {n}"}
        assert engagement.total_tokens == 14
    stats = recorder.stats()
    assert (stats.pending, stats.dropped) == (0, {})


class Many(TypedDict):
    seen: Annotated[list[Any], lambda old, new: old + new]
