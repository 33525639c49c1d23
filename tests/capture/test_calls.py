"""Calls of models, tools and retrievers, as events of the step that made them."""

from __future__ import annotations

import asyncio
import warnings
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import ToolException, tool
from langgraph.graph import StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from pydantic import BaseModel

import ftnb
from tests.capture.models import TOKENS, call, parrot
from tests.capture.shapes import Path, Seen, events, graph_of, named, tree

EMPTY: dict[str, list[str]] = {"path": []}


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def one_node(node: Any) -> Any:
    return graph_of("^>node", node=node).compile()


def calls_of(seen: Seen, kind: str = "llm_call") -> list[Any]:
    return events(named(seen.one(), "node"), kind)


# --- models ---


def test_a_model_call_with_everything_about_it(seen: Seen) -> None:
    model = parrot("pretty")

    def node(state: Path) -> dict[str, list[str]]:
        said = model.invoke([SystemMessage("be brief"), HumanMessage("who?")], temperature=0.5)
        return {"path": [str(said.content)]}

    one_node(node).invoke(EMPTY)
    (event,) = calls_of(seen)
    assert event.payload["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "who?"},
    ]
    assert event.payload["response"] == {"role": "assistant", "content": "pretty", "finish_reason": "stop"}
    assert event.payload["parameters"] == {"model_name": "parrot-1", "temperature": 0.5}
    assert event.payload["provider"] == "parrot"
    assert event.tokens.model_dump() == TOKENS
    assert (event.name, event.model) == ("parrot-1", "parrot-1-2026")
    assert event.error is None
    assert event.duration_ms > 0
    assert event.ttft_ms is None
    assert seen.one().total_tokens == 16


def test_async_and_streamed_calls(seen: Seen) -> None:
    model = parrot("one two three", streams=True)

    async def node(state: Path) -> dict[str, list[str]]:
        words = [chunk.content async for chunk in model.astream("say it")]
        said = await model.ainvoke("again")
        return {"path": ["".join(map(str, words)), str(said.content)]}

    asyncio.run(one_node(node).ainvoke(EMPTY))
    streamed, whole = calls_of(seen)
    assert streamed.payload["response"]["content"] == "onetwothree"
    assert streamed.payload["messages"] == [{"role": "user", "content": "say it"}]
    assert 0 <= streamed.ttft_ms <= streamed.duration_ms
    assert streamed.tokens.total == whole.tokens.total == 16
    assert whole.payload["response"]["content"] == "one two three"
    assert whole.ttft_ms is None


def test_a_model_that_fails(seen: Seen) -> None:
    model = parrot(TimeoutError("too slow"), "second try")

    def node(state: Path) -> dict[str, list[str]]:
        try:
            model.invoke("hello")
        except TimeoutError:
            model.invoke("hello?")
        return {"path": []}

    one_node(node).invoke(EMPTY)
    first, second = calls_of(seen)
    assert (first.error, first.error_type, first.tokens) == ("too slow", "TimeoutError", None)
    assert second.error is None
    assert named(seen.one(), "node").status == "completed"


def test_a_model_without_usage_has_no_tokens(seen: Seen) -> None:
    model = parrot("hm", usage=None)
    one_node(lambda state: {"path": [str(model.invoke("x").content)]}).invoke(EMPTY)
    (event,) = calls_of(seen)
    assert event.tokens is None


def test_usage_as_openai_reports_it() -> None:
    from langchain_core.outputs import Generation, LLMResult

    from ftnb.langgraph_adapter._llm import answer

    usage = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}}
    given = answer(
        LLMResult(generations=[[Generation(text="x")]], llm_output={"token_usage": usage, "model_name": "m"})
    )
    assert given.tokens == (7, 2, 9, 5, 0, 0)
    assert given.model == "m"
    assert given.response == {"role": "assistant", "content": "x"}


def test_a_chain_around_the_model_is_no_step(seen: Seen) -> None:
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate

    chain = ChatPromptTemplate.from_messages([("user", "{what}")]) | parrot("x") | StrOutputParser()
    one_node(lambda state: {"path": [chain.invoke({"what": "hi"})]}).invoke(EMPTY)
    assert tree(seen.one()) == ["node"]
    (event,) = calls_of(seen)
    assert event.payload["messages"] == [{"role": "user", "content": "hi"}]


