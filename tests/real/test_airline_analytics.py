"""The questions over many engagements, on a hundred real conversations, against counts from the file itself."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

import ftnb
from ftnb.core.model import EngagementStatus, EventKind, TokenUsage
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import Traces
from tests.real.replay import CONVERSATIONS, NOT_HERE, TRANSFER, read_conversations

pytestmark = pytest.mark.skipif(not CONVERSATIONS.is_file(), reason=NOT_HERE)

LOOK_UP, CHANGE = "get_reservation_details", "update_reservation_flights"
PRICES = {"gpt-4o": (2.5, 10.0)}


def tools_of(conversation: dict[str, Any]) -> list[str]:
    calls = [call for message in conversation["traj"] for call in message.get("tool_calls") or []]
    return [str(call["function"]["name"]) for call in calls]


def tokens_of(conversation: dict[str, Any]) -> int:
    """Some number of tokens that the conversation itself gives, the same every time."""
    return sum(len(str(message.get("content") or "")) for message in conversation["traj"])


@pytest.fixture(scope="module")
def conversations() -> list[dict[str, Any]]:
    return read_conversations()


@pytest.fixture(scope="module")
def tr(conversations: list[dict[str, Any]]) -> Traces:
    """Each conversation as an engagement, each tool that the agent called as a step."""
    store = SQLiteStore()
    recorder = Recorder(store)
    for conversation in conversations:
        metadata = {"task_id": conversation["task_id"], "reward": conversation["reward"]}
        engagement = recorder.start_engagement("airline", metadata=metadata)
        step = recorder.start_step(engagement, "talk")
        usage = TokenUsage(prompt=tokens_of(conversation))
        recorder.record_event(step, EventKind.LLM_CALL, "gpt-4o", model="gpt-4o", tokens=usage)
        recorder.end_step(step)
        for name in tools_of(conversation):
            recorder.end_step(recorder.start_step(engagement, name))
        recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
    assert recorder.flush(60)
    return ftnb.open(store)


def test_funnel(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    found = tr.funnel(["talk", LOOK_UP, CHANGE], mode="ordered")
    tools = [tools_of(one) for one in conversations]
    looked = [one for one in tools if LOOK_UP in one]
    changed = [one for one in looked if CHANGE in one[one.index(LOOK_UP) :]]
    assert [step.reached for step in found.steps] == [100, len(looked), len(changed)]
    assert 0 < len(changed) < len(looked) < 100


def test_directly_follows(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    counts = Counter(pair for one in conversations for pair in pairwise([None, "talk", *tools_of(one), None]))
    found = tr.directly_follows().frame().select("from_name", "to_name", "n")
    assert {(a, b): n for a, b, n in found.iter_rows()} == counts


def test_costs(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    found = tr.costs(by="task_id", prices=PRICES)
    per_task: Counter[int] = Counter()
    for one in conversations:
        per_task[one["task_id"]] += tokens_of(one)
    assert dict(found.frame().select("task_id", "cost").iter_rows()) == pytest.approx(
        {task: tokens * 2.5e-6 for task, tokens in per_task.items()}
    )


def test_rules(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    found = tr.conformance(
        rules=[f"{CHANGE} only after {LOOK_UP}", f"at most 3 {LOOK_UP}", f"never {TRANSFER}"],
        topology={None: ["talk"], "talk": [LOOK_UP]},
    )
    tools = [tools_of(one) for one in conversations]
    blind = [one for one in tools if CHANGE in one and LOOK_UP not in one[: one.index(CHANGE)]]
    often = [one for one in tools if one.count(LOOK_UP) > 3]
    gone = [one for one in tools if TRANSFER in one]
    assert found.rules()["n_broken"].to_list() == [len(blind), len(often), len(gone)]
    assert len(gone) > 5
    undeclared = [
        sum((a, b) not in {(None, "talk"), ("talk", LOOK_UP)} for a, b in pairwise([None, "talk", *one]))
        for one in tools
    ]
    assert found.frame()["n_undeclared"].to_list() == undeclared


def test_outcomes(tr: Traces, conversations: list[dict[str, Any]]) -> None:
    found = tr.outcomes("reward", prices=PRICES)
    row = found.frame().filter(name=TRANSFER).row(0, named=True)
    handed = [one for one in conversations if TRANSFER in tools_of(one)]
    good = sum(one["reward"] == 1 for one in handed)
    assert (row["n"], row["n_success"]) == (len(handed), good)
    assert found.n_success == sum(one["reward"] == 1 for one in conversations)
    assert row["cost_per_success"] == pytest.approx(sum(map(tokens_of, handed)) * 2.5e-6 / good)
