"""Replaying steps whose nodes call models through their providers' SDKs: answers come from the record, or are refused.

What is served is compared with what the server said, as the SDK's own objects show it; the server counts requests.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import anthropic
import openai
import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

import ftnb
from ftnb.core.errors import InvalidArgumentError, ReplayError
from ftnb.core.model import TokenUsage
from ftnb.llm import LLMResult
from ftnb.orchestration import Workflow
from ftnb.recorder import Recorder
from ftnb.sdk import _registry
from tests.sdk.clients import CHAT, EVERY_SDK, LITELLM, MODEL, SECRET, Sdk
from tests.sdk.conftest import Recorded
from tests.sdk.providers import Providers

pytestmark = [
    # What the SDKs themselves warn of, and clients that a test leaves open; see test_matrix.
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*"),
    pytest.mark.filterwarnings("ignore:The 'initial' parameter:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


class State(TypedDict, total=False):
    ask: str
    said: Any


def run_once(node: Callable[[State], Any]) -> Any:
    """A graph of one node, run once."""
    builder = StateGraph(State)
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    graph = builder.compile()
    if asyncio.iscoroutinefunction(node):
        asyncio.run(graph.ainvoke({"ask": "hi"}))
    else:
        graph.invoke({"ask": "hi"})
    return graph


def seen(value: Any) -> Any:
    """An SDK's object as its type and fields, without what the SDK makes up when it reads a stream."""
    if isinstance(value, list):
        return [seen(one) for one in value]
    fields = value.model_dump(mode="json", exclude_none=True, warnings=False)
    for name in ("created", "sdk_http_response"):
        fields.pop(name, None)
    return type(value).__name__, fields


def folded(sdk: Sdk, parts: list[Any]) -> Any:
    """What the parts of a stream say together, as their user would put it together."""
    if sdk.id == "anthropic":
        return "".join(part.delta.text for part in parts if part.type == "content_block_delta")
    if sdk.id == "openai responses":
        return parts[-1].response.output_text
    if sdk.id == "google":
        return "".join(part.text or "" for part in parts), parts[-1].usage_metadata.total_token_count
    usage = [part.usage.total_tokens for part in parts if getattr(part, "usage", None)]
    return "".join(part.choices[0].delta.content or "" for part in parts if part.choices), usage


async def asked(sdk: Sdk, client: Any) -> list[Any]:
    """A call, a tool call, a stream and an error."""
    found = [seen(await sdk.acall(client)), seen(await sdk.acall(client, tools=True))]
    found.append(folded(sdk, [part async for part in await sdk.astream(client)]))
    try:
        await sdk.acall(client)
    except Exception as error:
        found.append([type(error).__name__, getattr(error, "status_code", None) or getattr(error, "code", None)])
    return found


def asked_in_turn(sdk: Sdk, client: Any) -> list[Any]:
    found = [seen(sdk.call(client)), seen(sdk.call(client, tools=True))]
    found.append(folded(sdk, list(sdk.stream(client))))
    try:
        sdk.call(client)
    except Exception as error:
        found.append([type(error).__name__, getattr(error, "status_code", None) or getattr(error, "code", None)])
    return found


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("sdk", EVERY_SDK, ids=lambda sdk: sdk.id)
def test_answers_come_from_the_record_as_the_sdks_own_objects(
    sdk: Sdk, way: str, fake: Providers, recorded: Recorded
) -> None:
    ftnb.capture(sdk.name)
    fake.answers = ["hello there", ("search", {"q": "x"}), "hello stream", 400]

    async def ask(state: State) -> State:
        return {"said": await asked(sdk, sdk.make(fake.root, 5.0))}

    def ask_in_turn(state: State) -> State:
        return {"said": asked_in_turn(sdk, sdk.make(fake.root, 5.0))}

    graph = run_once(ask if way == "async" else ask_in_turn)
    n_sent, step = len(fake.requests), ftnb.last().step("ask")
    assert len(step.output["said"]) == 4
    assert n_sent == 4
    fake.answers = [500]  # were it asked, it would say so

    for use in ("recorded", "refuse"):
        again = step.replay(use=use) if way == "sync" else asyncio.run(step.areplay(use=use))
        assert again.is_same, again.diff()
        assert again.frame()["n_calls_recorded"].to_list() == [4]
    calls = [event for event in again.step.events if event.kind == "llm_call"]
    assert [call.tokens.total for call in calls[:3]] == [18, 18, 18], "the branch shows the recorded usage"
    everything = ftnb.replay_all(recorded.store, graph, progress=False)
    assert everything, everything.describe()
    assert len(fake.requests) == n_sent, "nothing was sent"


