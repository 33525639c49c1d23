"""Other frameworks, with their own instrumentation and scripted models: what they did is on record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import ftnb
from tests.capture.shapes import Seen, tree

# What the frameworks warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def calls(step: Any) -> list[tuple[str, str]]:
    return [(event.kind.value, event.name) for event in step.events]


# --- Pydantic AI: GenAI spans of its own ---


@pytest.fixture
def pydantic_agent(provider: TracerProvider) -> Iterator[Any]:
    pytest.importorskip("pydantic_ai")
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings
    from pydantic_ai.models.test import TestModel

    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))
    agent = Agent(TestModel(), name="weather")

    @agent.tool_plain
    def forecast(city: str) -> str:
        return "sunny"

    yield agent
    Agent.instrument_all(False)


def test_pydantic_ai(seen: Seen, pydantic_agent: Any) -> None:
    result = pydantic_agent.run_sync("How is the weather?")
    engagement = seen.one()
    assert (engagement.name, engagement.status.value, tree(engagement)) == ("weather", "completed", ["weather"])
    (step,) = engagement.steps
    assert calls(step) == [("llm_call", "test"), ("tool_call", "forecast"), ("llm_call", "test")]
    asked, tool, answered = step.events
    assert asked.payload["messages"] == [{"role": "user", "content": "How is the weather?"}]
    assert (tool.payload["args"], tool.payload["result"]) == ({"city": "a"}, "sunny")
    assert answered.payload["response"]["content"] == result.output
    assert asked.payload["response"]["tool_calls"][0]["name"] == "forecast"
    usage = result.usage() if callable(result.usage) else result.usage
    assert engagement.total_tokens == usage.input_tokens + usage.output_tokens
    assert seen.update(step) == json.loads(result.output)


def test_pydantic_ai_in_turns(seen: Seen, pydantic_agent: Any) -> None:
    async def talk() -> None:
        first = await pydantic_agent.run("hi")
        await pydantic_agent.run("and now?", message_history=first.all_messages())

    asyncio.run(talk())
    engagement = seen.one()
    assert (engagement.n_turns, [(step.name, step.visit) for step in engagement.steps]) == (
        2,
        [("weather", 1), ("weather", 2)],
    )


def test_pydantic_ai_in_a_step_and_with_an_error(seen: Seen, pydantic_agent: Any) -> None:
    @pydantic_agent.tool_plain
    def broken() -> str:
        raise RuntimeError("no station")

    with ftnb.record("e") as run:
        with pytest.raises(RuntimeError, match="no station"), run.step("ask"):
            pydantic_agent.run_sync("hi")
        with run.step("excuse"):
            pass
    engagement = seen.one()
    assert tree(engagement) == ["ask failed", "ask/weather failed", "excuse < ask:static"]
    failed = [event for event in engagement.steps[1].events if event.kind.value == "tool_call" and event.error]
    assert [(event.name, event.error_type) for event in failed] == [("broken", "RuntimeError")]


# --- smolagents, with OpenInference ---


def test_smolagents(seen: Seen, provider: TracerProvider) -> None:
    pytest.importorskip("smolagents")
    from openinference.instrumentation.smolagents import SmolagentsInstrumentor
    from smolagents import Model, Tool, ToolCallingAgent
    from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole

    class Forecast(Tool):
        name = "forecast"
        description = "The forecast of a city."
        inputs = {"city": {"type": "string", "description": "where"}}  # noqa: RUF012
        output_type = "string"

        def forward(self, city: str) -> str:
            return "sunny"

    script = [("forecast", {"city": "Bern"}), ("final_answer", {"answer": "sunny"})]

    class Scripted(Model):
        def generate(self, messages: Any, **_: Any) -> ChatMessage:
            name, arguments = script.pop(0)
            function = ChatMessageToolCallFunction(name=name, arguments=arguments)
            call = ChatMessageToolCall(id=name, type="function", function=function)
            return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])

    instrumentor = SmolagentsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        agent = ToolCallingAgent(tools=[Forecast()], model=Scripted(model_id="scripted"), verbosity_level=0)
        assert agent.run("How is the weather?") == "sunny"
    finally:
        instrumentor.uninstrument()
    engagement = seen.one()
    assert engagement.status.value == "completed"
    assert tree(engagement) == ["Step", "Step@2.1 < Step:static"]
    tools = [event for step in engagement.steps for event in step.events if event.kind.value == "tool_call"]
    assert [(tool.name, tool.payload["args"]) for tool in tools] == [
        ("forecast", {"city": "Bern"}),
        ("final_answer", {"answer": "sunny"}),
    ]


# --- LlamaIndex, with OpenInference: spans tell what they are at their end ---


def test_llama_index(seen: Seen, provider: TracerProvider) -> None:
    pytest.importorskip("llama_index.core")
    from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

    from tests.otel.llama_flow import Finder

    async def main() -> Any:
        return await Finder(timeout=20).run(city="Bern")

    instrumentor = LlamaIndexInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        assert asyncio.run(main()) == "find a flat"
    finally:
        instrumentor.uninstrument()
    engagement = seen.one()
    assert (engagement.name, engagement.status.value) == ("Finder.run", "completed")
    assert tree(engagement) == ["Finder.search", "Finder.answer < Finder.search:static"]
    (event,) = engagement.steps[0].events  # the model's two layers of spans are one call
    assert event.payload["messages"] == [{"role": "user", "content": "find a flat"}]


# --- OpenAI Agents, with OpenInference ---


def test_openai_agents(seen: Seen, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    agents: Any = pytest.importorskip("agents")
    pytest.importorskip("openinference.instrumentation.openai_agents")
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    def said(text: str) -> Any:
        part = ResponseOutputText(type="output_text", text=text, annotations=[])
        return ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=[part])

    def calls_tool(name: str) -> Any:
        return ResponseFunctionToolCall(type="function_call", name=name, arguments="{}", call_id=name)

    class Scripted(agents.Model):  # type: ignore[misc]
        def __init__(self, *script: Any) -> None:
            self.script = list(script)

        async def get_response(self, *_: Any, **__: Any) -> Any:
            usage = agents.Usage(requests=1, input_tokens=10, output_tokens=2, total_tokens=12)
            with agents.generation_span(input=[{"role": "user", "content": "hi"}], model="scripted") as span:
                span.span_data.usage = {"input_tokens": 10, "output_tokens": 2}
                return agents.ModelResponse(output=[self.script.pop(0)], usage=usage, response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    @agents.function_tool
    def forecast() -> str:
        return "sunny"

    weather = agents.Agent(
        name="weather", model=Scripted(calls_tool("forecast"), said("sunny")), tools=[forecast], handoff_description="w"
    )
    desk = agents.Agent(name="desk", model=Scripted(calls_tool("transfer_to_weather")), handoffs=[weather])
    instrumentor = OpenAIAgentsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        result = asyncio.run(agents.Runner.run(desk, "hi"))
    finally:
        instrumentor.uninstrument()
    assert result.final_output == "sunny"
    engagement = seen.one()
    assert (engagement.status.value, engagement.total_tokens) == ("completed", 36)
    tops = [line for line in tree(engagement) if "/" not in line]
    assert tops == ["desk", "weather < desk:static"]
    tools = [event.name for step in engagement.steps for event in step.events if event.kind.value == "tool_call"]
    assert "forecast" in tools
