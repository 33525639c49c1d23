"""A hundred real conversations of an airline agent: replayed, and with one tool result edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, MessagesState

import ftnb
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import Traces
from tests.real.replay import CONVERSATIONS, NOT_HERE, Airline, read_conversations

pytestmark = pytest.mark.skipif(not CONVERSATIONS.is_file(), reason=NOT_HERE)


class Passenger(Airline):
    """The agent, whose router goes by the state alone: a tape that is spent has nothing to say about a replay."""

    def __init__(self, conversations: list[dict[str, Any]]) -> None:
        super().__init__(conversations)
        self._n_answers = {thread: len(tape.answers) for thread, tape in self.tapes.items()}

    def _after_tools(self, state: MessagesState, config: RunnableConfig) -> str:
        n_said = sum(isinstance(message, AIMessage) for message in state["messages"])
        return "agent" if n_said < self._n_answers[config["configurable"]["thread_id"]] else END


@pytest.fixture(scope="module")
def recorded() -> Iterator[tuple[Traces, Airline]]:
    """The conversations, recorded. Their tapes are spent, so whatever were called again would raise."""
    store = SQLiteStore()
    conversations = read_conversations()
    airline = Passenger(conversations)
    ftnb.start(store)
    for conversation in conversations:
        airline.replay(conversation)
    ftnb.stop()
    yield Traces(store), airline
    store.close()


def test_all_conversations_do_as_recorded(recorded: tuple[Traces, Airline]) -> None:
    traces, airline = recorded
    result = ftnb.replay_all(traces, airline.graph, progress=False)
    assert result, result.describe()
    assert (result.n_engagements, result.n_diverged, result.n_failed) == (100, 0, 0)
    assert result.n_steps == traces.steps().height


def test_an_edited_tool_result_reaches_only_the_steps_that_depend_on_it(recorded: tuple[Traces, Airline]) -> None:
    traces, airline = recorded
    events, steps = traces.events(), traces.steps()
    calls = events.filter((pl.col("kind") == "tool_call") & (pl.col("name") == "get_reservation_details"))
    row: dict[str, Any] = calls.row(calls.height // 2, named=True)
    result = ftnb.replay_all(traces, airline.graph, edit={row["event_id"]: "no such reservation"}, progress=False)
    frame = result.frame()
    assert result.n_diverged == 1
    assert frame["engagement_id"].unique().to_list() == [row["engagement_id"]]
    edited, *followed = frame.iter_rows(named=True)
    assert (edited["step_id"], edited["what"], edited["cause"]) == (row["step_id"], "output", "tool")
    assert "no such reservation" in edited["got"]
    # What depends on it is every later question to the model, whose prompt holds the result; the tools are asked for
    # the same, and say the same.
    own = steps.filter(pl.col("engagement_id") == row["engagement_id"])
    place = own["step_id"].to_list().index(row["step_id"])
    later = own.slice(place + 1).filter(pl.col("name") == "agent")
    assert later.height > 0
    assert [one["step_id"] for one in followed] == later["step_id"].to_list()
    assert {(one["what"], one["cause"], one["is_first"]) for one in followed} == {("prompt", "tool", False)}


def test_a_step_in_the_middle_is_forked_and_replayed(recorded: tuple[Traces, Airline]) -> None:
    traces, airline = recorded
    engagement = traces.engagement(traces.engagements().sort("n_steps")["engagement_id"][-1])
    step = engagement.step("agent", visit=5)
    replay = step.replay(graph=airline.graph, use="refuse")
    assert replay.is_same, replay.diff()
    branch = engagement.fork(step, graph=airline.graph, use="refuse")
    assert branch.status == "completed"
    turn = [one for one in engagement.steps if one.turn == step.turn]
    assert [one.name for one in branch.steps] == [one.name for one in turn[[one.id for one in turn].index(step.id) :]]
