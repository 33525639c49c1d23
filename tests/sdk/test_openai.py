"""What OpenAI's and Anthropic's SDKs offer beside plain calls: helpers, parsing, raw responses, subclasses."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

import ftnb
from tests.sdk.clients import MODEL, SECRET
from tests.sdk.conftest import Recorded
from tests.sdk.providers import TOKENS, Providers

pytestmark = [
    # Clients that a test leaves open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


class City(BaseModel):
    name: str


@pytest.fixture
def client(fake: Providers, recorded: Recorded) -> openai.OpenAI:
    made = openai.OpenAI(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0)
    ftnb.capture("openai", "anthropic")  # clients made before are seen too
    return made


@pytest.fixture
def claude(fake: Providers, recorded: Recorded) -> anthropic.Anthropic:
    ftnb.capture("openai", "anthropic")
    return anthropic.Anthropic(base_url=fake.root, api_key=SECRET, max_retries=0)


def total(recorded: Recorded) -> int:
    found = recorded.call().tokens
    assert found is not None
    return found.total


def test_parse_gives_the_parsed_object(client: openai.OpenAI, fake: Providers, recorded: Recorded) -> None:
    fake.answers = ['{"name": "Bern"}']
    answer = client.chat.completions.parse(**ASK, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Bern")
    call = recorded.call()
    assert call.payload["response"]["content"] == '{"name": "Bern"}'
    assert call.payload["parameters"]["response_format"]["json_schema"]["name"] == "City"


def test_answer_that_cannot_be_parsed_is_there_with_its_error(
    client: openai.OpenAI, fake: Providers, recorded: Recorded
) -> None:
    fake.answers = ["no JSON"]
    with pytest.raises(ValueError, match="JSON"):
        client.chat.completions.parse(**ASK, response_format=City)
    call = recorded.call()
    assert call.error_type == "ValidationError"
    assert call.payload["response"]["content"] == "no JSON"
    assert total(recorded) == TOKENS[2]


def test_helper_stream(client: openai.OpenAI, recorded: Recorded) -> None:
    with client.chat.completions.stream(**ASK, **USAGE) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert final.choices[0].message.content == "hello"
    assert total(recorded) == TOKENS[2]


def test_helper_stream_left_early(client: openai.OpenAI, recorded: Recorded) -> None:
    with client.chat.completions.stream(**ASK) as stream:
        next(iter(stream))
    assert recorded.call().payload["stream"] == "closed before its end"


def test_responses_helper_and_parse(client: openai.OpenAI, fake: Providers, recorded: Recorded) -> None:
    with client.responses.stream(model=MODEL, input="hi") as stream:
        stream.until_done()
        assert stream.get_final_response().output_text == "hello"
    fake.answers = ['{"name": "Bern"}']
    assert client.responses.parse(model=MODEL, input="hi", text_format=City).output_parsed == City(name="Bern")
    assert [call.payload["response"]["content"] for call in recorded.calls()] == ["hello", '{"name": "Bern"}']


def test_raw_responses_are_untouched(client: openai.OpenAI, recorded: Recorded) -> None:
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert type(raw).__name__ == "LegacyAPIResponse"
    assert raw.parse().choices[0].message.content == "hello"
    assert json.loads(raw.http_response.content)["id"] == "c1"
    assert recorded.call().payload["response"]["content"] == "hello"


def test_raw_stream(client: openai.OpenAI, recorded: Recorded) -> None:
    raw = client.chat.completions.with_raw_response.create(**ASK, **USAGE, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices) == "hello"
    assert total(recorded) == TOKENS[2]


def test_streaming_response_read_by_hand(client: openai.OpenAI, recorded: Recorded) -> None:
    with client.chat.completions.with_streaming_response.create(**ASK) as raw:
        assert type(raw).__name__ == "APIResponse"
        assert raw.json()["id"] == "c1"  # type: ignore[index]
    call = recorded.call()
    assert call.payload["response"]["content"] == "hello"
    assert call.tokens is not None


def test_stream_that_was_read_below_the_sdk(fake: Providers, recorded: Recorded) -> None:
    """As by a cache, or a transport that stands in for the provider."""

    def read(response: Any) -> None:
        response.read()

    http = openai.DefaultHttpxClient(event_hooks={"response": [read]})
    client = openai.OpenAI(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0, http_client=http)
    ftnb.capture("openai")
    said = [part.choices[0].delta.content or "" for part in client.chat.completions.create(**ASK, stream=True)]
    assert "".join(said) == "hello"
    call = recorded.call()
    assert call.payload["response"]["content"] == "hello"
    assert call.ttft_ms is None


def test_streaming_response_by_lines(client: openai.OpenAI, recorded: Recorded) -> None:
    with client.chat.completions.with_streaming_response.create(**ASK, stream=True) as raw:
        lines = [line for line in raw.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert recorded.call().payload["response"]["content"] == "hello"


async def test_async_helper_and_raw(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("openai")
    async with openai.AsyncOpenAI(base_url=f"{fake.root}/v1", api_key=SECRET) as client:
        async with client.chat.completions.stream(**ASK, **USAGE) as stream:
            assert (await stream.get_final_completion()).choices[0].message.content == "hello"
        async with client.chat.completions.with_streaming_response.create(**ASK) as raw:
            assert (await raw.json())["id"] == "c1"  # type: ignore[index]
    assert [call.payload["response"]["content"] for call in recorded.calls()] == ["hello", "hello"]


def test_embeddings(client: openai.OpenAI, recorded: Recorded) -> None:
    found = client.embeddings.create(model="embed-x", input=["a", "b"], encoding_format="float")
    assert found.data[1].embedding == [0.5, 0.25, 1.0]
    call = recorded.call()
    assert call.subtype == "embedding"
    assert [one["content"] for one in call.payload["messages"]] == ["a", "b"]
    assert call.payload["response"] == {"n_embeddings": 2, "dimensions": 3}
    assert total(recorded) == 5


def test_text_completion(client: openai.OpenAI, recorded: Recorded) -> None:
    client.completions.create(model=MODEL, prompt="hi")
    call = recorded.call()
    assert call.payload["messages"] == [{"role": "user", "content": "hi"}]
    assert call.payload["response"]["content"] == "hello"


def test_subclass_options_and_azure(client: openai.OpenAI, fake: Providers, recorded: Recorded) -> None:
    class Mine(openai.OpenAI):
        pass

    Mine(base_url=f"{fake.root}/v1", api_key=SECRET).chat.completions.create(**ASK)
    client.with_options(timeout=3).chat.completions.create(**ASK)
    azure = openai.AzureOpenAI(azure_endpoint=fake.root, api_key=SECRET, api_version="2024-10-21")
    azure.chat.completions.create(**ASK)
    assert [call.payload["provider"] for call in recorded.calls()] == ["openai", "openai", "azure"]
    assert fake.requests[-1][0] == f"/openai/deployments/{MODEL}/chat/completions"


def test_what_is_no_call_of_a_model_is_not_recorded(client: openai.OpenAI, recorded: Recorded) -> None:
    with pytest.raises(openai.APIStatusError):
        client.models.list()
    assert recorded.calls() == []


def test_request_changed_after_the_call(client: openai.OpenAI, recorded: Recorded) -> None:
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    client.chat.completions.create(model=MODEL, messages=messages)
    messages[0]["content"][0]["text"] = "changed"
    messages.append({"role": "user", "content": "more"})
    assert recorded.call().payload["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]


def test_anthropic_helper(claude: anthropic.Anthropic, recorded: Recorded) -> None:
    with claude.messages.stream(**ASK, max_tokens=9) as stream:
        assert "".join(stream.text_stream) == "hello"
        assert stream.get_final_message().usage.output_tokens == 7
    assert total(recorded) == TOKENS[2]


def test_anthropic_helper_left_early(claude: anthropic.Anthropic, recorded: Recorded) -> None:
    with claude.messages.stream(**ASK, max_tokens=9) as stream:
        next(iter(stream.text_stream))
    assert recorded.call().payload["stream"] == "closed before its end"


def test_anthropic_beta_and_raw(claude: anthropic.Anthropic, recorded: Recorded) -> None:
    claude.beta.messages.create(**ASK, max_tokens=9)
    raw = claude.messages.with_raw_response.create(**ASK, max_tokens=9)
    assert raw.parse().content[0].text == "hello"  # type: ignore[union-attr]
    assert [call.payload["response"]["content"] for call in recorded.calls()] == ["hello", "hello"]


def test_anthropic_tools_in_the_conversation(claude: anthropic.Anthropic, recorded: Recorded) -> None:
    messages: list[Any] = [
        {"role": "user", "content": "find"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I look"}, {"type": "tool_use", "id": "t1", "name": "search", "input": {"q": 1}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "3 flats"}]},
    ]  # fmt: skip
    claude.messages.create(model=MODEL, messages=messages, max_tokens=9)
    said = recorded.call().payload["messages"]
    assert said[1] == {
        "role": "assistant",
        "content": "I look",
        "tool_calls": [{"name": "search", "args": {"q": 1}, "id": "t1"}],
    }
    assert said[2]["content"][0]["content"] == "3 flats"
