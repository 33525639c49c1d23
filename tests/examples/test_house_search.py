from __future__ import annotations

import socket
from collections import Counter
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from pydantic import BaseModel

from ftnb.examples.house_search import FUNNEL, Brief, User, build_graph, make_users, run_one
from ftnb.examples.scripted_model import ScriptedChatModel

GRAPH = build_graph()


def path_of(user: User) -> list[str]:
    state = {"messages": [HumanMessage(user.opening)], "replies": list(user.replies)}
    return [node for update in GRAPH.stream(state, stream_mode="updates") for node in update]


def said_in(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message.type, message.text) for message in result["messages"]]


def happy_user() -> User:
    """Somebody who looks twice and gets the flat."""
    replies = (
        "I would like 2 rooms in Old Town, up to €1400 a month.",
        "What about Riverside instead, up to €1200?",
        "I would like to see the first one.",
        "It is lovely. I want to apply for it.",
    )
    return User("u", "couple", "web", "W01", "Hello!", replies)


def test_the_same_user_has_the_same_conversation_again() -> None:
    user = happy_user()
    assert said_in(run_one(GRAPH, user)) == said_in(run_one(build_graph(), user))


def test_users_of_a_seed_do_not_depend_on_how_many_are_asked_for() -> None:
    assert make_users(40)[:10] == make_users(10)
    assert make_users(10, seed=1) != make_users(10, seed=2)


def test_nothing_touches_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the example tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert run_one(GRAPH, happy_user())["application"].startswith("A-")


def test_both_searches_run_between_qualifying_and_ranking() -> None:
    path = path_of(happy_user())
    assert set(path[path.index("rank") - 2 : path.index("rank")]) == {"search_listings", "search_agencies"}
    assert path[0] == "greet"
    assert path[-1] == "submitted"


def test_some_runs_loop_some_fail_some_are_left_and_some_escalate() -> None:
    ends: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    most_searches = 0
    for user in make_users(80):
        try:
            path = path_of(user)
        except (ZeroDivisionError, ConnectionError) as error:
            failures[type(error).__name__] += 1
            continue
        ends[path[-1]] += 1
        most_searches = max(most_searches, path.count("search_listings"))
    assert {"submitted", "escalate", "greet", "rank", "book_viewing"} <= ends.keys()
    assert failures.keys() == {"ZeroDivisionError", "ConnectionError"}
    assert most_searches >= 3
    assert 0.25 < ends["submitted"] / 80 < 0.6


def test_the_funnel_names_nodes_of_the_graph() -> None:
    assert set(FUNNEL) <= GRAPH.get_graph().nodes.keys()


def test_qualify_reads_the_wishes_of_the_user() -> None:
    user = User("u", "couple", "web", "W01", "Hello!", ("I would like 2 rooms in Old Town, up to €1400 a month.",))
    assert run_one(GRAPH, user)["brief"] == Brief(area="Old Town", rooms=2, max_rent=1400).model_dump()


def test_a_user_without_a_budget_is_asked_for_it() -> None:
    user = User("u", "couple", "web", "W01", "Hello!", ("We would like 2 rooms in Northgate.", "At most €900 a month."))
    assert path_of(user).count("qualify") == 2


def test_nobody_is_shown_a_flat_that_was_not_found() -> None:
    wish = "I would like 2 rooms in Old Town, up to €10 a month."
    user = User("u", "couple", "web", "W01", "Hello!", (wish, "I would like to see the first one.", "At most €1400."))
    path = path_of(user)
    assert path.count("rank") == 3
    assert "book_viewing" not in path


def test_usage_numbers_add_up() -> None:
    usages = [m.usage_metadata for m in run_one(GRAPH, happy_user())["messages"] if m.type == "ai"]
    assert all(u["total_tokens"] == u["input_tokens"] + u["output_tokens"] for u in usages)
    assert all(u["input_token_details"]["cache_read"] <= u["input_tokens"] for u in usages)
    assert any(u["input_token_details"]["cache_read"] for u in usages)
    assert any(u["output_token_details"]["reasoning"] for u in usages)


class Weather(BaseModel):
    place: str


def test_the_scripted_model_streams_what_it_says() -> None:
    model = ScriptedChatModel(model_name="m", script=lambda messages: f"You said: {messages[-1].text}", ms_per_token=0)
    chunks = list(model.stream("a b c"))
    whole = sum(chunks[1:], chunks[0])
    assert isinstance(whole, AIMessageChunk)
    assert len(chunks) > 3
    assert whole.text == model.invoke("a b c").text == "You said: a b c"
    assert whole.usage_metadata == model.invoke("a b c").usage_metadata


@pytest.mark.parametrize("via_stream", [False, True])
def test_the_scripted_model_fills_structured_output(via_stream: bool) -> None:
    model = ScriptedChatModel(model_name="m", script=lambda messages: {"place": "Oslo"}).with_structured_output(Weather)
    got = list(model.stream("where?"))[-1] if via_stream else model.invoke("where?")
    assert got == Weather(place="Oslo")


def test_the_scripted_model_says_when_a_tool_is_missing() -> None:
    with pytest.raises(ValueError, match="no tool is bound"):
        ScriptedChatModel(model_name="m", script=lambda messages: {"place": "Oslo"}).invoke("where?")
