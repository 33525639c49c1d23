"""Where calls belong, and that a call which several layers see is one event."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, TypedDict

import openai
import pytest
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel, field_validator

import ftnb
from ftnb.core import _call_scope
from ftnb.core.model import EventKind
from ftnb.extraction import Extractor
from ftnb.sdk._call import Call
from tests.sdk.clients import MODEL, SECRET
from tests.sdk.conftest import Recorded
from tests.sdk.providers import TOKENS, Providers

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


class State(TypedDict, total=False):
    said: str


class City(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def upper(cls, name: str) -> str:
        if not name[0].isupper():
            raise ValueError("a city's name begins with a capital")
        return name


@pytest.fixture
def client(fake: Providers, recorded: Recorded) -> openai.OpenAI:
    ftnb.capture("openai")
    return openai.OpenAI(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0)


@pytest.fixture
def model(fake: Providers, recorded: Recorded) -> ChatOpenAI:
    ftnb.capture("openai")
    return ChatOpenAI(
        model=MODEL, base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0, stream_usage=True  # type: ignore[arg-type]
    )  # fmt: skip


def graph(node: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("ask", node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile()


def names(recorded: Recorded) -> list[tuple[str, list[tuple[str, int]]]]:
    """Engagements, with their steps and how many calls of models each has."""
    return [
        (one.name, [(step.name, sum(e.kind is EventKind.LLM_CALL for e in step.events)) for step in one.steps])
        for one in recorded.engagements()
    ]


# --- places ---


def test_in_a_node(client: openai.OpenAI, recorded: Recorded) -> None:
    def ask(state: State) -> State:
        return {"said": str(client.chat.completions.create(**ASK).choices[0].message.content)}

    graph(ask).invoke({})
    assert names(recorded) == [("LangGraph", [("ask", 1)])]


async def test_in_async_nodes_side_by_side(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("openai")
    client = openai.AsyncOpenAI(base_url=f"{fake.root}/v1", api_key=SECRET)

    async def ask(state: State) -> State:
        await asyncio.gather(*[client.chat.completions.create(**ASK) for _ in range(3)])
        return {}

    await asyncio.gather(*[graph(ask).ainvoke({}) for _ in range(2)])
    assert names(recorded) == [("LangGraph", [("ask", 3)])] * 2


def test_in_a_plain_step(client: openai.OpenAI, recorded: Recorded) -> None:
    with ftnb.record("talk"):
        with ftnb.step("think"):
            client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
    assert names(recorded) == [("talk", [("think", 1), ("openai.chat.completions", 1)])]


def test_outside_everything(client: openai.OpenAI, recorded: Recorded) -> None:
    client.chat.completions.create(**ASK)
    client.chat.completions.create(**ASK)
    assert names(recorded) == [("openai.chat.completions", [("openai.chat.completions", 1)])] * 2
    assert [one.status.value for one in recorded.engagements()] == ["completed"] * 2


def test_threads(client: openai.OpenAI, recorded: Recorded) -> None:
    def ask(state: State) -> State:
        threads = [threading.Thread(target=client.chat.completions.create, kwargs=ASK) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {}

    graph(ask).invoke({})
    assert names(recorded) == [("LangGraph", [("ask", 0), ("(unattached)", 3)])]


def test_stream_that_its_node_does_not_finish(client: openai.OpenAI, recorded: Recorded) -> None:
    held: list[Any] = []

    def ask(state: State) -> State:
        held.append(client.chat.completions.create(**ASK, stream=True))
        next(held[0])
        next(held[0])
        return {}

    graph(ask).invoke({})
    assert recorded.call().payload["messages"] == ASK["messages"]
    assert names(recorded) == [("LangGraph", [("ask", 1)])]


def test_stream_under_way_when_recording_stops(client: openai.OpenAI, recorded: Recorded) -> None:
    stream = client.chat.completions.create(**ASK, stream=True)
    next(stream)
    ftnb.stop()
    assert [one.status.value for one in recorded.engagements()] == ["abandoned"]
    assert recorded.call().duration_ms is None
    ftnb.start(recorded.store)
    assert "".join(part.choices[0].delta.content or "" for part in stream) in ("hello", "llo")


# --- one call, one event ---


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
def test_a_model_of_langchain(model: ChatOpenAI, recorded: Recorded, way: str) -> None:
    def ask(state: State) -> State:
        list(model.stream("hi")) if way == "stream" else model.invoke("hi")
        return {}

    async def aask(state: State) -> State:
        if way == "astream":
            assert [part async for part in model.astream("hi")]
        else:
            await model.ainvoke("hi")
        return {}

    if way.startswith("a"):
        asyncio.run(graph(aask).ainvoke({}))
    else:
        graph(ask).invoke({})
    call = recorded.call()
    assert call.tokens is not None
    assert call.tokens.total == TOKENS[2]
    assert call.payload["response"]["content"] == "hello"


def test_langchain_takes_from_below_what_it_lacks(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("openai")
    fake.answers = [500, "hello"]
    model = ChatOpenAI(model=MODEL, base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=1)  # type: ignore[arg-type]
    graph(lambda state: {"said": model.invoke("hi").content}).invoke({})
    call = recorded.call()
    assert call.payload["retried_after"] == [500]


def test_own_calls_between_the_parts_of_a_langchain_stream(
    model: ChatOpenAI, client: openai.OpenAI, recorded: Recorded
) -> None:
    def ask(state: State) -> State:
        for place, _ in enumerate(model.stream("hi")):
            if place == 1:
                client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
        return {}

    graph(ask).invoke({})
    assert names(recorded) == [("LangGraph", [("ask", 3)])]


async def test_own_calls_after_an_async_model(model: ChatOpenAI, fake: Providers, recorded: Recorded) -> None:
    client = openai.AsyncOpenAI(base_url=f"{fake.root}/v1", api_key=SECRET)

    async def ask(state: State) -> State:
        await model.ainvoke("hi")
        await client.chat.completions.create(**ASK)
        return {}

    await graph(ask).ainvoke({})
    assert names(recorded) == [("LangGraph", [("ask", 2)])]


def test_a_chain_of_langchain_outside_any_graph(model: ChatOpenAI, recorded: Recorded) -> None:
    """LangChain alone is not recorded; the SDK's calls are."""
    (RunnableLambda(lambda text: text) | model).invoke("hi")
    model.invoke("hi")
    assert names(recorded) == [("openai.chat.completions", [("openai.chat.completions", 1)])] * 2