def test_another_prompt_calls_the_model_and_is_a_divergence(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("openai")
    text = "hi"

    def ask(state: State) -> State:
        client = openai.OpenAI(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0)
        said = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text + state["ask"]}])
        return {"said": said.choices[0].message.content}

    graph = run_once(ask)
    step = ftnb.last().step("ask")
    fake.answers = ["another"]
    edited = step.replay(edit={"ask": "you"})
    assert (edited.output, edited.frame()["n_calls_live"].to_list()) == ({"said": "another"}, [1])
    with pytest.raises(ReplayError, match=f"{MODEL}.*no answer of openai to these messages is on record"):
        step.replay(edit={"ask": "you"}, use="refuse")
    other = step.replay(model="model-y")
    assert other.step.events[-1].model == "model-y-2026"
    assert fake.requests[-1][1]["model"] == "model-y"
    n_sent, text = len(fake.requests), "bye"
    found = ftnb.replay_all(recorded.store, graph, progress=False)
    assert found.frame().select("what", "cause").rows() == [("prompt", "prompt")]
    assert len(fake.requests) == n_sent


@pytest.fixture(params=["openai", "anthropic"])
def called(request: pytest.FixtureRequest, fake: Providers, recorded: Recorded) -> tuple[str, Any]:
    """The provider, and the server; one run is on record."""
    ftnb.capture("openai", "anthropic")

    def ask(state: State) -> State:
        if request.param == "openai":
            said = openai.OpenAI(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0).chat.completions.create(
                **ASK
            )
        else:
            said = anthropic.Anthropic(base_url=fake.root, api_key=SECRET, max_retries=0).messages.create(
                max_tokens=9, **ASK
            )
        return {"said": type(said).__name__}

    run_once(ask)
    return request.param, fake


def test_it_is_called_where_that_is_said(called: tuple[str, Providers]) -> None:
    provider, fake = called
    step = ftnb.last().step("ask")
    for options in ({"allow_live": [provider]}, {"allow_live": [MODEL]}, {"use": "live"}):
        result = step.replay(**options)
        assert result.is_same
        assert result.frame()["n_calls_live"].to_list() == [1]
    assert len(fake.requests) == 4
    assert step.engagement.fork(at=step).status == "completed"
    assert len(fake.requests) == 4
    with pytest.raises(InvalidArgumentError, match="allow_live"):
        step.replay(allow_live=provider)
    with pytest.raises(ReplayError, match=f"SDK of {provider}.*name of a model"):
        step.replay(model=object())
    assert len(fake.requests) == 4


def test_calls_that_were_not_captured_are_refused_by_name(fake: Providers, recorded: Recorded) -> None:
    def ask(state: State) -> State:
        return {"said": CHAT.text(CHAT.call(CHAT.make(fake.root, 5.0)))}

    graph = run_once(ask)
    step = ftnb.last().step("ask")
    with pytest.raises(ReplayError, match=r"model-x.*SDK of openai is on record.*allow_live=\['openai'\]"):
        step.replay()
    assert not ftnb.replay_all(recorded.store, graph, progress=False)
    assert len(fake.requests) == 1
    assert step.replay(allow_live=["openai"]).is_same
    assert len(fake.requests) == 2
    assert (ftnb.captured(), _registry.seen()) == ([], set()), "the SDKs are as they were"


def test_a_new_kernel_serves_what_another_captured(called: tuple[str, Providers]) -> None:
    _, fake = called
    ftnb.uncapture()
    assert ftnb.last().step("ask").replay().is_same
    assert len(fake.requests) == 1


