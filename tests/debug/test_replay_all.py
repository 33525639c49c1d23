"""Many recorded runs against the code of today."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from langgraph.types import Command

import ftnb
from ftnb.core.errors import InvalidArgumentError, ReplayError
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import Traces
from tests.capture.models import parrot
from tests.debug import graphs
from tests.debug.graphs import BY_NAME, CASES, HELLO, Case, note, ran


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_unchanged_code_does_as_recorded(store: SQLiteStore, case: Case) -> None:
    graph = case.build()
    for thread in ("one", "two"):
        case.run(graph, thread)
    n_engagements = len(store.list_engagements())
    ran.clear()
    result = ftnb.replay_all(Traces(store), graph, progress=False)
    assert result, result.describe()
    assert result.n_engagements == n_engagements == 2
    assert sum(ran.values()) > 0
    assert ran["weather"] == ran["book"] == 0
    assert result.frame().is_empty()
    assert result.n_steps >= 2 * len({step.name for step in ftnb.last().steps})
    # Nothing of it was recorded.
    assert len(store.list_engagements()) == n_engagements


def rows(result: Any) -> list[tuple[Any, ...]]:
    return result.frame().select("step", "what", "cause", "is_first", "expected", "got").rows()


def test_changed_code_is_found_and_what_follows_from_it_is_told_apart(store: SQLiteStore) -> None:
    graphs.chain().invoke(HELLO)
    changed = graphs.builder((START, "a"), ("a", "b"), ("b", "c"), ("c", END), b=note("B", n=1))
    result = ftnb.replay_all(Traces(store), changed.compile(), progress=False)
    assert not result
    assert rows(result) == [
        ("b", "output", "code", True, '{"notes":["b2"]}', '{"n":1,"notes":["B2"]}'),
    ]
    longer = graphs.builder((START, "a"), ("a", "b"), ("b", "c"), ("c", END), b=lambda state: {"notes": ["b2", "more"]})
    result = ftnb.replay_all(store, longer.compile(), progress=False)
    assert rows(result) == [
        ("b", "output", "code", True, '{"notes":["b2"]}', '{"notes":["b2","more"]}'),
        ("c", "output", "code", False, '{"notes":["c3"]}', '{"notes":["c4"]}'),
    ]
    assert result.frame()["because"].to_list() == [None, "'b'"]
    with pytest.raises(AssertionError, match=r"step 'b': output \(cause: code\)\n  expected: .*b2.*\n  got:"):
        result.check()


def test_a_router_that_decides_otherwise_and_a_step_that_raises_are_code(store: SQLiteStore) -> None:
    graph = graphs.conditional()
    graph.invoke(HELLO)
    builder = graphs.builder((START, "a"), ("left", "z"), ("right", "z"), a=note("a", n=5))
    builder.add_conditional_edges("a", lambda state: "right", {"left": "left", "right": "right"})
    result = ftnb.replay_all(store, builder.compile(), progress=False)
    found = rows(result)
    assert found[0] == ("a", "route", "code", True, '{"branch:to:left":null}', '{"branch:to:right":null}')
    assert [(step, what, first) for step, what, _, first, *_ in found[1:]] == [
        ("left", "missing", False), ("z", "output", False), ("right", "extra", False),
    ] or [(step, what, first) for step, what, _, first, *_ in found[1:]] == [
        ("left", "missing", False), ("right", "extra", False),
    ]  # fmt: skip

    def breaks(state: Any) -> Any:
        raise ValueError("broken today")

    broken = graphs.builder((START, "a"), a=breaks)
    broken.add_conditional_edges("a", lambda state: "left", {"left": "left"})
    broken.add_node("left", note("left"))
    found = rows(ftnb.replay_all(store, broken.compile(), progress=False))
    assert found[0] == ("a", "status", "code", True, "completed", "failed: ValueError: broken today")


def test_an_edge_that_leads_elsewhere_is_topology(store: SQLiteStore) -> None:
    graphs.chain().invoke(HELLO)
    moved = graphs.builder((START, "a"), ("a", "c"), ("c", END), b=note("b"))
    result = ftnb.replay_all(store, moved.compile(), progress=False)
    assert result.frame()["cause"].unique().to_list() == ["topology"]
    assert rows(result)[0][:4] == ("a", "route", "topology", True)


def agent_with(prompt: str = "You book rooms.", model: Any = None, rename: str | None = None) -> Any:
    said = model or parrot("never said")

    def think(state: graphs.Chat) -> dict[str, Any]:
        return {"messages": [said.invoke([("system", prompt), *state["messages"]])]}

    def act(state: graphs.Chat) -> dict[str, Any]:
        asked = state["messages"][-1]
        assert isinstance(asked, AIMessage)
        tools = {"weather": graphs.weather, "book": graphs.book}
        calls = [{**one, "args": {**one["args"], "city": rename or one["args"]["city"]}} for one in asked.tool_calls]
        return {"messages": [tools[one["name"]].invoke({**one, "type": "tool_call"}) for one in calls]}

    made = graphs.builder((START, "think"), ("act", "think"), state=graphs.Chat, think=think, act=act)
    made.add_conditional_edges("think", lambda s: "act" if s["messages"][-1].tool_calls else END, ["act", END])
    return made.compile()


def test_a_changed_prompt_model_or_tool_is_named_and_nothing_is_called(store: SQLiteStore) -> None:
    graphs.agent().invoke(graphs.CHAT)
    ran.clear()
    assert ftnb.replay_all(store, agent_with(), progress=False)
    asks = rows(ftnb.replay_all(store, agent_with("You book rooms, politely."), progress=False))
    assert [row[:4] for row in asks] == [("think", "prompt", "prompt", True)] * 3
    assert "politely" in asks[0][5]
    assert "politely" not in asks[0][4]
    other = parrot("never said", model_name="parrot-2")
    models = rows(ftnb.replay_all(store, agent_with(model=other), progress=False))
    assert [row[:4] for row in models] == [("think", "settings", "model", True)] * 3
    assert "parrot-1" in models[0][4]
    assert "parrot-2" in models[0][5]
    tools = rows(ftnb.replay_all(store, agent_with(rename="Bonn"), progress=False))
    assert tools[0][:4] == ("act", "arguments", "tool", True)
    assert '"city":"Bonn"' in tools[0][5]
    assert ran["weather"] == ran["book"] == 0
    assert other.at == [0]


def test_another_result_of_one_tool_reaches_only_the_steps_that_depend_on_it(store: SQLiteStore) -> None:
    graph = graphs.agent()
    graph.invoke(graphs.CHAT)
    graph.invoke({"messages": [("user", "Another one.")]})
    events = Traces(store).events()
    first = ftnb.last().parent_id or store.list_engagements()[0].id
    call = events.filter((events["engagement_id"] == first) & (events["name"] == "book"))["event_id"][0]
    result = ftnb.replay_all(store, graph, edit={call: "fully booked"}, progress=False)
    found = result.frame().select("engagement_id", "step", "visit", "what", "cause", "is_first").rows()
    assert found == [
        (first, "act", 2, "output", "tool", True),
        (first, "think", 3, "prompt", "tool", False),
    ]
    assert "fully booked" in str(result.frame()["got"][0])


def test_keys_that_differ_each_time_are_ignored_on_request(store: SQLiteStore) -> None:
    count = iter(range(100))
    graph = graphs.builder((START, "a"), ("a", "b"), a=lambda state: {"n": next(count), "notes": ["x"]}).compile()
    graph.invoke(HELLO)
    assert not ftnb.replay_all(store, graph, progress=False)
    assert ftnb.replay_all(store, graph, ignore=["n"], progress=False)


def test_what_failed_then_fails_now(store: SQLiteStore) -> None:
    def fragile(state: Any) -> Any:
        raise ValueError("always")

    graph = graphs.builder((START, "a"), ("a", "fragile"), fragile=fragile).compile()
    with pytest.raises(ValueError, match="always"):
        graph.invoke(HELLO)
    assert ftnb.replay_all(store, graph, progress=False)
    mended = graphs.builder((START, "a"), ("a", "fragile")).compile()
    assert rows(ftnb.replay_all(store, mended, progress=False)) == [
        ("fragile", "status", "code", True, "failed: ValueError: always", "completed"),
    ]


def test_an_interrupt_keeps_what_is_done_and_progress_is_told(store: SQLiteStore) -> None:
    graph = graphs.builder((START, "a")).compile()
    for _ in range(5):
        graph.invoke(HELLO)
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    result = ftnb.replay_all(store, graph, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (5, 5)
    import ftnb.core._progress as module

    every, module._EVERY = module._EVERY, 0.0
    try:
        result = ftnb.replay_all(store, graph, progress=progress)
    finally:
        module._EVERY = every
    assert result.n_engagements == 2
    assert not result
    assert not result.is_whole
    assert "interrupted after 2 of 5" in repr(result)


def test_branches_are_left_out_and_what_cannot_be_replayed_is_said(store: SQLiteStore) -> None:
    graph = graphs.chain()
    graph.invoke(HELLO)
    ftnb.last().fork("b", graph=graph)
    with ftnb.record("calls alone"):
        parrot("hi").invoke("hello")
    result = ftnb.replay_all(store, graph, progress=False)
    assert (result.n_engagements, result.n_failed, result.n_diverged) == (1, 1, 0)
    assert not result
    errors = result.engagements().drop_nulls("error")["error"].to_list()
    assert len(errors) == 1
    assert "has no steps of a LangGraph graph" in errors[0]
    assert "not replayed" in result.describe()


def test_turns_whose_beginning_is_not_on_record_are_said_to_be_so(store: SQLiteStore) -> None:
    graph = graphs.builder((START, "a"), ("a", "b"), ("b", END)).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke(HELLO, config)
    graph.invoke(Command(goto="b"), config)
    edited: Any = {"configurable": {"thread_id": "2"}}
    graph.invoke(HELLO, edited)
    graph.update_state(edited, {"notes": ["mine"]}, as_node="a")
    graph.invoke(None, edited)
    result = ftnb.replay_all(store, graph, progress=False)
    assert result.n_diverged == 0
    errors = sorted(result.engagements()["error"].to_list())
    assert len(errors) == 2
    assert "the state was changed by update_state after" in errors[0]
    assert "turn 2 began with a Command, or at an older checkpoint" in errors[1]


def test_bad_arguments_are_refused(store: SQLiteStore) -> None:
    graph = graphs.chain()
    graph.invoke(HELLO)
    with pytest.raises(InvalidArgumentError, match="use='refuse' is unknown here; known: recorded, live"):
        ftnb.replay_all(store, graph, use="refuse")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="got one text; write ignore="):
        ftnb.replay_all(store, graph, ignore="n")
    with pytest.raises(InvalidArgumentError, match="takes opened traces"):
        ftnb.replay_all(5, graph)
    with pytest.raises(InvalidArgumentError, match="must be a compiled LangGraph"):
        ftnb.replay_all(store, "app")


def test_a_multi_turn_conversation_keeps_its_thread(store: SQLiteStore) -> None:
    """Nodes see the thread id under which they ran; what else they were configured with is given again."""
    seen: list[Any] = []

    def who(state: Any, config: RunnableConfig) -> Any:
        seen.append((config["configurable"]["thread_id"], config["configurable"].get("user")))
        return {"notes": [str(seen[-1])]}

    graph = graphs.builder((START, "who"), who=who).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t-7", "user": "ann"}}
    graph.invoke(HELLO, config)
    graph.invoke(HELLO, config)
    assert ftnb.replay_all(store, graph, config={"configurable": {"user": "ann"}}, progress=False)
    assert seen == [("t-7", "ann")] * 4


# --- tests that are written ---

AGENT = """
from typing import TypedDict
from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    n: int
    twice: int


