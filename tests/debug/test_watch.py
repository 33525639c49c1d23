"""Who wrote a key of the state, and when something became true of it."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

import ftnb
from ftnb.langgraph_adapter import tap
from ftnb.store.sqlite import SQLiteStore
from tests.debug.house import GIVEN, house


@pytest.fixture
def eng(store: SQLiteStore) -> Any:
    house().invoke(GIVEN)
    return ftnb.last()


def told(watch: Any) -> list[tuple[str, Any, Any]]:
    return [(write.who, write.before, write.after) for write in watch]


def test_every_write_to_a_key_in_the_order_in_which_it_happened(eng: Any) -> None:
    assert told(eng.watch("budget")) == [
        ("plan", "(absent)", 100),
        ("left", 100, 90),
        ("left visit 2", 90, 80),
        ("sub/first", 80, 81),
        ("sub", 80, 81),
        ("spend", 81, 0),
    ]


def test_without_the_tap_it_is_the_same(store: SQLiteStore) -> None:
    tap.disable()
    try:
        house().invoke(GIVEN)
    finally:
        tap.disable(False)
    assert [write.after for write in ftnb.last().watch("budget")] == [100, 90, 80, 81, 81, 0]


def test_a_part_of_a_key_shows_only_what_changed_it(eng: Any) -> None:
    assert told(eng.watch("plan.n")) == [("plan", "(absent)", 0), ("gather", 0, 1), ("gather visit 2", 1, 2)]
    assert told(eng.watch("plan.title")) == [("plan", "(absent)", "a")]
    assert [write.who for write in eng.watch("path[3]")] == ["gather"]


def test_writes_side_by_side_say_so(eng: Any) -> None:
    writes = [write for write in eng.watch("path") if write.beside]
    assert [write.who for write in writes] == ["left", "right", "work", "work visit 2", "work visit 3"]
    assert writes[0].beside == ("right",)
    assert (writes[1].before, writes[1].after) == (["plan"], ["plan", "right"])


def test_input_and_edits_from_outside_are_no_steps(store: SQLiteStore) -> None:
    from tests.debug.test_inspect import paused_graph

    graph, config = paused_graph(), {"configurable": {"thread_id": "1"}}
    from langgraph.types import Command

    graph.invoke({"path": []}, config)
    graph.invoke(Command(resume=7), config)
    graph.update_state(config, {"x": 99})
    graph.invoke({"path": ["more"]}, config)
    assert [(write.kind, write.before, write.after) for write in ftnb.last().watch("x")] == [
        ("write", "(absent)", 7),
        ("outside", 7, 99),
    ]
    kinds = [write.kind for write in ftnb.last().watch("path")]
    assert kinds.count("input") == 2


def test_the_frame_has_a_row_a_write(eng: Any) -> None:
    frame = eng.watch("budget").frame()
    assert frame.columns == [
        "step_id", "name", "ns", "visit", "attempt", "turn", "kind", "changed", "n_beside", "before", "after",
    ]  # fmt: skip
    assert frame["after"].to_list() == ["100", "90", "80", "81", "81", "0"]
    assert frame["before"].to_list()[0] is None
    assert "before" not in eng.watch("messages").frame(values=False).columns


def test_it_reads_as_text_and_html(eng: Any) -> None:
    watch = eng.watch("messages")
    assert repr(watch).splitlines()[0] == "messages: 4 writes"
    assert "right: + [1]: assistant: 'ok'" in repr(watch)
    assert "<b>messages: 4 writes</b>" in watch._repr_html_()
    assert watch.last is watch[-1]


def test_who_wrote_gives_the_steps_and_the_last(eng: Any) -> None:
    writers = eng.who_wrote("budget")
    assert [step.name for step in writers] == ["plan", "left", "left", "first", "sub", "spend"]
    assert writers.last.name == "spend"
    assert writers.last.diff()["budget"] == (81, 0)


def test_the_first_step_after_which_something_holds(eng: Any) -> None:
    first = eng.first(lambda state: state.get("budget", 100) < 90)
    assert (first.name, first.visit) == ("left", 2)
    assert eng.first(lambda state: "right" in state["path"]).name == "right"
    assert eng.first(lambda state: "work y" in state["path"]).input == {"item": "y"}
    assert eng.first(lambda state: state.get("budget") == 12345) is None
    assert eng.first(lambda state: state["budget"] == 81, ns="sub").name == "first"
    assert eng.first(lambda state: isinstance(state, dict) and type(state) is dict).name == "plan"


def test_wrong_questions_are_told_clearly(eng: Any) -> None:
    with pytest.raises(ftnb.UnknownKeyError, match=r"no key 'buget' in the state of .* Did you mean 'budget'\?"):
        eng.watch("buget")
    with pytest.raises(
        ftnb.UnknownKeyError, match=r"no key 'titel' in 'plan' .*; keys: n, title. Did you mean 'title'"
    ):
        eng.who_wrote("plan.titel")
    with pytest.raises(ftnb.UnknownKeyError, match=r"no key '50' in 'path' .* 0 … 16"):
        eng.watch("path[50]")
    with pytest.raises(ftnb.InvalidArgumentError, match="a key of the state is a text"):
        eng.watch(3)
    with pytest.raises(
        ftnb.InvalidArgumentError, match=r"raised KeyError: 'zz' on the state after 'plan', whose keys are: .*state.get"
    ):
        eng.first(lambda state: state["zz"])
    with pytest.raises(ftnb.InvalidArgumentError, match="takes a function of the state"):
        eng.first("budget < 0")
    with pytest.raises(ftnb.InvalidArgumentError, match="no graph ran inside 'shop'; there are: sub"):
        eng.first(lambda state: True, ns="shop")


def test_a_key_that_nobody_wrote_is_known_and_has_no_writes(store: SQLiteStore) -> None:
    from langgraph.graph import START, StateGraph

    from tests.debug.house import House

    builder = StateGraph(House)
    builder.add_node("a", lambda state: {"path": ["a"]})
    builder.add_edge(START, "a")
    builder.compile(checkpointer=InMemorySaver()).invoke(GIVEN, {"configurable": {"thread_id": "1"}})
    assert len(ftnb.last().watch("budget")) == 0
    assert ftnb.last().who_wrote("budget").last is None
