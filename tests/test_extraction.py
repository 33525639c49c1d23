"""Structured data out of text, through Instructor's real clients against a local server."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

import ftnb
from ftnb.core.model import EventKind, Step
from ftnb.extraction import Extractor
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.openai_server import FakeOpenAI, serving

pytestmark = [
    # Instructor's and the SDK's own.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Budget(BaseModel):
    budget: int
    area: str


GOOD = ("Budget", '{"budget": 95000, "area": "Shibuya"}')
BAD = ("Budget", '{"budget": "a lot", "area": "Shibuya"}')


@pytest.fixture
def openai() -> Iterator[FakeOpenAI]:
    with serving() as fake:
        yield fake


class Trace:
    def __init__(self) -> None:
        self.store = SQLiteStore()
        self.recorder = Recorder(self.store)
        self.engagement_id = self.recorder.start_engagement("e")
        self.step_id = self.recorder.start_step(self.engagement_id, "qualify")

    def step(self) -> Step:
        return self.store.get_engagement(self.engagement_id).steps[0]

    def llm_calls(self) -> list[tuple[str, int, bool]]:
        events = [event for event in self.step().events if event.kind is EventKind.LLM_CALL]
        return [(e.payload["response"], e.tokens.total if e.tokens else 0, e.error is None) for e in events]


@pytest.fixture
def trace() -> Iterator[Trace]:
    trace = Trace()
    yield trace
    trace.recorder.close()
    trace.store.close()


def extractor(fake: FakeOpenAI, *, is_async: bool = False) -> Extractor:
    return Extractor.from_provider("openai/gpt-4o-mini", async_client=is_async, api_key="k", base_url=fake.url)


def test_what_is_extracted_is_recorded_with_its_call(openai: FakeOpenAI, trace: Trace) -> None:
    openai.answers = [GOOD]
    result = extractor(openai).extract_and_record(trace.recorder, trace.step_id, Budget, "Shibuya, about 95k")
    assert isinstance(result.value, Budget)
    step = trace.step()
    assert step.extraction is not None
    assert (step.extraction.valid, step.extraction.values) == (True, {"budget": 95000, "area": "Shibuya"})
    assert "budget" in step.extraction.json_schema["properties"]
    assert trace.llm_calls() == [(GOOD[1], 16, True)]
    assert step.total_tokens == 16
    assert openai.requests[0]["messages"][-1]["content"].startswith("Shibuya, about 95k")


async def test_the_async_client_too(openai: FakeOpenAI, trace: Trace) -> None:
    openai.answers = [GOOD]
    made = extractor(openai, is_async=True)
    result = await made.aextract_and_record(trace.recorder, trace.step_id, Budget, "x", model="gpt-4o")
    assert result.values == {"budget": 95000, "area": "Shibuya"}
    assert trace.llm_calls() == [(GOOD[1], 16, True)]
    assert openai.requests[0]["model"] == "gpt-4o"


async def test_a_client_that_blocks_is_called_in_a_thread(openai: FakeOpenAI) -> None:
    openai.answers = [GOOD]
    assert (await extractor(openai).aextract(Budget, "x")).value.area == "Shibuya"
    where: list[int] = []

    class Blocking:
        def create(self, **_: Any) -> Budget:
            where.append(threading.get_ident())
            return Budget(budget=1, area="x")

    await Extractor(Blocking()).aextract(Budget, "x")
    assert where != [threading.get_ident()]


def test_each_retry_is_recorded_with_its_tokens(openai: FakeOpenAI, trace: Trace) -> None:
    openai.answers = [BAD, GOOD]
    extractor(openai).extract_and_record(trace.recorder, trace.step_id, Budget, "x", max_retries=2)
    assert trace.llm_calls() == [(BAD[1], 16, False), (GOOD[1], 16, True)]
    step = trace.step()
    assert step.total_tokens == 32
    assert step.extraction is not None
    assert step.extraction.valid


def test_what_never_fits_is_recorded_as_it_came(openai: FakeOpenAI, trace: Trace) -> None:
    openai.answers = [BAD]
    with pytest.raises(Exception, match="budget"):
        extractor(openai).extract_and_record(trace.recorder, trace.step_id, Budget, "x", max_retries=2)
    step = trace.step()
    assert step.extraction is not None
    assert (step.extraction.schema_name, step.extraction.valid) == ("Budget", False)
    assert step.extraction.values["raw_text"] == BAD[1]
    assert "budget" in step.extraction.values["error"]
    assert [ok for _, _, ok in trace.llm_calls()] == [False] * len(openai.requests)
    assert step.total_tokens == 16 * len(openai.requests)


async def test_what_never_fits_async(openai: FakeOpenAI, trace: Trace) -> None:
    openai.answers = ["no data here"]
    with pytest.raises(Exception, match=r".+"):
        await extractor(openai, is_async=True).aextract_and_record(
            trace.recorder, trace.step_id, Budget, "x", max_retries=1
        )
    step = trace.step()
    assert step.extraction is not None
    assert (step.extraction.valid, step.extraction.values["raw_text"]) == (False, "no data here")


def test_a_provider_that_fails_is_recorded(openai: FakeOpenAI, trace: Trace) -> None:
    openai.answers = [400]
    with pytest.raises(Exception, match=r"400|no"):
        extractor(openai).extract_and_record(trace.recorder, trace.step_id, Budget, "x", max_retries=1)
    step = trace.step()
    assert step.extraction is not None
    assert not step.extraction.valid
    assert step.extraction.values["raw_text"] == ""
    assert trace.llm_calls() == [("", 0, False)]


def test_the_result_can_be_returned_from_a_node(openai: FakeOpenAI) -> None:
    openai.answers = [BAD, GOOD]
    result = extractor(openai).extract(Budget, "x", max_retries=2)
    record = result.as_record().model_dump()
    assert (record["schema_name"], record["values"]["budget"], record["valid"]) == ("Budget", 95000, True)
    bad, good = result.as_llm_calls()
    assert (bad["total_tokens"], good["total_tokens"]) == (16, 16)
    assert "budget" in bad["error"]
    assert "error" not in good


def test_a_client_of_ones_own_needs_only_create(trace: Trace) -> None:
    given: dict[str, Any] = {}

    class Client:
        def create(self, **kwargs: Any) -> Budget:
            given.update(kwargs)
            return Budget(budget=1, area="x")

    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    result = Extractor(Client()).extract_and_record(trace.recorder, trace.step_id, Budget, messages, temperature=0)
    assert given == {"response_model": Budget, "messages": messages, "temperature": 0}
    assert result.attempts == []
    assert trace.step().extraction is not None


def test_an_async_client_used_without_await_says_so() -> None:
    class Client:
        async def create(self, **_: Any) -> Budget:
            return Budget(budget=1, area="x")

    with pytest.raises(ftnb.InvalidArgumentError, match=r"await extractor\.aextract"):
        Extractor(Client()).extract(Budget, "x")


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "instructor", None)
    with pytest.raises(ftnb.MissingPackageError, match=r"ftnb\[extraction\]"):
        Extractor.from_provider("openai/gpt-4o-mini")


def test_tool_arguments_of_other_providers_are_the_raw_text() -> None:
    from types import SimpleNamespace

    from ftnb.extraction import _raw_text

    anthropic = SimpleNamespace(content=[SimpleNamespace(text="thinking", input=None), SimpleNamespace(input={"a": 1})])
    assert json.loads(_raw_text(anthropic)) == {"a": 1}
    assert _raw_text(SimpleNamespace(text="plain")) == "plain"