def test_litellm_over_openai(fake: Providers, recorded: Recorded) -> None:
    import litellm

    ftnb.capture("litellm", "openai")
    given: dict[str, Any] = {"api_base": f"{fake.root}/v1", "api_key": SECRET, "max_retries": 0}
    litellm.completion(f"openai/{MODEL}", ASK["messages"], **given)
    assert list(litellm.completion(f"openai/{MODEL}", ASK["messages"], stream=True, **given))
    asyncio.run(litellm.acompletion(f"openai/{MODEL}", ASK["messages"], **given))
    assert [call.name for call in recorded.calls()] == [f"openai/{MODEL}"] * 3
    assert [call.payload["response"]["content"] for call in recorded.calls()] == ["hello"] * 3


def test_a_function_of_litellm_that_was_imported_before(fake: Providers, recorded: Recorded) -> None:
    from litellm import completion

    ftnb.capture("litellm")
    completion(f"openai/{MODEL}", ASK["messages"], api_base=f"{fake.root}/v1", api_key=SECRET)
    assert recorded.call().payload["provider"] == "openai"


@pytest.fixture(params=[("instructor",), ("instructor", "openai")], ids=["alone", "over openai"])
def layers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


def _instructor(fake: Providers, *, is_async: bool = False) -> Any:
    import instructor

    make = openai.AsyncOpenAI if is_async else openai.OpenAI
    return instructor.from_openai(make(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0))


def _city(name: str) -> tuple[str, dict[str, str]]:
    return "City", {"name": name}


@pytest.mark.parametrize("is_async", [False, True])
def test_instructor(fake: Providers, recorded: Recorded, layers: tuple[str, ...], is_async: bool) -> None:
    client = _instructor(fake, is_async=is_async)
    ftnb.capture(*layers)
    fake.answers = [_city("bern"), _city("Bern")]
    made = client.create(response_model=City, **ASK, max_retries=2)
    made = asyncio.run(made) if is_async else made
    assert isinstance(made, City)
    assert made.name == "Bern"
    (extraction,) = recorded.events(EventKind.EXTRACTION)
    assert extraction.payload["name"] == "Bern"
    assert extraction.payload["attempts"]["count"] == 2
    assert "capital" in extraction.payload["attempts"]["failed"][0]["error"]
    calls = recorded.calls()
    assert len(calls) == 2
    assert [call.payload["response"]["tool_calls"][0]["args"] for call in calls] == [{"name": "bern"}, {"name": "Bern"}]
    assert [call.tokens.total for call in calls if call.tokens] == [TOKENS[2]] * 2
    (engagement,) = recorded.engagements()
    assert [step.name for step in engagement.steps] == ["instructor City"]
    assert engagement.steps[0].extraction is not None
    assert engagement.steps[0].extraction.values == {"name": "Bern"}


