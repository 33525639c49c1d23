"""One recorded step, run again in this process."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

import ftnb
from ftnb.core.errors import InvalidArgumentError, ReplayError
from ftnb.core.model import TokenUsage
from ftnb.debug._recorded import load
from ftnb.llm import LLMResult, ToolRequest
from ftnb.orchestration import Workflow
from ftnb.store.sqlite import SQLiteStore
from tests.capture.models import call, parrot
from tests.debug import graphs
from tests.debug.graphs import BY_NAME, CASES, HELLO, Case, builder, ran


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_step_of_every_graph_gives_what_it_gave(store: SQLiteStore, case: Case) -> None:
    graph = case.build()
    case.run(graph)
    engagement = ftnb.last()
    for step in engagement.steps:
        ran.clear()
        replay = step.replay(graph=graph)
        assert replay.is_same, (step, replay.diff())
        assert replay.status == step.status
        assert replay.branch.parent_id == engagement.id
        assert replay.branch.metadata["ftnb_branch"] == "replay"
        assert replay.branch.metadata["ftnb_branch_at"]["step_id"] == step.id
        # Nothing but this node ran, and what lies inside it.
        names = {task.name for task in load(store, replay.branch.id).tasks}
        assert {name for name in ran if name not in {"pick", "again", "deal", "after", "route"}} <= names
        assert ran["weather"] == ran["book"] == 0


def test_an_edit_is_merged_into_the_input_and_shown_as_a_difference(store: SQLiteStore) -> None:
    graph = BY_NAME["loop"].build()
    BY_NAME["loop"].run(graph)
    step = ftnb.last().step("count", visit=2)
    replay = step.replay({"n": 3})
    assert replay.diff() == {
        "n": (2, 4),
        "(routes)": ({"again": "count"}, {"again": "done"}),
    }
    assert replay.decisions == {"again": "done"}
    assert not replay.is_same
    assert "other than then: n" in repr(replay)
    assert "<td><pre>4</pre></td>" in replay._repr_html_()
    assert step.replay(edit=lambda given: {"n": given["n"] + 5}).output["n"] == 7
    assert replay.step.name == "count"
    assert replay.original.id == step.id
    assert replay.branch.steps[0].model.visit == 2


def test_repetitions_are_rows_and_branches_of_their_own(store: SQLiteStore) -> None:
    count = iter(range(10, 100))
    graph = builder((START, "a"), a=lambda state: {"n": next(count)}).compile()
    graph.invoke(HELLO)
    replay = ftnb.last().step("a").replay(times=3)
    frame = replay.frame()
    assert frame["output"].to_list() == ['{"n":11}', '{"n":12}', '{"n":13}']
    assert frame["is_same"].to_list() == [False] * 3
    assert frame["repetition"].to_list() == [1, 2, 3]
    assert frame["engagement_id"].n_unique() == 3
    assert [branch.id for branch in replay.branches] == frame["engagement_id"].to_list()
    assert "3 times" in repr(replay)
    for times in (0, 1.5, True, 10_000):
        with pytest.raises(InvalidArgumentError, match="times is how often, from 1 to"):
            ftnb.last().step("a").replay(times=times)


def test_the_function_of_today_is_called(store: SQLiteStore) -> None:
    builder((START, "a"), a=lambda state: {"n": 1}).compile().invoke(HELLO)
    today = builder((START, "a"), a=lambda state: {"n": 2}).compile()
    assert ftnb.last().step("a").replay(graph=today).output == {"n": 2}


# --- models and tools ---


def test_recorded_answers_are_served_and_no_model_or_tool_is_called(store: SQLiteStore) -> None:
    model = parrot(*graphs.MODEL.lines)
    graph = graphs.agent(model)
    graph.invoke(graphs.CHAT)
    engagement, n_said = ftnb.last(), model.at[0]
    ran.clear()
    for step in engagement.steps:
        for use in ("recorded", "refuse"):
            replay = step.replay(use=use)
            assert replay.is_same, replay.diff()
            calls = replay.frame().select("n_calls_recorded", "n_calls_live").row(0)
            assert calls == (len(step.events), 0)
    assert model.at[0] == n_said
    assert ran["weather"] == ran["book"] == 0
    # The branch has what was served on record, as the original has.
    branch = engagement.step("act", visit=1).replay().branch
    assert [(event.name, event.payload["result"]) for event in branch.steps[0].events] == [
        ("weather", "sunny in Rome"),
        ("weather", "sunny in Oslo"),
    ]


def test_a_new_prompt_goes_to_the_model_unless_refused(store: SQLiteStore) -> None:
    model = parrot("one", "two", "three")
    graph = builder((START, "ask"), ask=lambda s: {"notes": [model.invoke(s["notes"][0]).content]}).compile()
    graph.invoke(HELLO)
    step = ftnb.last().step("ask")
    assert step.replay().output == {"notes": ["one"]}
    assert step.replay({"notes": ["another"]}).output == {"notes": ["two"]}
    assert step.replay(use="live").output == {"notes": ["three"]}
    with pytest.raises(ReplayError, match="no answer of a model to these messages is on record"):
        step.replay({"notes": ["another"]}, use="refuse")
    assert step.replay(use="live", times=3).frame()["output"].to_list() == [
        '{"notes":["one"]}', '{"notes":["two"]}', '{"notes":["three"]}',
    ]  # fmt: skip


def test_another_model_is_asked_in_its_place(store: SQLiteStore) -> None:
    model = parrot("I am parrot")
    bound = model.bind_tools([graphs.weather])
    graph = builder((START, "ask"), ask=lambda s: {"notes": [str(bound.invoke("who?").content)]}).compile()
    graph.invoke(HELLO)
    step = ftnb.last().step("ask")
    other = parrot("I am other", model_name="other-1")
    replay = step.replay(model=other)
    assert replay.output == {"notes": ["I am other"]}
    (event,) = replay.step.events
    assert event.payload["parameters"]["model_name"] == "other-1"
    assert len(event.payload["parameters"]["tools"]) == 1
    renamed = step.replay(model="parrot-9")
    assert renamed.step.events[0].payload["parameters"]["model_name"] == "parrot-9"
    assert model.model_name == "parrot-1"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_model_that_streams_is_served_too(store: SQLiteStore, is_async: bool) -> None:
    model = parrot("one two three", streams=True)

    def sync(state: Any) -> Any:
        return {"notes": ["".join(str(chunk.content) for chunk in model.stream("go"))]}

    async def astream(state: Any) -> Any:
        return {"notes": ["".join([str(chunk.content) async for chunk in model.astream("go")])]}

    graph = builder((START, "ask"), ask=astream if is_async else sync).compile()
    asyncio.run(graph.ainvoke(HELLO)) if is_async else graph.invoke(HELLO)
    step, said = ftnb.last().step("ask"), ftnb.last().step("ask").events[0].payload["response"]["content"]
    n_said = model.at[0]
    replay = step.replay()
    assert replay.output == {"notes": [said]}
    assert model.at[0] == n_said
    assert step.replay(use="live").frame()["n_calls_live"].to_list() == [1]
    assert model.at[0] == n_said + 1


def test_a_tool_is_called_again_only_when_that_is_safe(store: SQLiteStore) -> None:
    @tool
    def lookup(key: str) -> str:
        """Look something up."""
        ran["lookup"] += 1
        return f"{key} {ran['lookup']}"

    graph = builder((START, "use"), use=lambda s: {"notes": [lookup.invoke({"key": s["notes"][0]})]}).compile()
    graph.invoke(HELLO)
    step = ftnb.last().step("use")
    assert step.replay(use="live").output == {"notes": ["hello 1"]}
    with pytest.raises(ReplayError, match=r"not marked safe to be called again: say ftnb.safe\(lookup\), or pass"):
        step.replay({"notes": ["other"]})
    assert ran["lookup"] == 1
    assert step.replay({"notes": ["other"]}, safe_tools=[lookup]).output == {"notes": ["other 2"]}
    assert step.replay({"notes": ["other"]}, safe_tools="all").output == {"notes": ["other 3"]}
    assert ftnb.safe(lookup) is lookup
    assert step.replay({"notes": ["other"]}).output == {"notes": ["other 4"]}
    assert step.replay().output == {"notes": ["hello 1"]}
    assert step.replay(use="live").output == {"notes": ["hello 5"]}
    with pytest.raises(ReplayError, match=r"tool 'lookup' was not called in use \(use='refuse'\)"):
        step.replay({"notes": ["other"]}, use="refuse")
    with pytest.raises(InvalidArgumentError, match="names go into safe_tools"):
        ftnb.safe("lookup")
    with pytest.raises(InvalidArgumentError, match="safe_tools takes a list"):
        step.replay(safe_tools="lookup")


def test_a_refusal_that_the_agent_swallows_still_ends_the_replay(store: SQLiteStore) -> None:
    def careless(state: Any) -> Any:
        try:
            return {"notes": [graphs.book.invoke({"city": state["notes"][0]})]}
        except Exception:
            return {"notes": ["no matter"]}

    graph = builder((START, "careless"), careless=careless).compile()
    graph.invoke(HELLO)
    with pytest.raises(ReplayError, match="tool 'book' was not called"):
        ftnb.last().step("careless").replay({"notes": ["Rome"]})


def test_tools_in_threads_and_tools_that_fail_are_served(store: SQLiteStore) -> None:
    @tool
    def fails(key: str) -> str:
        """Fail."""
        ran["fails"] += 1
        raise ToolException(f"no {key}")

    def use(state: Any) -> Any:
        with ThreadPoolExecutor() as pool:
            weather = pool.submit(graphs.weather.invoke, {"city": "Rome"}).result()
        try:
            fails.invoke({"key": "x"})
        except ToolException as error:
            return {"notes": [weather, str(error)]}
        return {}

    graph = builder((START, "use"), use=use).compile()
    graph.invoke(HELLO)
    ran.clear()
    replay = ftnb.last().step("use").replay()
    assert replay.output == {"notes": ["sunny in Rome", "no x"]}
    assert ran["weather"] == ran["fails"] == 0


class Chat(TypedDict):
    messages: Annotated[list[Any], add_messages]


def test_a_tool_node_is_replayed(store: SQLiteStore) -> None:
    node = ToolNode([graphs.weather, graphs.book])
    graph = builder((START, "tools"), state=Chat, tools=node).compile()
    graph.invoke({"messages": [call("weather", city="Rome")]})
    step = ftnb.last().step("tools")
    ran.clear()
    replay = step.replay()
    assert replay.is_same
    assert replay.output["messages"][0].content == "sunny in Rome"
    assert ran["weather"] == 0
    other = step.replay({"messages": [call("weather", city="Oslo")]}, safe_tools=["weather"])
    assert other.output["messages"][0].content == "sunny in Oslo"
    assert isinstance(graph.invoke({"messages": [call("book", city="Rome")]})["messages"][-1], ToolMessage)


def test_a_retriever_is_served(store: SQLiteStore) -> None:
    from langchain_core.documents import Document

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
            ran["shelf"] += 1
            return [Document(f"{query} {ran['shelf']}", metadata={"page": 3})]

    shelf = Shelf()
    graph = builder((START, "read"), read=lambda s: {"notes": [shelf.invoke("cats")[0].page_content]}).compile()
    graph.invoke(HELLO)
    step = ftnb.last().step("read")
    assert step.replay().output == {"notes": ["cats 1"]}
    assert step.replay(use="live").output == {"notes": ["cats 2"]}


def test_an_agent_that_runs_beside_a_replay_is_not_served(store: SQLiteStore) -> None:
    model, begun, end = parrot("one", "two"), threading.Event(), threading.Event()

    def ask(state: Any) -> Any:
        said = model.invoke("same question").content
        if ran["ask"]:
            begun.set()
            end.wait(10)
        ran["ask"] += 1
        return {"notes": [said]}

    graph = builder((START, "ask"), ask=ask).compile()
    graph.invoke(HELLO)
    step = ftnb.last().step("ask")
    thread = threading.Thread(target=step.replay)
    thread.start()
    begun.wait(10)
    beside = model.invoke("same question").content
    end.set()
    thread.join(10)
    assert beside == "two"


# --- kinds of steps ---


async def test_an_async_node_runs_with_await_and_without(store: SQLiteStore) -> None:
    loops: list[Any] = []

    async def node(state: Any) -> Any:
        loops.append(asyncio.get_running_loop())
        return {"notes": ["x"]}

    graph = builder((START, "node"), node=node).compile()
    await graph.ainvoke(HELLO)
    step = ftnb.last().step("node")
    assert (await step.areplay()).is_same
    assert loops[1] is loops[0]
    assert step.replay().is_same
    assert loops[2] is not loops[0]


def test_a_node_that_writes_to_the_stream_or_asks_can_be_replayed(store: SQLiteStore) -> None:
    def node(state: Any) -> Any:
        get_stream_writer()({"at": 1})
        return {"notes": [interrupt("what?")]}

    graph = builder((START, "node"), ("node", "z"), node=node).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke(HELLO, config)
    graph.invoke(Command(resume="this"), config)
    engagement = ftnb.last()
    waiting, done = engagement.step("node", attempt=1), engagement.step("node", attempt=2)
    assert waiting.replay().status == "waiting"
    assert done.replay().output == {"notes": ["this"]}
    assert done.replay(use="live").status == "waiting"


def test_what_a_node_raises_is_a_result(store: SQLiteStore) -> None:
    graph = builder((START, "div"), div=lambda s: {"n": 10 // s["n"]}).compile()
    with pytest.raises(ZeroDivisionError):
        graph.invoke({"n": 0})
    step = ftnb.last().step("div")
    replay = step.replay()
    assert replay.is_same
    assert replay.status == "failed"
    mended = step.replay({"n": 5})
    assert mended.output == {"n": 2}
    assert mended.diff()["(status)"] == ("failed", "completed")
    broken = mended.branch and step.replay({"n": 0})
    assert broken.error is not None
    assert "division" in broken.error


def test_a_task_of_the_functional_api_takes_other_arguments(store: SQLiteStore) -> None:
    graph = BY_NAME["functional"].build()
    graph.invoke(3)
    engagement = ftnb.last()
    assert engagement.step("double", visit=2).replay({"x": 10, "k": 5}).output == 102
    assert engagement.step("outer").replay({"x": 1}).output == 7
    assert engagement.step("flow").replay(1).output == 13
    with pytest.raises(
        InvalidArgumentError, match="names 'y', which is no argument of the task; arguments: k, more, x"
    ):
        engagement.step("double", visit=2).replay({"y": 1})


def test_the_packet_of_a_sent_step_is_edited_part_by_part(store: SQLiteStore) -> None:
    graph = BY_NAME["send"].build()
    graph.invoke(HELLO)
    record = load(store, ftnb.last().id)
    third = next(one for one in record.tasks if one.state == {"n": 2, "who": {"name": "w2"}})
    assert ftnb.last().step(third.step_id).replay({"n": 30}).output == {"notes": ["w2:60"]}


# --- what cannot be replayed says why ---


class Handle:
    """Something that no trace can hold."""


def test_an_input_that_cannot_be_had_back_is_asked_for(store: SQLiteStore) -> None:
    class Open(TypedDict, total=False):
        handle: Any
        n: int

    graph = builder((START, "a"), state=Open, a=lambda s: {"n": s.get("n", 0) + 1}).compile()
    graph.invoke({"handle": Handle(), "n": 1})
    step = ftnb.last().step("a")
    with pytest.raises(
        ReplayError, match=r"handle is a Handle of which the trace has only a description.*edit={'handle'"
    ):
        step.replay()
    assert step.replay({"handle": Handle()}).output == {"n": 2}


def test_a_masked_or_redacted_input_is_refused(store: SQLiteStore) -> None:
    graph = builder((START, "a"), a=lambda s: {"n": len(s["notes"][0])}).compile()
    graph.invoke({"notes": ["postgres://me:" + "hunter2" + "@host/db"]})
    step = ftnb.last().step("a")
    with pytest.raises(ReplayError, match=r"holds masked text .* under 'notes'.*allow_masked=True"):
        step.replay()
    assert step.replay(allow_masked=True).output != {}
    assert step.replay({"notes": ["short"]}).output == {"n": 5}
    ftnb.redact(keys=["notes"])
    try:
        graph.invoke(HELLO)
    finally:
        ftnb.redact("defaults")
    with pytest.raises(ReplayError, match=r"notes was redacted when it was recorded \(.*\). Give it with edit="):
        ftnb.last().step("a").replay()


def test_bad_edits_graphs_and_uses_are_refused(store: SQLiteStore) -> None:
    graph = BY_NAME["pydantic_state"].build()
    BY_NAME["pydantic_state"].run(graph)
    step = ftnb.last().step("check")
    assert step.replay({"trip": {"city": "Oslo", "nights": 7}}).output == {"log": ["7 in Oslo"]}
    with pytest.raises(
        InvalidArgumentError, match=r"gives 'trip' the value .* does not fit the state's Trip: nights: "
    ):
        step.replay({"trip": {"city": "Oslo", "nights": "many"}})
    with pytest.raises(InvalidArgumentError, match=r"edit names 'tripp', which is no key.*Did you mean 'trip'"):
        step.replay({"tripp": 1})
    with pytest.raises(InvalidArgumentError, match="edit takes a mapping of keys to new values, got a function"):
        step.replay(lambda state: 5)  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidArgumentError, match="use='never' is unknown; known: recorded, live, refuse"):
        step.replay(use="never")
    with pytest.raises(ReplayError, match="today's graph has no node 'check'"):
        step.replay(graph=graphs.chain())
    with pytest.raises(InvalidArgumentError, match="must be a compiled LangGraph, got str"):
        step.replay(graph="app")


def test_nothing_of_a_replay_stays_in_langchain(store: SQLiteStore) -> None:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool

    before = BaseChatModel._generate_with_cache, BaseChatModel.stream, BaseTool.run, BaseTool.arun
    graph = graphs.agent()
    graph.invoke(graphs.CHAT)
    attributes = dict(vars(graph))
    for step in ftnb.last().steps:
        step.replay()
    assert (BaseChatModel._generate_with_cache, BaseChatModel.stream, BaseTool.run, BaseTool.arun) == before
    assert all(vars(graph)[name] is value for name, value in attributes.items())
    assert END not in graph.nodes


def test_a_replay_without_a_session_and_from_an_export(tmp_path: Any) -> None:
    store = SQLiteStore(tmp_path / "traces.db")
    ftnb.start(store)
    graph = graphs.agent()
    graph.invoke(graphs.CHAT)
    ftnb.stop()
    traces = ftnb.open(store)
    assert traces.last().step("act", visit=1).replay(graph=graph).is_same
    exported = traces.to_parquet(tmp_path / "share")
    store.close()
    opened = ftnb.open(exported)
    step = next(one for one in opened.engagements()["engagement_id"] if not opened.engagement(one).parent_id)
    replay = opened.engagement(step).step("act", visit=1).replay(graph=graph)
    assert replay.is_same
    assert replay.branch.parent_id == step
    assert isinstance(AIMessage("x").content, str)


def test_a_workflows_own_models_and_tools_are_served_and_guarded(store: SQLiteStore) -> None:
    booked: list[str] = []

    class Client:
        model = "mine-1"
        answers = (ToolRequest("book_room", {"city": "Rome"}, "1"), "Done.")

        def __init__(self) -> None:
            self.n = 0

        async def acomplete(self, messages: Any, **_: Any) -> LLMResult:
            said = self.answers[self.n % 2]
            self.n += 1
            requests = [said] if isinstance(said, ToolRequest) else []
            return LLMResult(
                "" if requests else str(said), TokenUsage(prompt=3, completion=1), "mine-1", None, requests
            )

    def book_room(city: str) -> str:
        """Book a room in a city."""
        booked.append(city)
        return f"booked in {city}"

    client = Client()
    workflow = Workflow("trip", state_schema=graphs.Notes, llm=client)

    @workflow.agent_step(tools=[book_room])
    async def assist(state: Any, ctx: Any) -> dict[str, Any]:
        return {"notes": [await ctx.run_tools(state["notes"])]}

    workflow.entry("assist")
    workflow.finish("assist")
    recorder = ftnb.Recorder(store)
    engagement = ftnb.engagement(workflow.run_sync(HELLO, recorder))
    recorder.close()
    step = engagement.step("assist")
    assert (client.n, booked) == (2, ["Rome"])
    for replay in (step.replay(), step.replay(use="refuse", graph=workflow)):
        assert replay.is_same, replay.diff()
        assert replay.frame()["n_calls_recorded"].to_list() == [3]
    assert engagement.fork("assist").metadata["ftnb_branch_calls"] == {"recorded": 3}
    assert ftnb.replay_all(engagement, workflow, progress=False)
    assert (client.n, booked) == (2, ["Rome"])
    # What is asked anew goes to the model, and the tool that it wants is not called again.
    client.answers = (ToolRequest("book_room", {"city": "Oslo"}, "1"), "Done.")
    with pytest.raises(ReplayError, match="tool 'book_room' was not called in assist"):
        step.replay({"notes": ["elsewhere"]})
    assert booked == ["Rome"]