def test_threads_of_a_node_ask_the_record_too(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("openai")

    def ask(state: State) -> State:
        client, said = CHAT.make(fake.root, 5.0), []
        with ThreadPoolExecutor(1) as pool:
            said.append(CHAT.text(pool.submit(CHAT.call, client).result()))
        thread = threading.Thread(target=lambda: said.append(CHAT.text(CHAT.call(client))))
        thread.start()
        thread.join()
        return {"said": said}

    graph = run_once(ask)
    n_sent = len(fake.requests)
    assert ftnb.last().step("ask").replay(use="refuse").is_same
    assert ftnb.replay_all(recorded.store, graph, progress=False)
    assert len(fake.requests) == n_sent


def test_a_stream_that_was_left_is_given_as_far_as_it_was_read(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("openai")
    fake.answers = ["hello"]
    n_wanted = 3

    def ask(state: State) -> State:
        said = ""
        with CHAT.stream(CHAT.make(fake.root, 5.0)) as stream:
            for chunk in stream:
                said += chunk.choices[0].delta.content or ""
                if len(said) >= n_wanted:
                    break
        return {"said": said}

    run_once(ask)
    step = ftnb.last().step("ask")
    assert step.replay(use="refuse").is_same
    n_wanted = 9
    with_more = step.replay(use="refuse")
    assert with_more.status == "failed"
    assert "closed before its end" in str(with_more.error)
    assert len(fake.requests) == 1


def test_an_error_in_a_stream_comes_after_what_was_said(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("anthropic")
    fake.answers = ["error in stream"]

    def ask(state: State) -> State:
        said = ""
        try:
            client = anthropic.Anthropic(base_url=fake.root, api_key=SECRET, max_retries=0)
            for event in client.messages.create(max_tokens=9, stream=True, **ASK):
                said += event.delta.text if event.type == "content_block_delta" else ""
        except anthropic.APIError as error:
            return {"said": [said, type(error).__name__]}
        return {"said": [said, None]}

    run_once(ask)
    again = ftnb.last().step("ask").replay(use="refuse")
    assert again.is_same, again.diff()
    assert len(fake.requests) == 1


class Person(BaseModel):
    age: int


@pytest.mark.parametrize("names", [("instructor",), ("instructor", "openai")])
def test_extractions_of_instructor_are_served(names: tuple[str, ...], fake: Providers, recorded: Recorded) -> None:
    import instructor

    ftnb.capture(*names)
    fake.answers = [("Person", {"age": "old"}), ("Person", {"age": 41})]

    def ask(state: State) -> State:
        client = instructor.from_openai(openai.OpenAI(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0))
        found = client.chat.completions.create(response_model=Person, max_retries=2, **ASK)
        return {"said": found.age}

    graph = run_once(ask)
    assert len(fake.requests) == 2
    again = ftnb.last().step("ask").replay(use="refuse")
    assert again.is_same, again.diff()
    assert ftnb.replay_all(recorded.store, graph, progress=False)
    assert len(fake.requests) == 2


def test_litellm_streams_tool_calls(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("litellm")
    fake.answers = [("search", {"q": "x"})]

    def ask(state: State) -> State:
        import litellm

        given = LITELLM.make(fake.root, 5.0)
        whole = litellm.stream_chunk_builder(list(litellm.completion(**given, stream=True)))
        call = whole.choices[0].message.tool_calls[0]
        return {"said": [call.id, call.function.name, call.function.arguments, whole.choices[0].finish_reason]}

    run_once(ask)
    again = ftnb.last().step("ask").replay(use="refuse")
    assert again.is_same, again.diff()
    assert len(fake.requests) == 1


def test_a_workflow_asks_for_its_own_model_and_for_calls_beside_it(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("openai")
    prompt = "hello"

    async def complete(text: str) -> str:
        async with openai.AsyncOpenAI(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0) as client:
            said = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}])
        return str(said.choices[0].message.content)

    class Client:
        model = "mine"

        async def acomplete(self, prompt: Any, **more: Any) -> LLMResult:
            return LLMResult(await complete(prompt), TokenUsage(), MODEL)

    flow = Workflow("both", state_schema=State, llm=Client())

    @flow.step
    async def ask(state: State, ctx: Any) -> State:
        return {"said": [await ctx.llm(prompt), await complete("beside")]}

    flow.entry("ask")
    flow.finish("ask")
    engagement_id = asyncio.run(flow.run({"ask": "hi"}, Recorder(recorded.store)))
    n_sent, step = len(fake.requests), ftnb.open(recorded.store).engagement(engagement_id).step("ask")
    assert step.replay(use="refuse").is_same
    assert ftnb.replay_all(recorded.store, flow, progress=False)
    assert len(fake.requests) == n_sent == 2
    prompt = "another"
    again = step.replay()
    assert again.frame().select("n_calls_recorded", "n_calls_live").row(0) == (1, 1), "the model's one, and beside it"
    assert len(fake.requests) == 3
    found = ftnb.replay_all(recorded.store, flow, progress=False)
    assert found.frame()["cause"].unique().to_list() == ["prompt"]
    assert len(fake.requests) == 3