def test_instructor_gives_up(fake: Providers, recorded: Recorded, layers: tuple[str, ...]) -> None:
    client = _instructor(fake)
    ftnb.capture(*layers)
    fake.answers = [_city("bern")]
    with pytest.raises(Exception, match="capital"):
        client.create(response_model=City, **ASK, max_retries=1)
    (extraction,) = recorded.events(EventKind.EXTRACTION)
    assert extraction.error is not None
    assert extraction.payload["attempts"]["count"] == len(recorded.calls()) == 2
    found = recorded.engagements()[0].steps[0].extraction
    assert found is not None
    assert not found.valid


def test_instructor_in_a_node_that_reports_it_itself(fake: Providers, recorded: Recorded) -> None:
    client = Extractor(_instructor(fake))
    ftnb.capture("instructor", "openai")
    fake.answers = [_city("Bern")]

    class Reporting(State, total=False):
        extraction: dict[str, Any]
        llm_calls: list[dict[str, Any]]

    def ask(state: Reporting) -> Any:
        result = client.extract(City, "hi", model=MODEL)
        return {"extraction": result.as_record().model_dump(), "llm_calls": result.as_llm_calls()}

    builder = StateGraph(Reporting)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    builder.compile().invoke({})
    assert len(recorded.events(EventKind.EXTRACTION)) == 1
    assert len(recorded.calls()) == 1


def test_extractor_that_records_itself(fake: Providers, recorded: Recorded) -> None:
    from ftnb.recorder import Recorder

    client = Extractor(_instructor(fake))
    ftnb.capture("instructor", "openai")
    fake.answers = [_city("Bern")]
    recorder = Recorder(recorded.store)
    step = recorder.start_step(recorder.start_engagement("own"), "pull")
    client.extract_and_record(recorder, step, City, "hi", model=MODEL)
    assert len(recorded.events(EventKind.EXTRACTION)) == 1
    assert len(recorded.calls()) == 1


def test_instructor_parts(fake: Providers, recorded: Recorded) -> None:
    client = _instructor(fake)
    fake.answers = [_city("Bern")]
    bare = client.create_partial(response_model=City, **ASK), client.create_iterable(response_model=City, **ASK)
    ftnb.capture("instructor", "openai")
    with ftnb.record("talk"), ftnb.step("pull"):
        parts = client.create_partial(response_model=City, **ASK)
        several = client.create_iterable(response_model=City, **ASK)
        assert [type(parts), type(several)] == [type(one) for one in bare]
        assert list(parts)[-1].name == "Bern"
        assert [one.name for one in several] == ["Bern"]
    assert [one.payload for one in recorded.events(EventKind.EXTRACTION)] == [
        {"name": "Bern"},
        {"items": [{"name": "Bern"}]},
    ]
    assert names(recorded) == [("talk", [("pull", 2)])]


def test_instructor_parts_outside_any_step(fake: Providers, recorded: Recorded) -> None:
    async def main() -> None:
        several = _instructor(fake, is_async=True).create_iterable(response_model=City, **ASK)
        assert [one.name async for one in several] == ["Bern"]

    fake.answers = [_city("Bern")]
    ftnb.capture("instructor", "openai")
    asyncio.run(main())
    (extraction,) = recorded.events(EventKind.EXTRACTION)
    assert extraction.payload == {"items": [{"name": "Bern"}]}
    assert len(recorded.calls()) == 1


def test_an_outer_layer_that_claims_a_call(client: openai.OpenAI, recorded: Recorded) -> None:
    with _call_scope.claim("mine") as mine:
        client.chat.completions.create(**ASK)
    (below,) = mine.inner
    assert isinstance(below, Call)
    assert below.answer().tokens == TOKENS
    assert recorded.calls() == []


def test_a_soft_outer_layer_finds_what_was_recorded(client: openai.OpenAI, recorded: Recorded) -> None:
    with _call_scope.claim("mine", is_firm=False) as mine:
        client.chat.completions.create(**ASK)
    assert len(mine.inner) == len(recorded.calls()) == 1


def test_payloads_are_json(client: openai.OpenAI, recorded: Recorded) -> None:
    client.chat.completions.create(**ASK)
    assert json.loads(json.dumps(recorded.call().payload))["provider"] == "openai"
