"""Clients of language models: LiteLLM's real one against a local server, LangChain's models, and the contract."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

import ftnb
from ftnb.core.errors import LLMError
from ftnb.core.model import TokenUsage
from ftnb.llm import LangChainClient, LiteLLMClient, LLMClient, LLMResult, ToolRequest, as_client
from tests.openai_server import FakeOpenAI, serving

pytestmark = [
    # LiteLLM's and its dependencies' own.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic"),
]
TOOL = {
    "name": "add",
    "description": "Add.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
}


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with serving() as fake:
        yield fake


def client(fake: FakeOpenAI, **settings: Any) -> LiteLLMClient:
    return LiteLLMClient(
        provider="openai", model="gpt-5-nano", api_key="k", api_base=fake.url, num_retries=0, **settings
    )


# --- LiteLLM, as it is ---


def test_a_completion(openai: FakeOpenAI) -> None:
    result = client(openai, seed=3).complete("hi")
    assert (result.text, result.model) == ("hello", "openai/gpt-5-nano")
    assert result.tokens == TokenUsage(prompt=11, completion=5, total=16)
    assert openai.requests[0]["messages"] == [{"role": "user", "content": "hi"}]
    assert openai.requests[0]["seed"] == 3


async def test_an_async_completion_with_overrides(openai: FakeOpenAI) -> None:
    made = LiteLLMClient.from_config(
        {"llm_provider": "openai", "model": "gpt-5-nano", "key": "k", "api_base": openai.url, "seed": 1}
    )
    result = await made.acomplete([{"role": "user", "content": "hi"}], model="gpt-4o-mini", seed=2)
    assert (result.text, result.model) == ("hello", "openai/gpt-4o-mini")
    assert (openai.requests[0]["model"], openai.requests[0]["seed"]) == ("gpt-4o-mini", 2)


async def test_a_stream_gives_chunks_and_then_the_whole(openai: FakeOpenAI) -> None:
    openai.answers = ["hello you two"]
    *chunks, last = [one async for one in client(openai).astream("hi")]
    assert chunks == ["hell", "o yo", "u tw", "o"]
    assert isinstance(last, LLMResult)
    assert (last.text, last.tokens.total) == ("hello you two", 16)


async def test_tools_go_out_and_requests_come_back(openai: FakeOpenAI) -> None:
    openai.answers = [("add", '{"a": 1}')]
    result = await client(openai).acomplete("1?", tools=[TOOL])
    assert result.tool_calls == [ToolRequest("add", {"a": 1}, "call_1")]
    assert result.text == ""
    assert openai.requests[0]["tools"] == [{"type": "function", "function": TOOL}]


async def test_a_tool_loop_is_told_in_the_providers_words(openai: FakeOpenAI) -> None:
    talk = [
        {"role": "user", "content": "1?"},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "add", "args": {"a": 1}, "id": "c1"}]},
        {"role": "tool", "name": "add", "tool_call_id": "c1", "content": {"sum": 2}},
    ]
    await client(openai).acomplete(talk, tools=[TOOL])
    _, asked, told = openai.requests[0]["messages"]
    assert asked["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    ]
    assert json.loads(told["content"]) == {"sum": 2}
    assert talk[2]["content"] == {"sum": 2}


@pytest.mark.parametrize("arguments", ["{a: 1", "[1]"])
async def test_arguments_that_are_no_json_are_told_not_lost(openai: FakeOpenAI, arguments: str) -> None:
    openai.answers = [("add", arguments)]
    (request,) = (await client(openai).acomplete("1?", tools=[TOOL])).tool_calls
    assert request.args == {}
    assert request.error is not None
    assert arguments in request.error


async def test_a_provider_that_fails_raises(openai: FakeOpenAI) -> None:
    openai.answers = [500]
    with pytest.raises(Exception, match="no"):
        await client(openai, max_retries=0).acomplete("hi")


# --- what LiteLLM is not needed for ---


def test_a_stream_of_tool_calls_is_put_together() -> None:
    from ftnb.llm._litellm import _Stream

    def chunk(index: int, call_id: str | None, name: str | None, arguments: str) -> Any:
        function = SimpleNamespace(name=name, arguments=arguments)
        delta = SimpleNamespace(content=None, tool_calls=[SimpleNamespace(index=index, id=call_id, function=function)])
        return SimpleNamespace(choices=[SimpleNamespace(delta=delta)], usage=None)

    stream = _Stream("m")
    for one in (chunk(0, "a", "add", '{"x"'), chunk(1, "b", "sub", "{}"), chunk(0, None, None, ": 1}")):
        assert stream.take(one) == ""
    assert stream.result().tool_calls == [ToolRequest("add", {"x": 1}, "a"), ToolRequest("sub", {}, "b")]


async def test_an_answer_without_a_choice_is_an_error() -> None:
    async def empty(**_: Any) -> Any:
        return SimpleNamespace(choices=[], usage=None)

    with pytest.raises(LLMError, match="without any choice"):
        await LiteLLMClient(model="m", _acompletion=empty).acomplete("hi")


def test_a_configuration_without_a_model_is_refused() -> None:
    with pytest.raises(ftnb.InvalidArgumentError, match="names no 'model'; it has: key, llm_provider"):
        LiteLLMClient.from_config({"llm_provider": "openai", "key": "secret"})


def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(LiteLLMClient(model="m", api_key="secret"))


def test_cached_and_reasoning_tokens_are_read() -> None:
    def completion(**_: Any) -> Any:
        usage = SimpleNamespace(
            prompt_tokens=10,
            completion_tokens=4,
            total_tokens=14,
            prompt_tokens_details=SimpleNamespace(cached_tokens=6, cache_creation_tokens=None),
            completion_tokens_details=SimpleNamespace(reasoning_tokens=3),
        )
        return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content="x"))], usage=usage)

    tokens = LiteLLMClient(model="m", _completion=completion).complete("hi").tokens
    assert (tokens.cache_read, tokens.cache_write, tokens.reasoning) == (6, 0, 3)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(ftnb.MissingPackageError, match=r"LiteLLMClient needs.*ftnb\[llm\]") as raised:
        LiteLLMClient(model="m").complete("hi")
    assert raised.value.__context__ is None  # a notebook would show the import's own traceback above it


def test_importing_it_imports_no_provider() -> None:
    code = "import sys, ftnb.llm; print(sorted({'litellm', 'openai', 'langchain_core'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# --- LangChain's models ---


class ToolModel(GenericFakeChatModel):
    """Keeps what it was given, tools included."""

    seen: list[Any] = []  # noqa: RUF012  (a field of the pydantic model)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        self.seen.append(tools)
        return self

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        self.seen.append(messages)
        return ChatResult(generations=[ChatGeneration(message=next(self.messages))])


async def test_a_chat_model_completes() -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "input_token_details": {"cache_read": 1}}
    said = AIMessage("hello", usage_metadata=usage, response_metadata={"model_name": "m-1"})  # type: ignore[arg-type]
    result = await as_client(GenericFakeChatModel(messages=iter([said]))).acomplete("hi")
    assert (result.text, result.model) == ("hello", "m-1")
    assert result.tokens == TokenUsage(prompt=3, completion=2, total=5, cache_read=1)


async def test_a_chat_model_streams() -> None:
    model = LangChainClient(GenericFakeChatModel(messages=iter([AIMessage("hello you")])))
    *chunks, last = [one async for one in model.astream("hi")]
    assert "".join(chunks) == "hello you"  # type: ignore[arg-type]
    assert len(chunks) > 1
    assert isinstance(last, LLMResult)
    assert last.text == "hello you"


async def test_a_chat_model_uses_tools() -> None:
    said = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "c1"}])
    model = ToolModel(messages=iter([said]), seen=[])
    talk = [
        {"role": "user", "content": "1?"},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "add", "args": {"a": 1}, "id": "c0"}]},
        {"role": "tool", "name": "add", "tool_call_id": "c0", "content": {"sum": 2}},
    ]
    result = await as_client(model).acomplete(talk, tools=[TOOL])
    assert result.tool_calls == [ToolRequest("add", {"a": 1}, "c1")]
    tools, messages = model.seen
    assert tools == [{"type": "function", "function": TOOL}]
    assert isinstance(messages[2], ToolMessage)
    assert json.loads(str(messages[2].content)) == {"sum": 2}


async def test_text_in_blocks_is_text() -> None:
    said = AIMessage(
        [{"type": "text", "text": "a"}, {"type": "reasoning", "reasoning": "?"}, {"type": "text", "text": "b"}]
    )
    model = ToolModel(messages=iter([said]), seen=[])
    assert (await as_client(model).acomplete("hi")).text == "ab"


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ftnb.InvalidArgumentError, match=r"no language model: give an object with .*acomplete"):
        as_client(object())


def test_the_contract_is_structural() -> None:
    assert isinstance(LiteLLMClient(model="m"), LLMClient)
    assert isinstance(LangChainClient(GenericFakeChatModel(messages=iter([]))), LLMClient)
    assert not isinstance(object(), LLMClient)


def test_a_result_tells_its_call() -> None:
    result = LLMResult("x", TokenUsage(prompt=2, completion=1), "m")
    assert result.as_llm_call() == {"name": "m", "prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
    assert result.as_llm_call(name="n")["name"] == "n"
