"""Every SDK, called in every way: what is recorded, and that its user sees what he would see without."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest

import ftnb
from ftnb.core.model import EngagementStatus, StepEvent, StepStatus
from tests.sdk.clients import EVERY_SDK, LITELLM, MODEL, SECRET, Sdk
from tests.sdk.conftest import Recorded
from tests.sdk.providers import TOKENS, Providers

pytestmark = [
    # aiohttp, of how google-genai uses it.
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    # LiteLLM builds its models with fields that pydantic finds unexpected, and leaves clients open.
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*"),
    pytest.mark.filterwarnings("ignore:The 'initial' parameter:DeprecationWarning"),  # google-genai, of tenacity
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(params=EVERY_SDK, ids=lambda sdk: sdk.id)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    found: Sdk = request.param
    return found


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def run(sdk: Sdk, way: str, client: Any, **more: Any) -> Any:
    if way == "sync":
        return sdk.call(client, **more)

    async def main() -> Any:
        return await sdk.acall(client, **more)

    return asyncio.run(main())


def read(sdk: Sdk, way: str, client: Any, n: int | None = None, leave: Callable[[Any], Any] | None = None) -> list[Any]:
    """Parts of a stream, `n` of them (None: all), and then it is left."""
    parts: list[Any] = []
    if way == "sync":
        for part in (stream := sdk.stream(client)):
            parts.append(part)
            if len(parts) == n:
                break
        if leave is not None:
            leave(stream)
        return parts

    async def main() -> None:
        stream = await sdk.astream(client)
        async for part in stream:
            parts.append(part)
            if len(parts) == n:
                break
        close = getattr(stream, "close", None) or getattr(stream, "aclose", None)
        if close is not None:
            await close()

    asyncio.run(main())
    return parts


def tokens(event: StepEvent) -> tuple[int, ...]:
    found = event.tokens
    assert found is not None
    return found.prompt, found.completion, found.total, found.cache_read, found.cache_write, found.reasoning


def test_call(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    bare = run(sdk, way, sdk.make(fake.root, None))
    ftnb.capture(sdk.name)
    client = sdk.make(fake.root, None)
    answer = run(sdk, way, client)
    assert type(answer) is type(bare)
    assert sdk.text(answer) == sdk.text(bare) == "hello"
    call = recorded.call()
    assert tokens(call) == TOKENS
    assert call.name.endswith(MODEL)
    assert call.error is None
    assert call.ttft_ms is None
    assert call.duration_ms is not None
    assert call.duration_ms > 0
    said = call.payload
    assert [one["role"] for one in said["messages"]] == ["system", "user"]
    assert [one["content"] for one in said["messages"]] == ["be brief", "hi"]
    assert said["response"]["role"] == "assistant"
    assert said["response"]["content"] == "hello"
    assert said["response"]["finish_reason"].lower() in ("stop", "end_turn", "completed")
    assert "0.5" in json.dumps(said["parameters"])
    if sdk is not LITELLM:
        assert call.model is not None
        assert call.model.endswith("-2026")


def test_tool_call(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    fake.answers = [("search", {"q": "flats"})]
    ftnb.capture(sdk.name)
    run(sdk, way, sdk.make(fake.root, None), tools=True)
    call = recorded.call()
    (tool,) = call.payload["response"]["tool_calls"]
    assert (tool["name"], tool["args"]) == ("search", {"q": "flats"})
    assert "search" in json.dumps(call.payload["parameters"]["tools"])


def test_stream(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    bare = read(sdk, way, sdk.make(fake.root, None))
    ftnb.capture(sdk.name)
    parts = read(sdk, way, sdk.make(fake.root, None))
    assert [type(part) for part in parts] == [type(part) for part in bare]
    call = recorded.call()
    assert call.payload["response"]["content"] == "hello"
    assert call.payload["response"]["finish_reason"].lower() in ("stop", "end_turn", "completed")
    assert "stream" not in call.payload
    assert tokens(call) == TOKENS
    assert call.ttft_ms is not None
    assert call.duration_ms is not None
    assert 0 < call.ttft_ms <= call.duration_ms
    assert call.error is None


def test_streamed_tool_call(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    fake.answers = [("search", {"q": "flats"})]
    ftnb.capture(sdk.name)
    read(sdk, way, sdk.make(fake.root, None))
    call = recorded.call()
    (tool,) = call.payload["response"]["tool_calls"]
    assert (tool["name"], tool["args"], tool["id"]) == ("search", {"q": "flats"}, "call_1")
    assert call.ttft_ms is not None


def _raised(what: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (each SDK has its own)
        what()
    return caught.value


def _outcome(what: Callable[[], Any]) -> Any:
    try:
        return what()
    except Exception as error:
        return error


def test_error_after_retries(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    fake.answers = [429]
    bare = _raised(lambda: run(sdk, way, sdk.make(fake.root, None)))
    ftnb.capture(sdk.name)
    error = _raised(lambda: run(sdk, way, sdk.make(fake.root, None)))
    assert type(error) is type(bare)
    assert str(error) == str(bare)
    call = recorded.call()
    assert call.error is not None
    assert "too much" in call.error
    assert call.error_type == type(error).__name__
    assert call.payload["http_status"] == 429
    assert call.payload["messages"][1]["content"] == "hi"
    if sdk is not LITELLM:
        assert call.payload["retries"] == 2
        assert call.payload["retried_after"] == [429, 429]
    (engagement,) = recorded.engagements()
    assert engagement.status is EngagementStatus.FAILED
    assert engagement.steps[0].status is StepStatus.FAILED


def test_retried_and_well(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    fake.answers = [500, "hello"]
    ftnb.capture(sdk.name, "openai")  # LiteLLM leaves the retries to it
    run(sdk, way, sdk.make(fake.root, None))
    call = recorded.call()
    assert call.error is None
    assert tokens(call) == TOKENS
    assert call.payload["retries"] == 1
    assert call.payload["retried_after"] == [500]


def test_timeout(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    fake.answers = ["hang"]
    ftnb.capture(sdk.name)
    error = _raised(lambda: run(sdk, way, sdk.make(fake.root, 0.05)))
    fake.released.set()
    call = recorded.call()
    assert call.error_type == type(error).__name__
    assert "Timeout" in str(call.error_type)
    assert call.payload["messages"][1]["content"] == "hi"


def test_connection_breaks_in_a_stream(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    fake.answers = ["half"]
    bare = _outcome(lambda: read(sdk, way, sdk.make(fake.root, None)))
    ftnb.capture(sdk.name)
    outcome = _outcome(lambda: read(sdk, way, sdk.make(fake.root, None)))
    assert type(outcome) is type(bare)
    call = recorded.call()
    if isinstance(outcome, Exception):  # LiteLLM's async streams just end, as if they were whole
        assert call.error_type is not None
    assert call.ttft_ms is not None
    text = call.payload["response"]["content"]
    assert text
    assert "hello".startswith(text)


def test_error_in_a_stream(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    fake.answers = ["error in stream"]
    ftnb.capture(sdk.name)
    _raised(lambda: read(sdk, way, sdk.make(fake.root, None)))
    call = recorded.call()
    assert call.error is not None
    assert "too much" in call.error


def test_stream_that_is_left_half_read(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    ftnb.capture(sdk.name)
    parts = read(sdk, way, sdk.make(fake.root, None), n=2, leave=lambda stream: getattr(stream, "close", int)())
    assert len(parts) == 2
    _let_go(sdk, fake)
    call = recorded.call()
    assert call.error is None
    assert call.payload["stream"] == "closed before its end"
    so_far = call.payload["response"]["content"] or ""  # the first parts of some say nothing yet
    assert "hello".startswith(so_far)
    assert so_far != "hello"
    assert call.duration_ms is not None
    assert recorded.engagements()[0].status is EngagementStatus.COMPLETED


def _let_go(sdk: Sdk, fake: Providers) -> None:
    """LiteLLM keeps its latest stream until its next call, in a variable of its own."""
    ftnb.uncapture()
    if sdk is LITELLM:
        sdk.call(sdk.make(fake.root, None))
    gc.collect()


def test_stream_that_is_dropped(sdk: Sdk, fake: Providers, recorded: Recorded) -> None:
    ftnb.capture(sdk.name)
    client = sdk.make(fake.root, None)
    stream = sdk.stream(client)
    next(iter(stream))
    del stream
    _let_go(sdk, fake)
    call = recorded.call()
    assert call.payload["stream"] == "closed before its end"


async def test_cancelled(sdk: Sdk, fake: Providers, recorded: Recorded) -> None:
    fake.answers = ["hang"]
    ftnb.capture(sdk.name)
    task = asyncio.ensure_future(sdk.acall(sdk.make(fake.root, None)))
    while not fake.requests and not task.done():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    fake.released.set()
    assert recorded.call().error_type == "CancelledError"


def test_no_secret_is_written(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    ftnb.redact("off")
    try:
        ftnb.capture(sdk.name)
        run(sdk, way, sdk.make(fake.root, None))
        fake.answers = [429]
        _raised(lambda: run(sdk, way, sdk.make(fake.root, None)))
        for engagement in recorded.engagements():
            assert SECRET not in engagement.model_dump_json()
    finally:
        ftnb.redact("defaults")


def test_nothing_after_uncapture(sdk: Sdk, way: str, fake: Providers, recorded: Recorded) -> None:
    ftnb.capture(sdk.name)
    client = sdk.make(fake.root, None)
    run(sdk, way, client)
    ftnb.uncapture(sdk.name)
    run(sdk, way, client)
    assert len(recorded.calls()) == 1
