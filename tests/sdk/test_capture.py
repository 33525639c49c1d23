"""Switching capture on and off: names, versions, what is left behind, and that it does no harm."""

from __future__ import annotations

import functools
import importlib.metadata
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic import _base_client as anthropic_base
from google.genai._api_client import BaseApiClient
from openai import _base_client as openai_base

import ftnb
from ftnb.core import _call_scope
from ftnb.sdk import _registry, _stainless
from tests.sdk.clients import CHAT, MODEL, SECRET
from tests.sdk.conftest import Recorded
from tests.sdk.providers import Providers

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydantic.*"),
    # Clients that a test leaves open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    ftnb.uncapture()
    assert not _call_scope.is_watched()


def functions() -> list[Any]:
    """Everything that capture takes the place of, and what users hold of it."""
    import instructor.v2.core.patch as instructor_patch
    import litellm
    from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

    owners = [
        openai_base.SyncAPIClient, openai_base.AsyncAPIClient, openai_base.BaseClient, openai.OpenAI, openai.Stream,
        anthropic_base.SyncAPIClient, anthropic_base.AsyncAPIClient, anthropic.Anthropic, anthropic.Stream,
        BaseApiClient, CustomStreamWrapper, instructor_patch,
    ]  # fmt: skip
    found: list[Any] = [item for owner in owners for item in vars(owner).items()]
    for name in ("completion", "acompletion", "embedding", "aembedding"):
        function = getattr(litellm, name)
        found.extend([function, *[cell.cell_contents for cell in function.__closure__]])
    return found


def test_uncapture_gives_back_the_same_functions() -> None:
    before = functions()
    ftnb.capture("openai", "anthropic", "google", "litellm", "instructor")
    during = functions()
    ftnb.uncapture()
    after = functions()
    assert [item for item in during if item not in before]
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        if isinstance(one, tuple):
            assert one[0] == other[0]
            assert one[1] is other[1], one[0]
        else:
            assert one is other


def test_twice_is_once(fake: Providers, recorded: Recorded) -> None:
    assert ftnb.capture("openai") == ["openai"]
    taken = openai_base.SyncAPIClient.request
    assert ftnb.capture("openai", "openai", "anthropic") == ["anthropic", "openai"]
    assert openai_base.SyncAPIClient.request is taken
    assert ftnb.captured() == ftnb.capture() == ["anthropic", "openai"]
    CHAT.call(CHAT.make(fake.root, None))
    assert len(recorded.calls()) == 1
    assert ftnb.uncapture("openai") == ["anthropic"]
    assert ftnb.uncapture("openai") == ["anthropic"]
    assert ftnb.uncapture() == []


def test_from_many_threads() -> None:
    before = openai_base.SyncAPIClient.request
    threads = [threading.Thread(target=act, args=("openai",)) for act in (ftnb.capture, ftnb.uncapture) * 20]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ftnb.uncapture()
    assert openai_base.SyncAPIClient.request is before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("opnai", "Did you mean 'openai'?"),
        ("OpenAI", "Did you mean 'openai'?"),
        ("gemini", "Did you mean 'google'?"),
        ("claude", "Did you mean 'anthropic'?"),
        ("langchain", "Models of LangChain are recorded without it"),
        ("x", "there are: openai, anthropic, google, litellm, instructor"),
        (7, "there are: openai"),
        (["openai", "litellm"], 'capture("openai", "litellm")'),
    ],
)
def test_unknown_names(name: Any, says: str) -> None:
    with pytest.raises(ftnb.InvalidArgumentError) as caught:
        ftnb.capture(name)
    assert says in str(caught.value)
    with pytest.raises(ftnb.InvalidArgumentError):
        ftnb.uncapture(name)


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    before = openai_base.SyncAPIClient.request
    with pytest.raises(ftnb.MissingPackageError, match=r"pip install 'ftnb\[anthropic\]'"):
        ftnb.capture("openai", "anthropic")
    assert openai_base.SyncAPIClient.request is before
    assert ftnb.captured() == []


def test_version_that_was_not_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "99.1.0")
    with pytest.warns(ftnb.PartialTraceWarning, match=r"openai 99\.1\.0 was not tested, >=.* was"):
        ftnb.capture("openai")
    assert ftnb.captured() == ["openai"]


