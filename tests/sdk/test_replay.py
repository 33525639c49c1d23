"""Replaying a step whose node calls a model through its provider's SDK."""

from __future__ import annotations

from typing import Any, TypedDict

import anthropic
import openai
import pytest
from langgraph.graph import END, START, StateGraph

import ftnb
from ftnb.core.errors import InvalidArgumentError, ReplayError
from tests.sdk.clients import MODEL, SECRET
from tests.sdk.conftest import Recorded
from tests.sdk.providers import Providers

pytestmark = [
    # Clients that a test leaves open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


class State(TypedDict, total=False):
    said: str


@pytest.fixture(params=["openai", "anthropic"])
def called(request: pytest.FixtureRequest, fake: Providers, recorded: Recorded) -> tuple[str, list[str]]:
    """The provider, and the calls that its node made so far; one run is on record."""
    ftnb.capture("openai", "anthropic")
    done: list[str] = []

    def ask(state: State) -> State:
        if request.param == "openai":
            said = openai.OpenAI(base_url=f"{fake.root}/v1", api_key=SECRET, max_retries=0).chat.completions.create(
                **ASK
            )
        else:
            said = anthropic.Anthropic(base_url=fake.root, api_key=SECRET, max_retries=0).messages.create(
                max_tokens=9, **ASK
            )
        done.append(request.param)
        return {"said": type(said).__name__}

    builder = StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    builder.compile().invoke({"said": ""})
    return request.param, done


def test_no_call_leaves_silently(called: tuple[str, list[str]]) -> None:
    provider, done = called
    step = ftnb.last().step("ask")
    for use in ("recorded", "refuse"):
        with pytest.raises(ReplayError, match=f"{MODEL}.*SDK of {provider}"):
            step.replay(use=use)
        with pytest.raises(ReplayError, match=f"SDK of {provider}"):
            step.engagement.fork(at=step, use=use)
    assert done == [provider]


def test_it_is_called_where_that_is_said(called: tuple[str, list[str]]) -> None:
    provider, done = called
    step = ftnb.last().step("ask")
    for options in ({"allow_live": [provider]}, {"allow_live": [MODEL]}, {"use": "live"}):
        result = step.replay(**options)
        assert result.is_same
        assert result.frame()["n_calls_live"].to_list() == [1]
    assert len(done) == 4
    with pytest.raises(ReplayError):
        step.replay(use="refuse", allow_live=[provider])
    with pytest.raises(InvalidArgumentError, match="allow_live"):
        step.replay(allow_live=provider)