class Budget(BaseModel):
    """What somebody can spend."""

    euros: int


def test_structured_output_is_the_steps_extraction(seen: Seen) -> None:
    from langchain_core.output_parsers import PydanticToolsParser

    chain = parrot(call("Budget", euros=900)) | PydanticToolsParser(tools=[Budget], first_tool_only=True)
    one_node(lambda state: {"path": [str(chain.invoke("hi"))]}).invoke(EMPTY)
    extraction = named(seen.one(), "node").extraction
    assert extraction is not None
    assert (extraction.schema_name, extraction.values) == ("Budget", {"euros": 900})
    assert extraction.json_schema["properties"]["euros"]["type"] == "integer"
    assert [event.name for event in calls_of(seen, "extraction")] == ["Budget"]


def test_calls_outside_any_graph_are_not_recorded(seen: Seen) -> None:
    from langchain_core.runnables import RunnableLambda

    parrot("x").invoke("hello")
    (RunnableLambda(lambda x: x) | parrot("x")).invoke("hello")
    assert seen.all() == []


def test_in_a_block_calls_outside_any_graph_are_steps(seen: Seen) -> None:
    from langchain_core.runnables import RunnableLambda

    with ftnb.record("talk"):
        parrot("x").invoke("hello")
        graph_of("^>a").compile().invoke(EMPTY)
        (RunnableLambda(lambda x: x) | parrot("y")).invoke("hello")
    engagement = seen.one()
    assert tree(engagement) == ["Parrot", "a", "RunnableSequence"]
    assert [len(events(step, "llm_call")) for step in engagement.steps] == [1, 0, 1]
    assert engagement.status == "completed"


def test_a_router_at_the_entry_that_asks_a_model(seen: Seen) -> None:
    model = parrot("b")
    graph = graph_of(nodes=["a", "b"])
    graph.add_conditional_edges("__start__", lambda state: str(model.invoke("where to?").content), ["a", "b"])
    graph.compile().invoke(EMPTY)
    engagement = seen.one()
    assert tree(engagement) == ["Parrot", "b"]
    assert engagement.total_tokens == 16


# --- tools ---


@tool
def area(name: str, radius: int = 2) -> dict[str, Any]:
    """Look an area up."""
    return {"name": name, "radius": radius}


@tool
def broken(name: str) -> str:
    """It never works."""
    raise LookupError(f"no {name}")


def test_a_tool_call_with_arguments_and_result(seen: Seen) -> None:
    one_node(lambda state: {"path": [str(area.invoke({"name": "Old Town"}))]}).invoke(EMPTY)
    (event,) = calls_of(seen, "tool_call")
    assert event.name == "area"
    assert event.payload["args"] == {"name": "Old Town"}
    assert event.payload["result"] == {"name": "Old Town", "radius": 2}
    assert event.duration_ms >= 0


def test_a_tool_that_raises(seen: Seen) -> None:
    with pytest.raises(LookupError):
        one_node(lambda state: broken.invoke({"name": "x"})).invoke(EMPTY)
    (event,) = calls_of(seen, "tool_call")
    assert (event.error, event.error_type) == ("no x", "LookupError")
    assert event.payload == {"args": {"name": "x"}}


def test_a_tool_that_says_that_it_failed(seen: Seen) -> None:
    @tool
    def polite() -> str:
        """Say no."""
        raise ToolException("not today")

    polite.handle_tool_error = True
    one_node(lambda state: {"path": [str(polite.invoke(call("polite").tool_calls[0]))]}).invoke(EMPTY)
    (event,) = calls_of(seen, "tool_call")
    assert event.error == "not today"
    assert event.payload["call_id"] == "c1"


