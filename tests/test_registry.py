"""Defaults of the process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

import ftnb
from ftnb.core.model import EventKind, TokenUsage
from ftnb.llm import LangChainClient, LLMResult
from ftnb.recorder import Recorder
from ftnb.registry import REGISTER
from ftnb.store.sqlite import SQLiteStore


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    REGISTER.reset()
    yield
    REGISTER.reset()


class Client:
    async def acomplete(self, messages: Any, **overrides: Any) -> LLMResult:
        return LLMResult("x", TokenUsage(), "m")


def test_a_client_is_kept_until_reset() -> None:
    client = Client()
    assert REGISTER.set_llm_provider(client) is client
    assert REGISTER.get_llm_provider() is REGISTER.llm_provider is client
    REGISTER.reset()
    assert REGISTER.get_llm_provider() is None


def test_a_langchain_model_is_wrapped() -> None:
    made = REGISTER.set_llm_provider(GenericFakeChatModel(messages=iter([])))
    assert isinstance(made, LangChainClient)
    assert REGISTER.get_llm_provider() is made


def test_an_object_with_an_async_call_is_async() -> None:
    class Call:
        async def __call__(self, messages: Any, **overrides: Any) -> None: ...

    class Holder:
        acomplete = Call()

    assert REGISTER.set_llm_provider(Holder()) is not None


class Sync:
    def acomplete(self, messages: Any) -> None: ...


@pytest.mark.parametrize(("given", "said"), [(object(), "needs a method `acomplete"), (Sync(), "is not async")])
def test_what_is_no_client_is_refused_and_changes_nothing(given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        REGISTER.set_llm_provider(given)
    assert REGISTER.get_llm_provider() is None


def test_what_is_no_recorder_is_refused() -> None:
    with pytest.raises(TypeError, match="has no start_engagement, start_step, record_llm_call"):
        REGISTER.set_recorder(object())
    assert REGISTER.get_recorder() is None


def test_usage_outside_a_workflow_is_an_engagement_of_its_own() -> None:
    store = SQLiteStore()
    with_recorder = Recorder(store)
    REGISTER.set_recorder(with_recorder)
    engagement_id = REGISTER.record_llm_usage(
        "openai/gpt-5-nano",
        tokens=TokenUsage(prompt=10, completion=5),
        caller="classifier",
        metadata={"session_id": "s1"},
        duration_ms=12.5,
    )
    assert engagement_id is not None
    engagement = store.get_engagement(engagement_id)
    assert (engagement.name, engagement.status.value, engagement.total_tokens) == ("classifier", "completed", 15)
    assert engagement.metadata == {
        "session_id": "s1",
        "model": "openai/gpt-5-nano",
        "caller": "classifier",
        "standalone": True,
    }
    (event,) = engagement.steps[0].events
    assert (event.kind, event.model, event.duration_ms) == (EventKind.LLM_CALL, "openai/gpt-5-nano", 12.5)
    assert store.list_engagements(where={"standalone": True})[0].id == engagement_id
    with_recorder.close()
    store.close()


def test_funnels_leave_usage_outside_a_workflow_out_unless_asked() -> None:
    store = SQLiteStore()
    recorder = Recorder(store)
    REGISTER.set_recorder(recorder)
    told = recorder.start_engagement("e", metadata={"note": "standalone"})
    recorder.end_step(recorder.start_step(told, "intake"))
    recorder.end_engagement(told)
    for _ in range(2):
        REGISTER.record_llm_usage("m", tokens=TokenUsage(prompt=1))
    traces = ftnb.open(store)
    for source in (store, traces, (traces.steps(), traces.engagements())):
        assert ftnb.funnel(source, ["intake"]).total == 1
        asked = ftnb.funnel(source, ["completion"], where={"standalone": True})
        assert (asked.total, asked.steps[0].reached) == (2, 2)
    recorder.close()
    store.close()


def test_nothing_is_recorded_without_a_recorder() -> None:
    assert REGISTER.record_llm_usage("m", tokens=TokenUsage(prompt=1)) is None


def test_a_recorder_that_fails_does_not_reach_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def start_engagement(self, *_: Any, **__: Any) -> None:
            raise OSError("disk full")

        start_step = record_llm_call = end_step = end_engagement = start_engagement

    REGISTER.set_recorder(Broken())
    with caplog.at_level(logging.WARNING, "ftnb"):
        assert REGISTER.record_llm_usage("m", tokens=TokenUsage(prompt=1)) is None
    assert "disk full" in caplog.text