def double(state):
    return {"twice": state["n"] * 2}


def build():
    builder = StateGraph(State)
    builder.add_node("double", double)
    builder.add_edge(START, "double")
    return builder.compile()


app = build()
"""


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    # No plugins, which take their time; no bytecode, which is as old as a file that is written twice in a second.
    own = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    own["PYTHONPATH"] = str(Path(ftnb.__file__).parents[1])
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=120, check=False)


def test_a_run_becomes_a_test_that_passes_and_fails_when_the_code_changes(
    store: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_agent.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_agent  # type: ignore[import-not-found]

    my_agent.app.invoke({"n": 21})
    written = ftnb.last().to_pytest(tmp_path / "test_doubling.py")
    text = written.read_text()
    assert "from my_agent import app" in text
    assert "def test_doubling_goes_as_recorded() -> None:" in text
    assert "Then it went: double." in text
    passed = run_pytest(tmp_path)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    (tmp_path / "my_agent.py").write_text(AGENT.replace("* 2}", "* 3}"))
    failed = run_pytest(tmp_path)
    assert failed.returncode == 1
    assert "step 'double': output (cause: code)" in failed.stdout
    assert 'expected: {"twice":42}' in failed.stdout
    assert 'got:      {"twice":63}' in failed.stdout
    monkeypatch.delitem(sys.modules, "my_agent")


def test_a_written_run_holds_all_that_was_said(store: SQLiteStore, tmp_path: Path) -> None:
    graph = graphs.agent()
    graph.invoke({"messages": [("user", "A room in Rome. " + "Please. " * 200)]})
    written = ftnb.last().to_pytest(tmp_path, graph="somewhere:build()")
    assert "replay_all(RECORDED, build()," in written.read_text()
    data = written.with_suffix(".json")
    result = ftnb.replay_all(data, graph, progress=False)
    assert result, result.describe()
    assert result.n_steps == 5
    changed = ftnb.replay_all(data, agent_with("Other."), progress=False)
    assert changed.frame()["cause"].to_list() == ["prompt"] * 3
    for case in ("asking", "functional", "parallel_tools", "pydantic_state", "nested"):
        graph = BY_NAME[case].build()
        BY_NAME[case].run(graph)
        file = ftnb.last().to_pytest(tmp_path / f"test_{case}.py", graph="somewhere:app").with_suffix(".json")
        result = ftnb.replay_all(file, graph, progress=False)
        assert result, result.describe()


def test_a_test_is_not_written_where_it_could_not_run(store: SQLiteStore, tmp_path: Path) -> None:
    graphs.chain().invoke(HELLO)
    engagement, graph = ftnb.last(), graphs.chain()
    with pytest.raises(ReplayError, match="in no module that a test could import"):
        engagement.to_pytest(tmp_path, graph=graph)
    with pytest.raises(InvalidArgumentError, match="does not say where the test finds its graph"):
        engagement.to_pytest(tmp_path, graph="just words")
    assert engagement.to_pytest(tmp_path / "new/tests", graph="a:b").parent == tmp_path / "new/tests"
    with pytest.raises(InvalidArgumentError, match="no name that pytest collects"):
        engagement.to_pytest(tmp_path / "run.py", graph="a:b")
    written = engagement.to_pytest(tmp_path / "test_it.py", graph="a:b")
    with pytest.raises(InvalidArgumentError, match="is there already; pass overwrite=True"):
        engagement.to_pytest(written, graph="a:b")
    assert engagement.to_pytest(written, graph="a:b", overwrite=True) == written
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ftnb.NotOurFileError, match="holds no recorded run"):
        ftnb.replay_all(tmp_path / "other.json", graph)