def test_a_tool_node_and_the_agent_around_it(seen: Seen) -> None:
    model = parrot(call("area", name="Harbour"), "done").bind_tools([area])
    builder = StateGraph(Chat)
    builder.add_node("agent", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode([area, broken]))
    builder.add_edge("__start__", "agent")
    builder.add_conditional_edges(
        "agent", lambda state: "tools" if state["messages"][-1].tool_calls else "__end__", ["tools", "__end__"]
    )
    builder.add_edge("tools", "agent")
    builder.compile().invoke({"messages": [HumanMessage("where?")]})
    engagement = seen.one()
    assert tree(engagement) == ["agent", "tools < agent:conditional", "agent@2.1 < tools:static"]
    tools = named(engagement, "tools")
    assert tools.tools_available == ["area", "broken"]
    (event,) = events(tools)
    assert event.payload["args"] == {"name": "Harbour"}
    assert event.payload["call_id"] == "c1"
    assert "Harbour" in event.payload["result"]
    asked, told = [events(named(engagement, "agent", visit))[0] for visit in (1, 2)]
    assert asked.payload["response"]["tool_calls"] == [{"name": "area", "args": {"name": "Harbour"}, "id": "c1"}]
    assert asked.payload["parameters"]["tools"] == ["area"]
    assert [message["role"] for message in told.payload["messages"]] == ["user", "assistant", "tool"]
    assert told.payload["messages"][2]["tool_call_id"] == "c1"
    assert engagement.total_tokens == 32


def test_a_prebuilt_agent(seen: Seen) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from langgraph.prebuilt import create_react_agent

        app = create_react_agent(parrot(call("area", name="Harbour"), "done"), [area], name="finder")
    app.invoke({"messages": [("user", "where?")]})
    engagement = seen.one()
    assert engagement.name == "finder"
    assert tree(engagement) == ["agent", "tools < agent:send", "agent@2.1 < tools:static"]
    assert [len(events(step, "llm_call")) for step in engagement.steps] == [1, 0, 1]
    assert [event.name for event in events(named(engagement, "tools"))] == ["area"]
    assert {node.name: node.tools for node in engagement.topology.nodes} == {"agent": [], "tools": ["area"]}


def test_an_agent_of_langchain(seen: Seen) -> None:
    agents = pytest.importorskip("langchain.agents", reason="langchain is not installed")
    app = agents.create_agent(parrot(call("area", name="Harbour"), "done"), [area])
    app.invoke({"messages": [("user", "where?")]})
    engagement = seen.one()
    assert [step.name for step in engagement.steps] == ["model", "tools", "model"]
    assert engagement.total_tokens == 32


def test_a_retriever_is_a_tool_call(seen: Seen) -> None:
    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return [Document(page_content=query.upper(), metadata={"page": 3})]

    shelf = Shelf()
    one_node(lambda state: {"path": [shelf.invoke("flats")[0].page_content]}).invoke(EMPTY)
    (event,) = calls_of(seen, "tool_call")
    assert (event.name, event.subtype) == ("Shelf", "retriever")
    assert event.payload == {"query": "flats", "documents": [{"content": "FLATS", "metadata": {"page": 3}}]}


# --- events of the user's own ---


def test_custom_events_are_log_events(seen: Seen) -> None:
    async def node(state: Path) -> dict[str, list[str]]:
        dispatch_custom_event("sync", {"n": 1})
        await adispatch_custom_event("async", "text")
        return {"path": []}

    asyncio.run(one_node(node).ainvoke(EMPTY))
    assert [(event.name, event.payload) for event in calls_of(seen, "log")] == [
        ("sync", {"n": 1}),
        ("async", {"value": "text"}),
    ]


def test_a_call_from_another_thread_of_the_node_keeps_its_step(seen: Seen) -> None:
    model = parrot("x", "y")

    async def node(state: Path) -> dict[str, list[str]]:
        await asyncio.gather(asyncio.to_thread(model.invoke, "a"), asyncio.to_thread(model.invoke, "b"))
        return {"path": []}

    asyncio.run(one_node(node).ainvoke(EMPTY))
    assert len(calls_of(seen)) == 2


def test_messages_keep_their_parts() -> None:
    from ftnb.langgraph_adapter._llm import message

    image = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    assert message(HumanMessage(image, name="ada")) == {"role": "user", "content": image, "name": "ada"}
    failed = ToolMessage("no", tool_call_id="c", status="error")
    assert message(failed) == {"role": "tool", "content": "no", "tool_call_id": "c", "status": "error"}
    assert message(AIMessage("hi")) == {"role": "assistant", "content": "hi"}
    assert message(("system", "x")) == {"role": "system", "content": "x"}
