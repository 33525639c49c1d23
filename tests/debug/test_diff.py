"""Two engagements side by side, two groups in numbers, and the patches that both are made of."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send

import ftnb
from ftnb.core.canonical import to_json
from ftnb.core.errors import InvalidArgumentError
from ftnb.debug._groups import difference, wilson
from ftnb.debug._patch import apply_patch, patch, pointer
from ftnb.figures._paired import paired_figure
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.debug.house import GIVEN, house

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.tuples(st.integers(0, 2)),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("ab/~0", max_size=2), inner, max_size=4),
    max_leaves=12,
)


@given(before=values, after=values)
@settings(max_examples=150)
def test_a_patch_makes_the_second_value_out_of_the_first(before: Any, after: Any) -> None:
    ops = patch(before, after)
    assert apply_patch(to_json(before), ops) == to_json(after)
    assert (ops == []) == (to_json(before) == to_json(after))


@given(items=st.lists(st.integers(0, 3), max_size=12), more=st.lists(st.integers(0, 3), max_size=12))
@settings(max_examples=60)
def test_a_patch_of_lists_is_no_longer_than_replacing_them(items: list[int], more: list[int]) -> None:
    assert len(patch(items, more)) <= max(len(items), len(more)) + min(len(items), len(more))


def test_pointers_are_escaped() -> None:
    assert pointer(("a/b", "c~d", 3)) == "/a~1b/c~0d/3"
    assert patch({"a/b": 1}, {"a/b": 2}) == [{"op": "replace", "path": "/a~1b", "value": 2}]


def test_a_patch_that_does_not_fit_is_told() -> None:
    with pytest.raises(ftnb.InvalidArgumentError, match=r"the patch does not fit: replace '/b'"):
        apply_patch({"a": 1}, [{"op": "replace", "path": "/b", "value": 1}])


def test_an_item_inserted_in_the_middle_is_one_operation() -> None:
    assert patch([1, 2, 3, 4], [1, 2, 9, 3, 4]) == [{"op": "add", "path": "/2", "value": 9}]
    assert patch([1, 2, 3, 4], [1, 4]) == [{"op": "remove", "path": "/2"}, {"op": "remove", "path": "/1"}]


# --- two engagements ---


class State(MessagesState):
    path: Annotated[list[Any], add]
    n: int


def loop(limit: int, *, answer: str = "done") -> Any:
    def route(state: State) -> str:
        return "fix" if state["n"] < limit else "end"

    builder = StateGraph(State)
    builder.add_node("plan", lambda state: {"messages": [AIMessage("planning", id=None)]})
    builder.add_node("work", lambda state: {"path": [state["item"]]})
    builder.add_node("check", lambda state: {"n": state["n"] + 1})
    builder.add_node("fix", lambda state: {"path": ["fix"]})
    builder.add_node("end", lambda state: {"messages": [AIMessage(answer)]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda s: [Send("work", {"item": i}) for i in s["path"] or [1, 2]], ["work"])
    builder.add_edge("work", "check")
    builder.add_conditional_edges("check", route, ["fix", "end"])
    builder.add_edge("fix", "check")
    return builder.compile()


def run(graph: Any, given: Any = None, **metadata: Any) -> Any:
    graph.invoke(given or {"n": 0, "path": [], "messages": []}, {"metadata": metadata})
    return ftnb.last()


def test_two_equal_runs_have_no_difference_although_message_ids_differ(store: SQLiteStore) -> None:
    a, b = run(loop(2)), run(loop(2))
    assert (
        a.step("end").state_after["messages"][0]["data"]["id"] != b.step("end").state_after["messages"][0]["data"]["id"]
    )
    found = ftnb.diff(a, b)
    assert found.same
    assert found.first is None
    assert found.state() == []
    assert "no difference" in found.text
    assert not ftnb.diff(a, b, exact=True).same


def test_where_a_router_said_something_else_they_part(store: SQLiteStore) -> None:
    found = ftnb.diff(run(loop(2)), run(loop(1)))
    assert found.first.name == "check"
    assert found.first.what == ("decision",)
    assert found.first.text.splitlines() == [
        "they first part in check: decision differs",
        "  a: router 'route' said 'fix', so fix came next",
        "  b: router 'route' said 'end', so end came next",
    ]
    sides = {pair.label: pair.side for pair in found}
    assert sides == {
        "plan": "both", "work": "both", "work visit 2": "both", "check": "both", "fix": "a", "check visit 2": "a",
        "end": "both",
    }  # fmt: skip
    assert found.summary()["n_a"] == 2


def test_where_an_output_differs_the_patch_is_shown(store: SQLiteStore) -> None:
    found = ftnb.diff(run(loop(1)), run(loop(1, answer="failed")))
    first = found.first
    assert (first.name, first.what) == ("end", ("output",))
    assert first.pair.patch() == [
        {"op": "replace", "path": "/messages/0/data/content", "value": "failed"},
    ]
    assert "output ~ messages[0].content: 'done' → 'failed'" in first.text
    assert [change.as_op()["path"] for change in found.state()] == ["/messages/1/data/content"]


def test_sent_steps_are_matched_by_what_they_were_sent(store: SQLiteStore) -> None:
    a = run(loop(1), {"n": 0, "path": ["x", "y", "z"], "messages": []})
    b = run(loop(1), {"n": 0, "path": ["z", "x", "y"], "messages": []})
    found = ftnb.diff(a, b, ignore="path")
    matched = [(pair.row.a.visit, pair.row.b.visit) for pair in found if pair.row.step.name == "work"]
    assert matched == [(1, 2), (2, 3), (3, 1)]
    assert all(pair.what in ((), ("output",)) for pair in found if pair.row.step.name == "work")


def test_a_fork_shares_what_lies_before_it(store: SQLiteStore) -> None:
    house().invoke(GIVEN)
    eng = ftnb.last()
    branch = eng.fork(at=eng.step("left", visit=2), state={"budget": 50})
    found = ftnb.diff(eng, branch)
    assert [pair.label for pair in found if pair.what == ("shared",)] == ["plan", "left", "right", "gather"]
    assert (found.first.pair.label, found.first.what) == ("left visit 2", ("input", "output"))
    assert found.summary()["n_a"] == 0
    assert f"engagement {eng.id} was forked here" in branch.steps[0].why().text
    assert ftnb.diff(branch, eng).first.pair.label == "left visit 2"


def test_ignored_keys_count_as_equal(store: SQLiteStore) -> None:
    a = run(loop(1), {"n": 0, "path": ["x"], "messages": []})
    b = run(loop(1), {"n": 0, "path": ["y"], "messages": []})
    assert ftnb.diff(a, b).first.what == ("input",)
    assert ftnb.diff(a, b, ignore=["path", "item"]).same


def test_the_frame_has_tokens_time_and_cost(store: SQLiteStore) -> None:
    ids = []
    for completion in (100, 300):
        recorder = Recorder(store)
        ids.append(recorder.start_engagement("priced"))
        step = recorder.start_step(ids[-1], "ask", state={"q": 1})
        recorder.record_llm_call(step, "chat", model="m-1", prompt=1_000, completion=completion)
        recorder.end_step(step, duration_ms=completion, update={"a": 1})
        recorder.close()
    tr = ftnb.open(store)
    a, b = (tr.engagement(one) for one in ids)
    row = ftnb.diff(a, b, prices={"m-1": (1.0, 10.0)}).frame().row(0, named=True)
    assert (row["tokens_a"], row["tokens_b"], row["tokens_delta"]) == (1_100, 1_300, 200)
    assert (row["duration_ms_a"], row["duration_ms_delta"]) == (100.0, 200.0)
    assert row["cost_a"] == pytest.approx(0.002)
    assert row["cost_delta"] == pytest.approx(0.002)
    unpriced = ftnb.diff(a, b, prices={"other": (1.0, 1.0)}).frame()
    assert unpriced["cost_a"].to_list() == [None]
    assert ftnb.diff(a, b).summary()["cost_a"] is None, "no list price for that model"
    sheet = ftnb.prices({"m-1": [{"prompt": 1.0, "completion": 10.0, "currency": "EUR"}]})
    assert "cost 0.0020 → 0.0040 EUR" in ftnb.diff(a, b, prices=sheet).text
    with pytest.raises(InvalidArgumentError, match="prices"):
        ftnb.diff(a, b, prices=7)


def test_the_frame_names_the_keys_and_can_hold_the_patches(store: SQLiteStore) -> None:
    found = ftnb.diff(run(loop(1)), run(loop(1, answer="failed")))
    frame = found.frame(patch=True)
    assert frame.height == len(found)
    last = frame.filter(pl.col("name") == "end").row(0, named=True)
    assert (last["side"], last["same"], last["what"], last["keys"]) == ("both", False, ["output"], ["messages"])
    assert last["output_patch"] == '[{"op":"replace","path":"/messages/0/data/content","value":"failed"}]'
    assert frame["input_patch"].null_count() == frame.height


def test_the_payload_aligns_the_runs_by_index(store: SQLiteStore) -> None:
    found = ftnb.diff(run(loop(2)), run(loop(1)))
    payload = found.payload()
    one, other = payload["runs"]
    for entry, pair in zip(payload["alignment"], found, strict=True):
        assert entry["side"] == pair.side
        if entry["a"] is not None:
            assert one["steps"][entry["a"]]["id"] == pair.row.a.step_id
        if entry["b"] is not None:
            assert other["steps"][entry["b"]]["id"] == pair.row.b.step_id


def test_it_shows_both_as_a_graph_in_two_colours_and_a_table(store: SQLiteStore) -> None:
    html = ftnb.diff(run(loop(2)), run(loop(1, answer="<script>")))._repr_html_()
    assert html.count("<svg") == 1
    assert "only a" in html
    assert "<script>" not in html


def test_runs_with_nothing_in_common_and_with_no_steps(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    empty = recorder.start_engagement("empty")
    recorder.close()
    nothing = ftnb.open(store).engagement(empty)
    eng = run(loop(1))
    assert "they first part at plan: only b runs it" in ftnb.diff(nothing, eng).text
    assert ftnb.diff(nothing, nothing).same
    assert ftnb.diff(nothing, nothing).frame().height == 0
    house().invoke(GIVEN)
    assert not ftnb.diff(eng, ftnb.last()).same


def test_other_things_are_refused(store: SQLiteStore) -> None:
    with pytest.raises(ftnb.InvalidArgumentError, match=r"takes two engagements .* or two groups .*; got int and"):
        ftnb.diff(1, run(loop(1)))


# --- groups ---


@pytest.fixture
def tr(store: SQLiteStore) -> Any:
    for version, limit, answer in ((1, 2, "done"), (1, 2, "done"), (1, 1, "done"), (2, 1, "done"), (2, 1, "other")):
        eng = run(loop(limit, answer=answer), v=version)
        eng.annotate("good", answer == "done")
        eng.annotate("score", version + limit / 2)
        eng.annotate("mood", "calm" if limit == 1 else "angry")
    return ftnb.open(store)


def test_a_view_narrows_every_frame_and_question(tr: Any) -> None:
    view = tr.where(v=2)
    assert view.engagements().height == 2
    ids = set(view.engagements()["engagement_id"])
    for frame in (view.steps(), view.transitions(), view.annotations(), view.scan_steps().collect()):
        assert set(frame["engagement_id"]) == ids
    assert tr.engagements().height == 5
    assert view.funnel(["plan", "end"]).total == 2
    assert view.last().id == max(ids)
    with pytest.raises(ftnb.UnknownEngagementError):
        view.engagement(next(one for one in tr.engagements()["engagement_id"] if one not in ids))
    assert tr.where(v=1).only(list(tr.where(v=1).engagements()["engagement_id"])[:1]).engagements().height == 1
    with pytest.raises(ftnb.UnknownEngagementError):
        tr.only(["nope"])


def test_a_view_can_be_exported_and_not_written_to(tr: Any, tmp_path: Any) -> None:
    view = tr.where(v=2)
    assert ftnb.open(view.to_parquet(tmp_path / "two")).engagements().height == 2
    with pytest.raises(ftnb.StoreError, match=r"a view for reading"):
        view.store.purge(view.last().id)
    view.last().annotate("checked", True)
    assert "checked" in view.annotations()["label"].to_list()


def test_a_view_sees_what_is_recorded_after_it(tr: Any) -> None:
    view = tr.where(v=2)
    before = view.engagements().height
    run(loop(1), v=2)
    assert view.engagements().height == before + 1


def test_two_groups_in_numbers(tr: Any) -> None:
    found = ftnb.diff(tr.where(v=1), tr.where(v=2))
    assert (found.n_a, found.n_b, found.n_shared) == (3, 2, 0)
    fix = found.frame().filter(pl.col("name") == "fix").row(0, named=True)
    assert (fix["reached_a"], fix["reached_b"]) == (2, 0)
    assert fix["reach_delta"] == pytest.approx(-2 / 3)
    assert fix["reach_low"] < -2 / 3 < fix["reach_high"]
    outcomes = {row["name"]: row for row in found.outcomes().iter_rows(named=True)}
    assert (outcomes["completed"]["value_a"], outcomes["completed"]["n_b"]) == (1.0, 2)
    assert (outcomes["good"]["value_a"], outcomes["good"]["value_b"]) == (1.0, 0.5)
    assert outcomes["score"]["kind"] == "mean"
    assert outcomes["score"]["delta"] == pytest.approx(2.5 - (2 + 2 + 1.5) / 3)
    assert outcomes["mood: angry"]["k_a"] == 2
    ways = found.transitions().row(0, named=True)
    assert {ways["from_name"], ways["to_name"]} == {"check", "fix"}
    assert "completed: 100.0% → 100.0%" in repr(found)
    assert "<table>" in found._repr_html_()
    assert found.figure().layout.title.text.startswith("Reach of each step")


def test_an_empty_group_is_told(tr: Any) -> None:
    with pytest.raises(ftnb.InvalidArgumentError, match=r"the second group is empty: no engagement in .* v is 9"):
        ftnb.diff(tr.where(v=1), tr.where(v=9))


def test_intervals_agree_with_newcombe() -> None:
    # Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10.
    delta, low, high = difference(48, 80, 56, 70)
    assert delta == pytest.approx(0.2)
    assert (low, high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    assert wilson(0, 0) == (0.0, 1.0)
    assert difference(0, 0, 1, 2) == (None, None, None)


def test_the_trees_are_not_read_for_it(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = run(loop(1)), run(loop(1))
    monkeypatch.setattr(SQLiteStore, "get_engagement", None)
    assert ftnb.diff(a, b).same


def test_in_a_notebook_it_is_the_view_of_both_with_the_same_pairs(store: SQLiteStore) -> None:
    found = ftnb.diff(run(loop(2)), run(loop(1)), prices={"m-1": (1.0, 10.0)})
    data, _ = found._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"] == found._repr_html_()
    payload = found.widget().payload
    assert payload["kind"] == "comparison"
    assert len(payload["alignment"]) == len(found)
    assert [pair["kind"] != "same" for pair in payload["alignment"]] == [not pair.same for pair in found]
    assert payload["names"][0].endswith(found.a[-6:])


def test_the_view_says_what_steps_cost(store: SQLiteStore) -> None:
    ids = []
    for prompt in (100_000, 200_000):
        recorder = Recorder(store)
        ids.append(recorder.start_engagement("priced"))
        step = recorder.start_step(ids[-1], "ask")
        recorder.record_llm_call(step, "chat", model="m-1", prompt=prompt, completion=0)
        recorder.end_step(step)
        recorder.close()
    a, b = (ftnb.open(store).engagement(one) for one in ids)
    runs = ftnb.diff(a, b, prices={"m-1": (1.0, 10.0)}).payload()["runs"]
    assert [one["steps"][0]["cost"] for one in runs] == pytest.approx([0.1, 0.2])
    assert [one["steps"][0]["cost"] for one in ftnb.diff(a, b).payload()["runs"]] == [None, None]


def test_steps_before_a_fork_are_no_difference_in_the_view(store: SQLiteStore) -> None:
    eng = run(loop(2))
    branch = eng.fork(at=eng.steps[-1])
    found = ftnb.diff(eng, branch)
    shared = [pair for pair in found.widget().payload["alignment"] if pair["note"] == "before the fork"]
    assert len(shared) == found.summary()["n_shared"] > 0
    assert {pair["kind"] for pair in shared} == {"same"}


def test_a_replay_is_compared_as_a_step_of_its_engagement(store: SQLiteStore) -> None:
    eng = run(loop(2), {"n": 0, "path": [], "messages": []})
    step = eng.step("work", visit=1)
    same = step.replay().compare()
    assert same.same, same.text
    assert {pair.label: pair.what for pair in same if pair.what != ("shared",)} == {"work": ()}
    assert "not replayed" in same.text
    found = step.replay(edit={"n": 5}).compare()
    assert (found.first.name, "input" in found.first.what) == ("work", True)
    rows = found.frame()
    assert rows.filter(~pl.col("same"))["name"].to_list() == ["work"]
    notes = {pair["note"] for pair in found.widget().payload["alignment"] if pair["kind"] == "same"}
    assert notes == {"not replayed"}


def test_the_figure_has_a_bar_for_each_step_of_both(store: SQLiteStore) -> None:
    found = ftnb.diff(run(loop(2)), run(loop(1)))
    rows = found.frame()
    for theme in ("light", "dark"):
        figure = found.figure(theme=theme)
        n_bars = sum(len(trace.x) for trace in figure.data)
        assert n_bars == rows["step_id_a"].count() + rows["step_id_b"].count()
        drawn = {name for trace in figure.data if "differs" in trace.name for name in trace.customdata}
        assert any("only_a" in text for text in drawn)
    many = pl.concat([rows.with_columns(same=pl.lit(True))] * 40)
    shown = paired_figure(pl.concat([many, rows, many]))
    assert "steps not drawn" in shown.layout.title.text
    assert len(shown.layout.yaxis.ticktext) == 100
