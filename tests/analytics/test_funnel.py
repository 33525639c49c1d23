"""The funnel: against a slow, plain reference, and the cases that are easy to get wrong, by name."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from statistics import mean, median
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.analytics import Funnel, funnel, group_by, journeys
from ftnb.core.errors import InvalidArgumentError, UnknownStepError
from ftnb.core.model import EngagementStatus, NodeDef, StepStatus, Topology
from ftnb.examples.house_traffic import FUNNEL, record_traffic
from ftnb.recorder import Recorder
from ftnb.store import build
from ftnb.store.draft import Stream
from ftnb.store.sqlite import SQLiteStore

DONE, GONE = EngagementStatus.COMPLETED, EngagementStatus.ABANDONED


@pytest.fixture
def store() -> SQLiteStore:
    return SQLiteStore()


def record(
    store: SQLiteStore,
    steps: Iterable[str],
    status: EngagementStatus | None = DONE,
    *,
    metadata: dict[str, Any] | None = None,
    topology: Topology | None = None,
) -> str:
    """An engagement of one step after the other; status None leaves it active."""
    recorder = Recorder(store)
    engagement = recorder.start_engagement("w", metadata=metadata, topology=topology)
    name = None
    for name in steps:
        step = recorder.start_step(engagement, name)
        recorder.record_llm_call(step, "gpt", prompt=10, completion=5)
        recorder.end_step(step, duration_ms=5.0)
    if status is EngagementStatus.PAUSED:
        recorder.set_engagement_status(engagement, status)
    elif status is not None:
        recorder.end_engagement(engagement, status, dropped_at=name if status is GONE else None)
    assert recorder.flush()
    return engagement


def reached(result: Funnel) -> list[int]:
    return [step.reached for step in result.steps]


# --- against a plain reference ---

NAMES = ["A", "B", "C", "name", "ü"]


class Row:
    """One step execution of the reference."""

    def __init__(self, name: str, attempt: int, duration: float | None, tokens: int) -> None:
        self.name, self.attempt, self.duration, self.tokens = name, attempt, duration, tokens


rows = st.builds(
    Row,
    name=st.sampled_from(NAMES),
    attempt=st.sampled_from([1, 1, 1, 2]),
    duration=st.none() | st.sampled_from([1.0, 2.0, 40.0]),
    tokens=st.integers(0, 5),
)
engagements = st.lists(
    st.tuples(st.lists(rows, max_size=8), st.sampled_from(["active", "paused", "completed", "abandoned"])), max_size=6
)
orders = st.lists(st.sampled_from([*NAMES, "nobody"]), min_size=1, max_size=4)


def visits_of(steps: list[Row]) -> list[Row]:
    """The executions that are no retry; a retry whose first attempt is not there stands for it."""
    seen: set[str] = set()
    kept = []
    for step in steps:
        if step.attempt == 1 or step.name not in seen:
            kept.append(step)
        seen.add(step.name)
    return kept


def walk(steps: list[Row], order: list[str], mode: str) -> list[Row | None]:
    """For each step of the order, the execution that reached it."""
    visits = visits_of(steps)
    if mode == "visited":
        return [next((step for step in visits if step.name == name), None) for name in order]
    found: list[Row | None] = [None] * len(order)
    k = 0
    for step in visits:
        if k < len(order) and step.name == order[k]:
            found[k] = step
            k += 1
    return found


def reference(cases: list[tuple[list[Row], str]], order: list[str], mode: str) -> list[dict[str, Any]]:
    walks = [walk(steps, order, mode) for steps, _ in cases]
    result = []
    for k, name in enumerate(order):
        hits = [found[k] for found in walks if found[k] is not None]
        got_here = [max((i for i, hit in enumerate(found) if hit), default=-1) == k for found in walks]
        last = k == len(order) - 1
        open_ = [status in ("active", "paused") for _, status in cases]
        censored = 0 if last else sum(here and open_here for here, open_here in zip(got_here, open_, strict=True))
        if mode == "ordered":
            dropped = 0 if last else sum(got_here) - censored
        else:
            dropped = sum(status == "abandoned" and bool(steps) and steps[-1].name == name for steps, status in cases)
        durations = [hit.duration for hit in hits if hit and hit.duration is not None]
        both = sum(found[k] is not None and found[k - 1] is not None for found in walks)
        before = sum(found[k - 1] is not None for found in walks)
        first = sum(found[0] is not None for found in walks)
        both_first = sum(found[0] is not None and found[k] is not None for found in walks)
        rate = (len(hits) - dropped) / len(hits) if hits else None
        result.append(
            {
                "k": k + 1,
                "name": name,
                "reached": len(hits),
                "dropped": dropped,
                "conversion_rate": None if last else (rate or 0.0),
                "avg_duration_ms": mean(durations) if durations else None,
                "total_tokens": sum(step.tokens for steps, _ in cases for step in steps if step.name == name),
                "step_conversion_rate": both / before if k and before else None,
                "overall_conversion_rate": both_first / first if first else None,
                "continuation_rate": rate,
                "n_visits": sum(step.name == name for steps, _ in cases for step in visits_of(steps)),
                "median_duration_ms": median(durations) if durations else None,
                "censored": censored,
            }
        )
    return result


def frames_of(cases: list[tuple[list[Row], str]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    steps = [
        {"engagement_id": f"e{i}", "name": s.name, "ns": "", "attempt": s.attempt, "duration_ms": s.duration,
         "total_tokens": s.tokens}
        for i, (steps, _) in enumerate(cases)
        for s in steps
    ]  # fmt: skip
    whole = [
        {"engagement_id": f"e{i}", "status": status,
         "dropped_at": steps[-1].name if steps and status == "abandoned" else None}
        for i, (steps, status) in enumerate(cases)
    ]  # fmt: skip
    text, count = pl.String, pl.Int64
    return (
        pl.DataFrame(steps, schema={"engagement_id": text, "name": text, "ns": text, "attempt": count,
                                    "duration_ms": pl.Float64, "total_tokens": count}),
        pl.DataFrame(whole, schema={"engagement_id": text, "status": text, "dropped_at": text}),
    )  # fmt: skip


@given(cases=engagements, order=orders, mode=st.sampled_from(["visited", "ordered"]))
@settings(max_examples=300)
def test_funnels_equal_the_plain_reference(cases: Any, order: list[str], mode: Any) -> None:
    steps, whole = frames_of(cases)
    result = funnel((steps, whole), order, mode=mode)
    assert result.total == len(cases)
    expected = reference(cases, order, mode)
    assert result.frame().select(list(expected[0])).to_dicts() == expected
    if mode == "ordered":
        for here, after in zip(result.steps, result.steps[1:], strict=False):
            assert here.reached == after.reached + here.dropped + here.censored
    rates = [step.model_dump() for step in result.steps]
    assert all(0 <= row[key] <= 1 for row in rates for key in row if key.endswith("_rate") and row[key] is not None)


# --- cases that are easy to get wrong ---


def test_order_is_that_of_the_log_not_of_the_clock(store: SQLiteStore) -> None:
    stream = Stream("st", "e", turn=1)
    # Ties, and a clock that goes backwards.
    at = {"A": 5, "B": 5, "C": 1}
    store.append_drafts([build.step_started(stream, at[name], f"s-{name}", name) for name in "ABC"])
    assert reached(funnel(store, ["A", "B", "C"], mode="ordered")) == [1, 1, 1]
    assert reached(funnel(store, ["C", "B"], mode="ordered")) == [1, 0]


def test_one_execution_fills_one_step(store: SQLiteStore) -> None:
    record(store, "AB")
    record(store, "AAB")
    assert reached(funnel(store, ["A", "A", "B"], mode="ordered")) == [2, 1, 1]


def test_loops_count_an_engagement_once(store: SQLiteStore) -> None:
    record(store, "ABABC")
    result = funnel(store, ["A", "B", "C"], mode="ordered")
    assert reached(result) == [1, 1, 1]
    assert [step.n_visits for step in result.steps] == [2, 2, 1]
    assert [step.total_tokens for step in result.steps] == [30, 30, 15]


def test_what_came_before_the_entry_does_not_count_and_does_not_disqualify(store: SQLiteStore) -> None:
    record(store, "BAC")
    assert reached(funnel(store, ["A", "B", "C"], mode="ordered")) == [1, 0, 0]
    record(store, "BABC")
    assert reached(funnel(store, ["A", "B", "C"], mode="ordered")) == [2, 1, 1]


@pytest.mark.parametrize("mode", ["visited", "ordered"])
def test_paused_and_active_engagements_are_censored_not_dropped(store: SQLiteStore, mode: Any) -> None:
    record(store, "AB", EngagementStatus.PAUSED)
    record(store, "AB", None)
    record(store, "AB", GONE)
    record(store, "ABC")
    result = funnel(store, ["A", "B", "C"], mode=mode)
    assert [(s.reached, s.dropped, s.censored) for s in result.steps] == [(4, 0, 0), (4, 1, 2), (1, 0, 0)]


def test_retries_and_resumes_are_no_executions_of_their_own(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("w")
    for attempt, status in ((1, StepStatus.WAITING), (2, StepStatus.FAILED), (3, StepStatus.COMPLETED)):
        step = recorder.start_step(engagement, "A", attempt=attempt)
        recorder.record_llm_call(step, "gpt", prompt=1)
        recorder.end_step(step, status)
    result = funnel(store, ["A", "A"], mode="ordered")
    assert reached(result) == [1, 0]
    assert result.steps[0].n_visits == 1
    # The tokens of the attempt that waited are discarded, those of the failed one were spent.
    assert result.steps[0].total_tokens == 2


def test_steps_inside_subgraphs_count_by_name(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("w")
    outer = recorder.start_step(engagement, "outer")
    recorder.start_step(engagement, "inner", parent=outer, ns="outer")
    assert reached(funnel(store, ["outer", "inner"], mode="ordered")) == [1, 1]


def test_steps_that_nobody_reached_have_no_rates(store: SQLiteStore) -> None:
    record(store, [], topology=Topology(nodes=[NodeDef(name="A"), NodeDef(name="B")]))
    for step in funnel(store, ["A", "B"]).steps:
        assert step.reached == 0
        assert (step.overall_conversion_rate, step.continuation_rate, step.median_duration_ms) == (None, None, None)


def test_an_empty_store_knows_no_step(store: SQLiteStore) -> None:
    with pytest.raises(UnknownStepError, match="no step 'A' in any graph or record of these engagements; steps: none"):
        funnel(store, ["A"])
    traces = ftnb.open(store)
    assert funnel((traces.steps(), traces.engagements()), ["A"]).total == 0


def test_a_single_step_is_a_funnel(store: SQLiteStore) -> None:
    record(store, "A")
    (step,) = funnel(store, ["A"], mode="ordered").steps
    assert (step.reached, step.conversion_rate, step.step_conversion_rate, step.overall_conversion_rate) == (
        1,
        None,
        None,
        1.0,
    )


def test_an_unknown_step_is_an_error_with_a_suggestion(store: SQLiteStore) -> None:
    record(store, ["greet", "search"], topology=Topology(nodes=[NodeDef(name="greet"), NodeDef(name="escalate")]))
    with pytest.raises(UnknownStepError, match=r"no step 'serach' in any graph or record.*Did you mean 'search'\?"):
        funnel(store, ["greet", "serach"])
    with pytest.raises(UnknownStepError, match=r"Did you mean 'escalate'\?"):
        funnel(store, ["escalat"])
    assert reached(funnel(store, ["greet", "escalate"])) == [1, 0]


def test_frames_do_not_know_the_graphs_so_there_a_name_that_is_not_there_counts_nothing(store: SQLiteStore) -> None:
    record(store, "A")
    traces = ftnb.open(store)
    assert reached(funnel((traces.steps(), traces.engagements()), ["A", "submitted"])) == [1, 0]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([], "the order of a funnel is empty"),
        ("AB", "a list of step names; got 'AB'"),
        ([1], "a list of step names"),
        (None, "a list of step names; got None"),
    ],
)
def test_an_order_that_cannot_be_used(store: SQLiteStore, order: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        funnel(store, order)


def test_a_mode_that_there_is_not(store: SQLiteStore) -> None:
    with pytest.raises(InvalidArgumentError, match="no funnel mode 'sorted'; modes: visited, ordered"):
        funnel(store, ["A"], mode="sorted")  # type: ignore[arg-type]


def test_where_keeps_engagements_by_their_metadata(store: SQLiteStore) -> None:
    record(store, "AB", metadata={"cohort": "june"})
    record(store, "A", metadata={"cohort": "july"})
    record(store, "A")
    traces = ftnb.open(store)
    for source in (store, traces, (traces.steps(), traces.engagements())):
        assert reached(funnel(source, ["A", "B"], where={"cohort": "june"})) == [1, 1]
        assert funnel(source, ["A"], where={"cohort": None}).total == 1
        assert funnel(source, ["A"]).total == 3


def test_a_group_that_reached_none_of_a_step_has_reached_0(store: SQLiteStore) -> None:
    record(store, "AB", metadata={"cohort": "june"})
    record(store, "A", metadata={"cohort": "july"})
    assert reached(funnel(store, ["A", "B"], where={"cohort": "july"})) == [1, 0]
    nobody = funnel(store, ["A", "B"], where={"cohort": "august"})
    assert (nobody.total, reached(nobody)) == (0, [0, 0])
    with pytest.raises(UnknownStepError, match="no step 'C'"):
        funnel(store, ["C"], where={"cohort": "july"})


def test_a_where_that_is_no_dict(store: SQLiteStore) -> None:
    record(store, "A")
    for ask in (funnel, group_by):
        with pytest.raises(InvalidArgumentError, match=r"where is a dict of metadata.*got 'june'"):
            ask(store, "A" if ask is group_by else ["A"], where="june")


# --- sources ---


@pytest.mark.parametrize("mode", ["visited", "ordered"])
def test_every_kind_of_source_gives_the_same_funnel(store: SQLiteStore, mode: Any) -> None:
    for path, status in (("ABAC", DONE), ("AB", GONE), ("A", None), ("CBA", DONE)):
        record(store, path, status)
    expected = funnel(store, ["A", "B", "C"], mode=mode)
    traces, pandas = ftnb.open(store), ftnb.open(store, frames="pandas")
    assert isinstance(pandas.steps(), pd.DataFrame)
    frames = (traces.steps(), traces.engagements())
    sources: list[Any] = [
        traces,
        pandas,
        frames,
        tuple(frame.lazy() for frame in frames),
        tuple(frame.to_arrow() for frame in frames),
        (pandas.steps(), pandas.engagements()),
    ]
    for source in sources:
        assert funnel(source, ["A", "B", "C"], mode=mode) == expected
    assert traces.funnel(["A", "B", "C"], mode=mode) == expected


def test_steps_of_other_engagements_are_left_out(store: SQLiteStore) -> None:
    kept = record(store, "A")
    record(store, "AB")
    traces = ftnb.open(store)
    chosen = traces.engagements().filter(pl.col("engagement_id") == kept)
    assert reached(funnel((traces.steps(), chosen), ["A", "B"])) == [1, 0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (42, "expected a store of ftnb, opened traces, or"),
        ((pl.DataFrame(),), "expected two frames"),
        ((pl.DataFrame(), pl.DataFrame()), "the steps frame has no column 'engagement_id'"),
        (("a", "b"), "expected a dataframe, got str"),
    ],
)
def test_a_source_that_cannot_be_used(source: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        funnel(source, ["A"])


@pytest.mark.parametrize("source", ["traces.db", None, pl.DataFrame()])
def test_journeys_of_what_is_no_store(source: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="expected a store, or traces opened"):
        journeys(source)


# --- the result shown ---


def test_any_name_of_a_step_gets_its_bar(store: SQLiteStore) -> None:
    names = ["__proto__", "constructor", "<b>x</b>", "2", "10"]
    record(store, names)
    figure = funnel(store, names).figure()
    assert list(figure.data[0].y) == list(figure.layout.yaxis.tickvals) == [0, 1, 2, 3, 4]
    assert list(figure.layout.yaxis.ticktext) == ["__proto__", "constructor", "&lt;b&gt;x&lt;/b&gt;", "2", "10"]


def test_the_figure_has_a_bar_for_each_step(store: SQLiteStore) -> None:
    record(store, ["A", "B", "A", "<b>&"])
    record(store, "A")
    result = funnel(store, ["A", "A", "<b>&"], mode="ordered")
    figure = result.figure(theme="dark")
    (trace,) = figure.data
    assert list(trace.x) == [2, 1, 1]
    assert list(figure.layout.yaxis.ticktext) == ["A", "A (2)", "&lt;b&gt;&amp;"]
    assert trace.text[1] == "1  50.0%"
    assert "of the step before: 50.0%" in trace.customdata[1]
    assert figure.layout.title.text == "Funnel of 2 engagements, ordered"


def test_the_figure_of_times_has_a_line_for_each_step_that_ends_at_the_share_that_got_there() -> None:
    moments = [("e1", "A", 0), ("e1", "B", 10), ("e1", "C", 40), ("e2", "A", 0), ("e2", "B", 20), ("e3", "A", 5)]
    steps = pl.DataFrame(moments, schema=["engagement_id", "name", "at"], orient="row")
    steps = steps.with_columns(started_at=(pl.col("at") * 1_000_000).cast(pl.Datetime("us", "UTC")))
    split = pl.DataFrame({"engagement_id": ["e1", "e2", "e3"], "v": ["x", "y", "y"], "status": ["completed"] * 3})
    source = (steps, split.with_columns(dropped_at=pl.lit(None, pl.String)))
    whole = funnel(source, ["A", "B", "C"], mode="ordered")
    figure: Any = whole.figure(kind="times")
    b, b_median, c, _ = figure.data
    assert (list(b.x), list(b.y)) == ([10_000, 20_000], [1 / 3, 2 / 3])
    assert (list(b_median.x), list(c.x), list(c.y)) == ([10_000], [40_000], [1 / 3])
    assert "33.3% of those that entered were there within 40 s" in c.customdata[0]
    widget = whole.widget(kind="times")
    widget.click(0, 1)
    assert sorted(widget.selected["engagement_id"]) == ["e1", "e2"]
    figure = funnel(source, ["A", "B", "C"], mode="ordered", by="v").figure(kind="times", theme="dark")
    line, _ = figure.data
    assert (line.name, list(line.y)) == ("x", [1.0])  # nobody of y got to C
    figure = funnel(source, ["A", "nobody"], mode="ordered").figure(kind="times")
    assert "nobody got any further" in figure.layout.annotations[0].text
    with pytest.raises(InvalidArgumentError, match="kinds: steps, times"):
        whole.figure(kind="bars")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="ask for mode='ordered'"):
        funnel(source, ["A", "B"]).figure(kind="times")


def test_the_saved_form_is_small_and_needs_nothing(store: SQLiteStore) -> None:
    name = "<script>alert(1)</script>"
    record(store, [name, *"ABCDEFG"])
    bundle = funnel(store, [name, *"ABCDEFG"])._repr_mimebundle_()
    html = bundle["text/html"]
    assert len(html.encode()) < 10_000
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "http" not in html
    shown = json.dumps(bundle["application/vnd.plotly.v1+json"])
    assert "<script" not in shown
    long = Funnel(order=["x"] * 500, total=1, steps=[funnel(store, ["A"]).steps[0]] * 500)._repr_mimebundle_()
    assert len(long["text/html"].encode()) < 10_000
    assert "475 more steps" in long["text/html"]


# --- journeys ---


def test_journeys_and_groups(store: SQLiteStore) -> None:
    for user in ("u1", "u2", "u1", None):
        record(store, "A", metadata={"user_id": user, "tags": ["x"]} if user else None)
    assert len(journeys(store, user_id="u1")) == 2
    assert len(journeys(ftnb.open(store))) == 4
    groups = group_by(store, "user_id")
    assert {key: len(found) for key, found in groups.items()} == {"u1": 2, "u2": 1, None: 1}
    assert set(group_by(ftnb.open(store), "tags", where={"user_id": "u1"})) == {'["x"]'}


def test_a_question_that_is_interrupted_is_answered_when_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteStore()
    record_traffic(store, 20)
    expected = ftnb.open(store).funnel(FUNNEL, mode="ordered").frame()
    scan, scans = store.scan, []

    def stopped_once(*args: Any, **options: Any) -> Any:
        table = scan(*args, **options)
        scans.append(table)
        if len(scans) == 1:
            signal.raise_signal(signal.SIGINT)
        return table

    monkeypatch.setattr(store, "scan", stopped_once)
    traces = ftnb.open(store)
    with pytest.raises(KeyboardInterrupt):
        traces.funnel(FUNNEL, mode="ordered")
    assert traces.funnel(FUNNEL, mode="ordered").frame().equals(expected)