def test_versions_installed_here_were_tested() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ftnb.PartialTraceWarning)
        ftnb.capture(*_registry.SDKS)


def test_sdk_of_an_unknown_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(openai_base, "SyncAPIClient")
    with pytest.raises(ftnb.MissingPackageError, match=r"pip install 'openai>="):
        ftnb.capture("openai")
    assert ftnb.captured() == []


def test_somebody_wrapped_it_since(fake: Providers, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    original = openai_base.SyncAPIClient.request
    ftnb.capture("openai")
    ours: Any = openai_base.SyncAPIClient.request

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(self, *args, **kwargs)

    monkeypatch.setattr(openai_base.SyncAPIClient, "request", theirs)
    ftnb.uncapture("openai")
    assert openai_base.SyncAPIClient.request is theirs
    CHAT.call(CHAT.make(fake.root, None))
    assert recorded.calls() == []
    ftnb.capture("openai")
    CHAT.call(CHAT.make(fake.root, None))
    assert len(recorded.calls()) == 1
    ftnb.uncapture()
    monkeypatch.setattr(openai_base.SyncAPIClient, "request", original)


@pytest.mark.parametrize("looks_up", [False, True], ids=["holds what it wraps", "looks it up"])
def test_somebody_wrapped_it_before(
    fake: Providers, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, looks_up: bool
) -> None:
    """As OpenInference wraps the method that clients of OpenAI's inherit."""
    inherited = openai_base.SyncAPIClient.request

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(self)
        return (openai_base.SyncAPIClient.request if looks_up else inherited)(self, *args, **kwargs)

    seen: list[Any] = []
    monkeypatch.setattr(openai.OpenAI, "request", theirs, raising=False)
    ftnb.capture("openai")
    client = CHAT.make(fake.root, None)
    CHAT.call(client)
    assert [part for part in CHAT.stream(client) if part.choices]
    ftnb.uncapture()
    assert len(seen) == 2
    assert vars(openai.OpenAI)["request"] is theirs
    assert [call.payload["response"]["content"] for call in recorded.calls()] == ["hello", "hello"]


def test_litellm_was_wrapped_before(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    original = litellm.completion

    @functools.wraps(original)
    def theirs(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    monkeypatch.setattr(litellm, "completion", theirs)
    ftnb.capture("litellm")
    litellm.completion(model="gpt-5", messages=[{"role": "user", "content": "hi"}], mock_response="hello")
    ftnb.uncapture()
    assert recorded.call().payload["response"]["content"] == "hello"


def test_nothing_records(fake: Providers) -> None:
    ftnb.capture("openai")
    assert CHAT.text(CHAT.call(CHAT.make(fake.root, None))) == "hello"


def test_paused(fake: Providers, recorded: Recorded) -> None:
    ftnb.capture("openai")
    session = ftnb.start(recorded.store)
    session.pause()
    CHAT.call(CHAT.make(fake.root, None))
    session.resume()
    assert recorded.calls() == []


def test_a_fault_of_ours_does_not_reach_the_agent(
    fake: Providers, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftnb.store.sqlite import SQLiteStore

    def broken(*_: Any) -> Any:
        raise RuntimeError("ours")

    ftnb.capture("openai")
    store = SQLiteStore()
    session = ftnb.start(store)
    monkeypatch.setattr(_stainless, "Call", broken)
    assert CHAT.text(CHAT.call(CHAT.make(fake.root, None))) == "hello"
    monkeypatch.undo()
    monkeypatch.setattr(_stainless, "_took", broken)
    assert CHAT.text(CHAT.call(CHAT.make(fake.root, None))) == "hello"
    session.recorder.flush()
    assert sum(session.stats().dropped.values()) == 2
    ftnb.start(recorded.store)
    store.close()


def test_exception_is_the_same_object(fake: Providers, recorded: Recorded) -> None:
    class Odd(BaseException):
        pass

    class Client(openai.OpenAI):
        def _prepare_options(self, options: Any) -> Any:
            raise odd

    odd = Odd()
    ftnb.capture("openai")
    with pytest.raises(Odd) as caught:
        Client(base_url=f"{fake.root}/v1", api_key=SECRET).chat.completions.create(model=MODEL, messages=[])
    assert caught.value is odd
    assert recorded.call().error_type == "Odd"
