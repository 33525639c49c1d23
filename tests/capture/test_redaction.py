"""Secrets never reach the disk, whichever way they went through an agent; and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.graph import StateGraph
from pydantic import SecretStr

import ftnb
from ftnb.core.model import EventKind
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.capture.models import parrot
from tests.capture.shapes import Path, Seen, events, graph_of, named

KEY = "sk-proj-a1B2c3D4e5F6g7H8i9J0k1L2m3N4"
WORD = "correct-horse-battery"
EMPTY: dict[str, list[str]] = {"path": []}


@pytest.fixture(autouse=True)
def defaults_afterwards() -> Iterator[None]:
    yield
    ftnb.redact("defaults")


def on_disk(folder: FilePath) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def agent() -> Any:
    """An agent that meets the key and the word in every place where there can be one."""

    @tool
    def login(user: str, password: str, note: str) -> str:
        """Log in."""
        return f'{{"ok": true, "access_token": "{WORD}", "key": "{note}"}}'

    model = parrot(f"your key is {KEY}")

    def ask(state: dict[str, Any]) -> dict[str, Any]:
        model.invoke([SystemMessage(f"the key is {KEY}"), HumanMessage("hi")], api_key=WORD, temperature=0.5)
        login.invoke({"user": "ada", "password": WORD, "note": KEY})
        return {"password": WORD, "notes": [f"use {KEY}"], "secret": SecretStr(WORD)}

    def fail(state: dict[str, Any]) -> None:
        raise ValueError(f"401 for {KEY} at https://ada:{WORD}@host")

    builder = StateGraph(dict)
    builder.add_node("ask", ask)
    builder.add_node("fail", fail)
    builder.add_edge("__start__", "ask")
    builder.add_edge("ask", "fail")
    return builder.compile()


def run(folder: FilePath) -> Any:
    ftnb.start(folder / "t.db")
    try:
        config = {"metadata": {"api_key": WORD, "user": "ada", "hint": f"see {KEY}"}}
        with pytest.raises(ValueError, match=KEY):
            agent().invoke({"authorization": WORD, "text": f"key {KEY}"}, config)
    finally:
        ftnb.stop()
    store = SQLiteStore(folder / "t.db")
    (summary,) = store.list_engagements()
    engagement = store.get_engagement(summary.id)
    store.close()
    return engagement


def test_no_secret_reaches_the_disk(tmp_path: FilePath) -> None:
    engagement = run(tmp_path)
    data = on_disk(tmp_path)
    assert KEY.encode() not in data
    assert WORD.encode() not in data
    assert engagement.metadata["user"] == "ada"
    assert engagement.metadata["hint"] == "see [redacted: openai key]"
    llm, call = events(engagement.steps[0])
    assert llm.payload["messages"][0]["content"] == "the key is [redacted: openai key]"
    assert llm.payload["response"]["content"] == "your key is [redacted: openai key]"
    assert llm.payload["parameters"]["temperature"] == 0.5
    assert call.payload["args"]["user"] == "ada"
    assert call.payload["args"]["password"].why == "key password"
    assert (
        call.payload["result"]
        == '{"ok": true, "access_token": "[redacted: key access_token]", "key": "[redacted: openai key]"}'
    )
    assert "401 for [redacted: openai key]" in engagement.steps[1].error
    assert engagement.status.value == "failed"


def test_without_redaction_they_are_there(tmp_path: FilePath) -> None:
    ftnb.redact("off")
    run(tmp_path)
    data = on_disk(tmp_path)
    assert KEY.encode() in data
    assert WORD.encode() in data


def test_the_agent_sees_its_secrets(seen: Seen) -> None:
    given: list[Any] = []

    def node(state: Path) -> dict[str, list[str]]:
        given.append(state)
        return {"path": [KEY]}

    result = graph_of("^>node", "node>last", node=node, last=node).compile().invoke(EMPTY)
    assert result == {"path": [KEY, KEY]}
    assert given[1] == {"path": [KEY]}
    assert seen.state(named(seen.one(), "last")) == {"path": [{"$ftnb": "redacted", "why": "openai key"}]}


def test_a_rule_of_ones_own_holds_from_then_on(seen: Seen) -> None:
    graph = graph_of("^>node", node=lambda state: {"path": ["patient 7"]}).compile()
    graph.invoke(EMPTY)
    ftnb.redact(patterns={"patient": r"patient \d+"})
    graph.invoke(EMPTY)
    ftnb.redact("off")
    graph.invoke(EMPTY)
    before, masked, after = [seen.update(engagement.steps[0])["path"][0] for engagement in seen.all()]
    assert (before, after) == ("patient 7", "patient 7")
    assert masked == {"$ftnb": "redacted", "why": "patient"}


def test_a_function_that_raises_loses_no_record(seen: Seen) -> None:
    def fn(path: Any, value: Any) -> Any:
        raise RuntimeError("no")

    rules = ftnb.redact(fn=fn)
    graph_of("^>a", "a>b").compile().invoke(EMPTY)
    assert [step.name for step in seen.one().steps] == ["a", "b"]
    assert rules is not None
    assert rules.errors["fn raised RuntimeError"] > 0


def test_names_of_events_and_of_metadata_that_is_searched_for(tmp_path: FilePath) -> None:
    store = SQLiteStore(tmp_path / "t.db")
    recorder = Recorder(store)
    engagement = recorder.start_engagement(f"run {KEY}", metadata={"password": WORD, "user": "ada"})
    step = recorder.start_step(engagement, "node")
    recorder.record_event(step, EventKind.LOG, KEY, payload={"n": 1}, error=KEY)
    recorder.flush()
    assert [s.id for s in store.list_engagements({"user": "ada"})] == [engagement]
    assert store.list_engagements({"password": WORD}) == []
    (event,) = store.get_engagement(engagement).steps[0].events
    assert (event.name, event.error) == ("[redacted: openai key]", "[redacted: openai key]")
    recorder.close()
    store.close()
    assert KEY.encode() not in on_disk(tmp_path)
    assert WORD.encode() not in on_disk(tmp_path)


class Foreign:
    """A store of somebody else's: it has only `append`."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def append(self, record: Any) -> None:
        """Keep it."""
        self.records.append(record)


