"""A hundred real conversations, recorded in a real kernel while a LangGraph agent replays them.

The kernel runs what a user would type; what it recorded is read here, from the file that it left.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient

import ftnb
from ftnb.traces import Traces
from tests.real.replay import CONVERSATIONS, NOT_HERE, TRANSFER, read_conversations

pytestmark = pytest.mark.skipif(not CONVERSATIONS.is_file(), reason=NOT_HERE)

REPOSITORY = Path(__file__).parents[2]
CELLS = (
    "import sys; sys.path.insert(0, {repository!r})",
    "%load_ext ftnb",
    "%ftnb store {store}",
    """%%trace --name airline --global transfer_to_human_agents
from tests.real.replay import Airline, read_conversations

conversations = read_conversations()
airline = Airline(conversations)
for conversation in conversations:
    airline.replay(conversation)""",
)


@pytest.fixture(scope="module")
def conversations() -> list[dict[str, Any]]:
    return read_conversations()


@pytest.fixture(scope="module")
def tr(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    """What a kernel with `%load_ext ftnb` recorded of them."""
    folder = tmp_path_factory.mktemp("airline")
    store = folder / "airline.db"
    notebook = nbformat.v4.new_notebook()
    for cell in CELLS:
        code = cell.format(repository=str(REPOSITORY), store=store) if "conversation" not in cell else cell
        notebook.cells.append(nbformat.v4.new_code_cell(code))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return ftnb.open(store)


def messages_of(conversations: list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    return [m for conversation in conversations for m in conversation["traj"] if m["role"] == role]


def answered_turns(conversation: dict[str, Any]) -> int:
    return sum(a["role"] == "user" and b["role"] == "assistant" for a, b in pairwise(conversation["traj"]))


def keyed(frame: pl.DataFrame, column: str) -> dict[tuple[int, int], Any]:
    return {(row["task_id"], row["trial"]): row[column] for row in frame.iter_rows(named=True)}


def test_each_conversation_is_one_engagement_with_its_turns(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    engagements = tr.engagements(meta=["task_id", "trial"])
    assert engagements.height == 100
    assert set(engagements["status"]) == {"completed"}
    expected = {(c["task_id"], c["trial"]): answered_turns(c) for c in conversations}
    assert keyed(engagements, "n_turns") == expected
    assert max(expected.values()) > 5


def test_the_outcome_is_metadata(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    engagements = tr.engagements(meta=["task_id", "trial", "reward"])
    assert keyed(engagements, "reward") == {(c["task_id"], c["trial"]): c["reward"] for c in conversations}


def test_tool_calls_per_tool_are_those_of_the_file(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    calls = tr.events().filter(pl.col("kind") == "tool_call")
    assert Counter(calls["name"]) == Counter(m["name"] for m in messages_of(conversations, "tool"))


def test_llm_calls_are_the_messages_of_the_assistant(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    calls = tr.events().filter(pl.col("kind") == "llm_call")
    assert calls.height == len(messages_of(conversations, "assistant"))


def test_a_tool_call_keeps_its_arguments_and_its_result(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    calls = tr.events(payload=True).filter(pl.col("kind") == "tool_call")
    recorded = [(name, json.loads(payload)) for name, payload in calls.select("name", "payload").iter_rows()]
    asked = [
        (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for message in messages_of(conversations, "assistant")
        for call in message.get("tool_calls") or ()
    ]
    assert [(name, payload["args"]) for name, payload in recorded] == asked
    assert [payload["result"] for _, payload in recorded] == [m["content"] for m in messages_of(conversations, "tool")]


def test_a_transfer_is_an_intent_switch(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    transfers = sum(m["name"] == TRANSFER for m in messages_of(conversations, "tool"))
    switches = tr.intent_switches()
    assert switches.height == transfers > 20
    assert set(switches["to_step"]) == {TRANSFER}
    assert set(switches["from_step"]) == {"agent"}
    assert tr.steps().filter(pl.col("is_global")).height == transfers


def test_the_frames_agree_with_the_fold(tr: Traces) -> None:
    models = [tr.store.get_engagement(engagement_id) for engagement_id in tr.engagements()["engagement_id"]]
    assert [m.gaps for m in models] == [[]] * 100
    assert tr.engagements().select("n_steps", "total_tokens", "n_turns").rows() == [
        (len(m.steps), m.total_tokens, m.n_turns) for m in models
    ]
    columns = ("engagement_id", "step_id", "name", "visit", "turn", "status", "n_events", "triggers", "started_at")
    assert tr.steps().select(columns).rows() == [
        (m.id, s.id, s.name, s.visit, s.turn, s.status.value, len(s.events), s.triggers, s.started_at)
        for m in models
        for s in m.steps
    ]
    assert tr.events()["event_id"].to_list() == [e.id for m in models for s in m.steps for e in s.events]


def test_every_turn_begins_with_the_agent(tr: Traces) -> None:
    firsts = tr.steps().group_by("engagement_id", "turn", maintain_order=True).first()
    assert set(firsts["name"]) == {"agent"}
    assert firsts.height == tr.engagements()["n_turns"].sum()


def test_the_funnel_counts_who_used_a_tool_and_who_was_transferred(
    tr: Traces, conversations: list[dict[str, Any]]
) -> None:
    used = [{m["name"] for m in c["traj"] if m["role"] == "tool"} for c in conversations]
    transferred = [TRANSFER in names for names in used]
    with_tools = [bool(names - {TRANSFER}) for names in used]
    both = [a and b for a, b in zip(with_tools, transferred, strict=True)]
    order = ["agent", "tools", TRANSFER]
    visited = tr.funnel(order).frame()["reached"].to_list()
    assert visited == [100, sum(with_tools), sum(transferred)]
    ordered = tr.funnel(order, mode="ordered").frame()["reached"].to_list()
    assert ordered == [100, sum(with_tools), sum(both)]


def test_parquet_gives_back_the_same(tr: Traces, tmp_path: Path) -> None:
    again = ftnb.open(tr.to_parquet(tmp_path / "share"))
    for name in ("engagements", "steps", "events", "transitions", "extractions", "intent_switches"):
        assert getattr(again, name)().equals(getattr(tr, name)()), name
    for engagement_id in tr.engagements()["engagement_id"]:
        assert again.engagement(engagement_id).model == tr.engagement(engagement_id).model


def test_a_long_conversation_costs_its_length_and_not_its_square(tr: Traces) -> None:
    """Each step's state holds all messages before it; on disk each message stands once."""
    longest = tr.engagements().sort("n_steps")["engagement_id"][-1]
    run = tr.engagement(longest)
    whole = sum(len(json.dumps(step.input, default=str)) for step in run.steps)
    blobs = pl.DataFrame(tr.store.scan_blobs()).filter(pl.col("engagement_id") == longest)
    assert blobs["data"].bin.size().sum() < whole / 4