def test_a_foreign_store_gets_no_secret_either() -> None:
    store = Foreign()
    recorder = Recorder(store)  # type: ignore[arg-type]
    engagement = recorder.start_engagement(f"x {KEY}", metadata={"password": WORD, "user": ("a", 1)})
    step = recorder.start_step(engagement, "node")
    recorder.record_event(step, EventKind.LOG, "log", payload={"v": KEY, "left": ("a", 1)})
    recorder.close()
    assert KEY not in str(store.records)
    assert WORD not in str(store.records)
    assert store.records[0].metadata["user"] == ("a", 1)
    assert store.records[2].event.payload["left"] == ("a", 1)


# --- what a node's author wants recorded ---

langgraph_types = pytest.importorskip("langgraph.types")
needs_policy = pytest.mark.skipif(not hasattr(langgraph_types, "TracePolicy"), reason="LangGraph 1.2 and newer")


def policed(**policy: Any) -> Any:
    builder = StateGraph(Path)
    node = lambda state: {"path": ["of the node"]}  # noqa: E731
    builder.add_node("node", node, trace_policy=langgraph_types.TracePolicy(**policy))
    builder.add_node("last", lambda state: {})
    builder.add_edge("__start__", "node")
    builder.add_edge("node", "last")
    return builder.compile()


@needs_policy
def test_a_trace_policy_says_what_is_recorded_of_its_node(tmp_path: FilePath) -> None:
    ftnb.start(tmp_path / "t.db")
    policy = {
        "process_inputs": lambda value: {"n": len(value["path"])},
        "process_outputs": langgraph_types.omit_payload,
    }
    result = policed(**policy).invoke({"path": ["given"]})
    ftnb.stop()
    assert result == {"path": ["given", "of the node"]}
    store = SQLiteStore(tmp_path / "t.db")
    seen = Seen(store)
    node, last = seen.one().steps
    assert seen.state(node) == {"n": 1}
    assert not seen.update(node)
    assert seen.state(last) == {"path": ["given", "of the node"]}
    ended = store.scan(["body"], types=["step_ended"])["body"].to_pylist()[0] or b""
    assert b"of the node" not in ended
    store.close()


@needs_policy
def test_a_trace_policy_that_raises_hides_the_value(seen: Seen) -> None:
    def fail(value: Any) -> Any:
        raise KeyError("x")

    assert policed(process_outputs=fail).invoke(EMPTY) == {"path": ["of the node"]}
    node = named(seen.one(), "node")
    assert node.status.value == "completed"
    assert seen.update(node) == {"$ftnb": "redacted", "why": "trace_policy of node raised KeyError"}
