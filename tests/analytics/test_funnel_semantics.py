"""The cases of funnels that are easy to get wrong, by name, and what a funnel tells besides counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

import ftnb
from ftnb.analytics import Funnel, funnel, optional
from ftnb.analytics._intervals import wilson
from ftnb.core.errors import InvalidArgumentError, UnknownStepError
from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.analytics.reference_funnel import Execution
from tests.analytics.strategies import executions, steps_frame

BEGIN = 1_760_000_000_000_000
SECOND = 1_000_000


def timed(*path: tuple[str, float]) -> list[Execution]:
    """An engagement whose steps begin at these seconds."""
    return [Execution(name, BEGIN + round(at * SECOND)) for name, at in path]


def ask(engagements: list[list[Execution]], order: Any, statuses: Any = "completed", **options: Any) -> Funnel:
    """The funnel of these engagements, from frames."""
    steps = steps_frame(engagements)
    ids = [f"e{(i * 7) % 1000:03}" for i in range(len(engagements))]
    status = [statuses] * len(ids) if isinstance(statuses, str) else statuses
    last = [
        steps[-1].name if steps and how == "abandoned" else None for steps, how in zip(engagements, status, strict=True)
    ]
    whole = pl.DataFrame(
        {"engagement_id": ids, "status": status, "dropped_at": last},
        schema={"engagement_id": pl.String, "status": pl.String, "dropped_at": pl.String},
    )
    return funnel((steps, whole), order, **options)


def reached(result: Funnel) -> list[int]:
    return [step.reached for step in result.steps]


# --- the cases of funnels that are easy to get wrong ---


def test_case_1_order_is_the_log_s_also_where_times_are_equal() -> None:
    tie = timed(("B", 0), ("A", 0))
    assert reached(ask([tie], ["A", "B"], mode="ordered", within="1s")) == [1, 0]
    assert reached(ask([tie], ["B", "A"], mode="ordered", within="0s")) == [1, 1]


def test_case_2_one_execution_fills_one_step() -> None:
    assert reached(ask([timed(("A", 0), ("B", 1))], ["A", "A", "B"], mode="ordered")) == [1, 0, 0]
    assert reached(ask([timed(("A", 0), ("A", 1), ("B", 2))], ["A", "A", "B"], mode="any")) == [1, 1, 1]
    assert reached(ask([timed(("A", 0), ("B", 2))], ["A", "A", "B"], mode="any")) == [1, 0, 0]


def test_case_3_a_later_entry_may_convert_where_the_first_ran_out_of_time() -> None:
    path = timed(("A", 0), ("A", 100), ("B", 105))
    assert reached(ask([path], ["A", "B"], mode="ordered", within="10s")) == [1, 1]
    assert reached(ask([path], ["A", "B"], mode="ordered", within="10s", attempts="first")) == [1, 0]


def test_case_4_a_new_entry_does_not_borrow_what_an_old_one_reached() -> None:
    path = timed(("A", 0), ("B", 10), ("A", 15), ("C", 28))
    assert reached(ask([path], ["A", "B", "C"], mode="ordered", within="20s")) == [1, 1, 0]


def test_case_5_a_window_includes_its_end_and_none_is_no_window() -> None:
    path = timed(("A", 0), ("B", 20))
    for within, expected in (("20s", 1), (timedelta(seconds=20), 1), ("19999ms", 0), (None, 1)):
        assert reached(ask([path], ["A", "B"], mode="ordered", within=within)) == [1, expected]


def test_case_6_a_loop_counts_an_engagement_once() -> None:
    path = timed(("A", 0), ("B", 1), ("A", 2), ("B", 3), ("C", 4))
    assert reached(ask([path], ["A", "B", "C"], mode="ordered")) == [1, 1, 1]
    assert reached(ask([path], ["A", "B", "C"], mode="ordered", attempts="every")) == [2, 2, 1]


def test_case_7_strict_is_about_consecutive_steps_and_may_begin_again() -> None:
    order = ["A", "B", "C"]
    assert reached(ask([timed(("A", 0), ("X", 1), ("B", 2), ("C", 3))], order, mode="strict")) == [1, 0, 0]
    again = timed(("A", 0), ("X", 1), ("A", 2), ("B", 3), ("C", 4), ("X", 5))
    assert reached(ask([again], order, mode="strict")) == [1, 1, 1]


def test_case_8_what_came_before_the_entry_never_disqualifies() -> None:
    assert reached(ask([timed(("B", 0), ("A", 1), ("C", 2))], ["A", "B", "C"], mode="ordered")) == [1, 0, 0]
    assert reached(ask([timed(("B", 0), ("A", 1), ("C", 2))], ["A", "B", "C"], mode="any")) == [1, 1, 1]


@pytest.mark.parametrize("mode", ["ordered", "strict", "any", "visited"])
def test_case_9_optional_steps_never_make_a_later_one_smaller(mode: Any) -> None:
    paths = [timed(("A", 0), ("O", 1), ("B", 2)), timed(("A", 0), ("B", 2)), timed(("A", 0), ("O", 1))]
    with_option = ask(paths, ["A", optional("O"), "B"], mode=mode)
    assert reached(with_option) == [3, 2, 2]
    last = with_option.steps[2]
    assert last.step_conversion_rate == 2 / 3  # of the step that cannot be left out
    if mode == "ordered":
        assert reached(ask(paths, ["A", "B"], mode=mode)) == [3, 2]
        assert [step.dropped for step in with_option.steps] == [0, 1, 0]


def test_case_10_groups_sum_to_the_whole_and_nothing_known_is_a_group() -> None:
    paths = [timed(("A", 0), ("B", 1)), timed(("A", 0)), timed(("A", 0), ("B", 1))]
    result = ask(paths, ["A", "B"], mode="ordered", by={"e000": "june", "e007": "july"})
    assert [(part.value, part.total, [s.reached for s in part.steps]) for part in result.groups or []] == [
        ("july", 1, [1, 0]), ("june", 1, [1, 1]), (None, 1, [1, 1])
    ]  # fmt: skip
    frame = result.frame()
    assert frame.columns[0] == "group"
    for name in ("reached", "dropped", "total_tokens", "n_visits"):
        sums = frame.group_by("k").agg(pl.col(name).sum()).sort("k")[name].to_list()
        assert sums == [getattr(step, name) for step in result.steps], name


def test_case_11_exclusions_count_between_their_two_steps_only() -> None:
    order = ["A", "B", "C"]
    between = timed(("A", 0), ("X", 1), ("B", 2), ("C", 3))
    around = timed(("X", 0), ("A", 1), ("B", 2), ("C", 3), ("X", 4))
    assert reached(ask([between, around], order, mode="ordered", exclude=["X"])) == [2, 1, 1]
    assert reached(ask([between, around], order, mode="ordered", exclude={"X": ("B", "C")})) == [2, 2, 2]
    later = timed(("A", 0), ("X", 1), ("A", 2), ("B", 3), ("C", 4))
    assert reached(ask([later], order, mode="ordered", exclude=["X"])) == [1, 1, 1]


def test_case_12_who_may_yet_get_further_is_no_drop_off() -> None:
    paths = [timed(("A", 0))] * 4
    result = ask(paths, ["A", "B"], ["active", "paused", "completed", "abandoned"], mode="ordered")
    assert (result.steps[0].dropped, result.steps[0].censored, result.steps[0].recorded_drops) == (2, 2, 1)
    young = [timed(("A", 0)), timed(("A", 95)), timed(("A", 96)), timed(("Z", 100))]
    statuses = ["completed", "completed", "abandoned", "completed"]
    result = ask(young, ["A", "B"], statuses, mode="ordered", within="10s")
    assert (result.steps[0].dropped, result.steps[0].censored) == (2, 1)
    moment = datetime.fromtimestamp(BEGIN / 1e6 + 200, UTC)
    result = ask(young, ["A", "B"], statuses, mode="ordered", within="10s", as_of=moment)
    assert (result.steps[0].dropped, result.steps[0].censored) == (3, 0)


def test_case_13_steps_inside_others_and_retries() -> None:
    path = [Execution("A", BEGIN), Execution("B", BEGIN, ns="A", parent="s"), Execution("C", BEGIN),
            Execution("C", BEGIN, attempt=2)]  # fmt: skip
    assert reached(ask([path], ["A", "C"], mode="strict")) == [1, 0]
    assert reached(ask([path], ["A", "C"], mode="strict", nested=False)) == [1, 1]
    assert [step.n_visits for step in ask([path], ["A", "C"]).steps] == [1, 1]


def test_case_14_a_clock_that_goes_back_passes_no_time() -> None:
    path = timed(("A", 100), ("B", 40), ("C", 103))
    result = ask([path], ["A", "B", "C"], mode="ordered", within="5s")
    assert reached(result) == [1, 1, 1]
    assert [step.median_time_ms for step in result.steps] == [None, 0.0, 3000.0]


def test_case_15_what_cannot_be_asked_and_what_is_empty() -> None:
    empty = ask([], ["A", "B"], mode="ordered", within="5s")
    assert (empty.total, reached(empty)) == (0, [0, 0])
    assert all(getattr(step, name) is None for step in empty.steps for name in (
        "overall_conversion_rate", "continuation_rate", "avg_duration_ms", "overall_conversion_low"))  # fmt: skip
    assert reached(ask([timed(("A", 0))], ["A"], mode="strict")) == [1]


# --- bad input: one clear error each ---


@pytest.mark.parametrize(
    ("order", "options", "message"),
    [
        ([], {}, "the order of a funnel is empty"),
        (["A"], {"within": "-5m", "mode": "ordered"}, "cannot be negative; got '-5m'"),
        (["A"], {"within": timedelta(seconds=-1), "mode": "ordered"}, "cannot be negative"),
        (["A"], {"within": 60, "mode": "ordered"}, "within is a length of time, as '30s'"),
        (["A"], {"within": "soon", "mode": "ordered"}, "a length of time.*got 'soon'"),
        (["A", "B"], {"within": {"B": "5m"}, "mode": "ordered"}, "for single steps: step_within="),
        (["A", "B"], {"step_within": {"Bee": "5m"}, "mode": "ordered"}, "step_within names 'Bee'"),
        (["A", "B"], {"within": "5m"}, "within= says nothing in mode 'visited'; modes that have it: 'any', 'strict'"),
        (["A", "B"], {"exclude": "X", "mode": "ordered"}, "exclude is a list of step names"),
        (["A", "B"], {"exclude": {"X": ("B", "A")}, "mode": "ordered"}, "'B' does not come before 'A'"),
        (["A", "B"], {"exclude": {"X": ("A", "Z")}, "mode": "ordered"}, "names 'Z'"),
        ([optional("A"), "B"], {"mode": "ordered"}, "begins with a step that cannot be left out"),
        (["A", "B", "A"], {"mode": "ordered", "attempts": "every"}, "a first step that does not come again"),
        (["A", "B"], {"attempts": "first"}, "needs mode 'ordered' or 'strict'"),
        (["A", "B"], {"attempts": "all", "mode": "ordered"}, "no attempts 'all'"),
        ([("A", "B"), "B"], {"mode": "any"}, "share 'B'"),
        (["A", ()], {}, "An entry is a name, a tuple of alternatives"),
        (["A"], {"confidence": 95}, "confidence lies between 0 and 1"),
        (["A"], {"as_of": datetime(2026, 1, 1)}, "a moment with a time zone"),  # noqa: DTZ001
        (["A"], {"by": "cohort"}, "nothing to split by is called 'cohort'"),
        (["A"], {"by": ["x"]}, "by has 1 values for 2 engagements"),
        (["A"], {"by": 3}, "by is a metadata key"),
        (["A"], {"prices": {}}, "costs need the events"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_one_clear_error(order: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        ask([timed(("A", 0))] * 2, order, **options)


def test_mixed_time_zones_are_one_clear_error() -> None:
    steps = steps_frame([timed(("A", 0))])
    naive = steps.with_columns(pl.col("started_at").dt.replace_time_zone(None))
    with pytest.raises(InvalidArgumentError, match="time zones are mixed"):
        funnel(naive, ["A"], mode="ordered")
    mixed = pd.DataFrame({"engagement_id": ["e"] * 2, "name": ["A", "B"], "started_at": [
        pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-01-01", tz="Europe/Berlin")]})  # fmt: skip
    with pytest.raises(InvalidArgumentError, match="started_at"):
        funnel(mixed, ["A"], mode="ordered", within="1h")


def test_steps_without_times_have_no_windows_but_all_the_rest() -> None:
    steps = steps_frame([timed(("A", 0), ("B", 1))]).select("engagement_id", "name")
    assert reached(funnel(steps, ["A", "B"], mode="ordered")) == [1, 1]
    with pytest.raises(InvalidArgumentError, match="windows need the steps' column 'started_at'"):
        funnel(steps, ["A", "B"], mode="ordered", within="1h")


# --- intervals ---


@given(trials=st.integers(1, 5000), data=st.data(), confidence=st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=100)
def test_intervals_are_those_of_scipy_and_statsmodels(trials: int, data: Any, confidence: float) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials, confidence) or (None, None)
    scipy = binomtest(successes, trials).proportion_ci(confidence_level=confidence, method="wilson")
    statsmodels = proportion_confint(successes, trials, alpha=1 - confidence, method="wilson")
    assert (low, high) == pytest.approx((scipy.low, scipy.high), abs=1e-9)
    assert (low, high) == pytest.approx(statsmodels, abs=1e-9)


def test_rates_have_their_intervals() -> None:
    result = ask([timed(("A", 0), ("B", 1)), timed(("A", 0))], ["A", "B"], mode="ordered", confidence=0.9)
    last = result.steps[1]
    assert (last.overall_conversion_low, last.overall_conversion_high) == wilson(1, 2, 0.9)
    assert result.steps[0].step_conversion_low is None


# --- time, tokens, money ---


def test_time_to_convert_has_quartiles_and_the_wait_for_somebody_apart() -> None:
    paths = []
    for seconds, waited in ((10, 0), (20, 0), (60, 40)):
        first = Execution("A", BEGIN, duration_us=SECOND, ended=BEGIN + SECOND)
        second = Execution("B", BEGIN + seconds * SECOND, turn=1)
        if waited:
            middle = Execution("M", BEGIN + 15 * SECOND, ended=BEGIN + 20 * SECOND)
            second = Execution("B", BEGIN + seconds * SECOND, turn=2)
            paths.append([first, middle, second])
        else:
            paths.append([first, second])
    result = ask(paths, ["A", "B"], mode="ordered")
    last = result.steps[1]
    assert (last.q1_time_ms, last.median_time_ms, last.q3_time_ms) == (15_000.0, 20_000.0, 40_000.0)
    assert (last.median_wait_ms, last.median_active_time_ms) == (0.0, 20_000.0)
    times = result.times("B").sort("time_ms")
    assert times["wait_ms"].to_list() == [0.0, 0.0, 40_000.0]
    assert times["active_time_ms"].to_list() == [10_000.0, 20_000.0, 20_000.0]


@pytest.fixture
def recorded() -> SQLiteStore:
    """Two engagements on a known model, one of them abandoned, and one on a model without a price."""
    store = SQLiteStore()
    recorder = Recorder(store)
    for cohort, path, model, status in (
        ("june", "ABC", "gpt", EngagementStatus.COMPLETED),
        ("june", "ABA", "gpt", EngagementStatus.ABANDONED),
        ("july", "A", "odd", EngagementStatus.ABANDONED),
    ):
        engagement = recorder.start_engagement("w", metadata={"cohort": cohort})
        for name in path:
            step = recorder.start_step(engagement, name)
            recorder.record_llm_call(step, model, prompt=1_000_000, completion=100_000)
            recorder.end_step(step, duration_ms=5.0)
        recorder.end_engagement(
            engagement, status, dropped_at=path[-1] if status is EngagementStatus.ABANDONED else None
        )
    assert recorder.flush()
    return store


def test_money_is_of_all_visits_and_an_unknown_model_is_unknown_not_free(recorded: SQLiteStore) -> None:
    result = funnel(recorded, ["A", "B", "C"], mode="ordered", prices={"gpt": (2.0, 10.0)})
    assert [(step.cost, step.n_unpriced) for step in result.steps] == [(9.0, 1), (6.0, 0), (3.0, 0)]
    assert [step.dropped_cost for step in result.steps] == [None, 9.0, 0.0]
    assert [step.dropped_tokens for step in result.steps] == [1_100_000, 3_300_000, 0]
    split = funnel(recorded, ["A", "B"], by="model", prices=lambda calls: calls["model"].is_null().cast(pl.Float64))
    assert [(part.value, part.total) for part in split.groups or []] == [("gpt", 2), ("odd", 1)]
    nothing = funnel(recorded, ["A"], by="cohort", prices={"other": (1.0, 1.0)})
    assert (nothing.steps[0].cost, nothing.steps[0].n_unpriced) == (None, 4)


def test_from_a_bar_to_its_engagements_and_executions(recorded: SQLiteStore) -> None:
    traces = ftnb.open(recorded)
    result = traces.funnel(["A", "B", "C"], mode="ordered", by="cohort")
    every = traces.engagements()["engagement_id"].to_list()
    assert result.engagements("B", "dropped")["engagement_id"].to_list() == [every[1]]
    assert result.engagements(1, "reached")["engagement_id"].to_list() == every
    assert result.engagements("A", "dropped", group="july")["engagement_id"].to_list() == [every[2]]
    assert result.engagements("A", "converted")["engagement_id"].to_list() == [every[0]]
    where = result.executions("B", "dropped")
    assert where.select("engagement_id", "name", "visit").rows() == [(every[1], "B", 1)]
    either = traces.funnel(["A", ("B", "C")], mode="ordered")
    assert either.engagements("B").equals(either.engagements(2))
    assert either.engagements("B | C").equals(either.engagements(2))
    with pytest.raises(UnknownStepError):
        either.engagements("D")
    assert where.columns == traces.steps().columns
    with pytest.raises(UnknownStepError, match="no step 'b' in this funnel"):
        result.engagements("b")
    with pytest.raises(InvalidArgumentError, match="no outcome 'lost'"):
        result.engagements("B", "lost")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="no group 'may'"):
        result.engagements("B", group="may")


def test_annotations_and_columns_of_the_user_split(recorded: SQLiteStore) -> None:
    traces = ftnb.open(recorded)
    first, second, _ = traces.engagements()["engagement_id"]
    traces.engagement(first).annotate("correct", True)
    traces.engagement(second).annotate("correct", False)
    result = ftnb.open(recorded).funnel(["A", "C"], by="correct")
    assert [(part.value, [s.reached for s in part.steps]) for part in result.groups or []] == [
        (0.0, [1, 0]), (1.0, [1, 1]), (None, [1, 0])
    ]  # fmt: skip
    by_status = traces.funnel(["A", "C"], by="status")
    assert [part.value for part in by_status.groups or []] == ["abandoned", "completed"]
    own = traces.engagements().select("engagement_id", pl.col("n_steps") > 1)
    for by in (own, own["n_steps"], own["n_steps"].to_list(), own.to_pandas(), dict(own.iter_rows())):
        assert [part.total for part in traces.funnel(["A"], by=by).groups or []] == [1, 2]
    with pytest.raises(InvalidArgumentError, match="Did you mean 'cohort'"):
        traces.funnel(["A"], by="cohrt")


# --- engines, by the same call ---


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """An exported folder of generated engagements, with pauses, loops and drop-offs."""
    store = SQLiteStore()
    recorder = Recorder(store)
    for i in range(30):
        engagement = recorder.start_engagement("w", metadata={"cohort": f"c{i % 3}" if i % 4 else None})
        for name in ("A", *"BCA"[: i % 4], *"BC"[: i % 3], "D"):
            step = recorder.start_step(engagement, name)
            recorder.record_llm_call(step, f"m{i % 2}", prompt=10 * i, completion=i)
            recorder.end_step(step, duration_ms=float(i))
        status = (EngagementStatus.COMPLETED, EngagementStatus.ABANDONED, EngagementStatus.PAUSED)[i % 3]
        if status is EngagementStatus.PAUSED:
            recorder.set_engagement_status(engagement, status)
            if i % 2:
                recorder.set_engagement_status(engagement, EngagementStatus.ACTIVE)
                recorder.end_step(recorder.start_step(engagement, "C"), duration_ms=1.0)
        else:
            recorder.end_engagement(engagement, status, dropped_at="D" if i % 3 == 1 else None)
    assert recorder.flush()
    return ftnb.open(store).to_parquet(tmp_path / "share")


ASKED: tuple[dict[str, Any], ...] = (
    {"order": ["A", "B", "C"]},
    {"order": ["A", ("B", "C"), optional("A"), "D"], "mode": "ordered", "within": "1h", "by": "cohort"},
    {"order": ["A", "B", "C"], "mode": "ordered", "step_within": {"B": "5m"}, "exclude": ["D"], "by": "model"},
    {"order": ["A", "B", "C"], "mode": "strict", "attempts": "every", "prices": {"m0": (1.0, 3.0)}},
    {"order": ["D", "B"], "mode": "any", "within": "1h", "where": {"cohort": "c1"}},
)


def same_on(engine: Any, share: Path, questions: tuple[dict[str, Any], ...] = ASKED) -> None:
    plain, other = ftnb.open(share), ftnb.open(share, engine=engine)
    for asked in questions:
        options = {name: value for name, value in asked.items() if name != "order"}
        expected, found = plain.funnel(asked["order"], **options), other.funnel(asked["order"], **options)
        assert found == expected
        assert found.frame().equals(expected.frame())
        assert reached(expected)[0] > 0
        for outcome in ("reached", "dropped", "censored"):
            ids = [set(f.engagements(1, outcome)["engagement_id"]) for f in (expected, found)]  # type: ignore[arg-type]
            assert ids[0] == ids[1]
        steps = [set(f.executions(2).select("engagement_id", "step_id").rows()) for f in (expected, found)]
        assert steps[0] == steps[1]
    with pytest.raises(UnknownStepError, match="Did you mean 'A'"):
        other.funnel(["AA"])


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_every_engine_gives_the_same_to_the_last_digit(engine: Any, share: Path) -> None:
    same_on(engine, share)


def test_spark_gives_the_same_to_the_last_digit(spark: Any, share: Path) -> None:
    same_on("spark", share, ASKED[1:3])


def test_engines_read_exported_folders_only(share: Path, recorded: SQLiteStore) -> None:
    with pytest.raises(InvalidArgumentError, match="no engine 'ray'; engines: polars, duckdb, spark"):
        ftnb.open(share, engine="ray")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="reads an exported folder"):
        ftnb.open(recorded, engine="duckdb")


def test_frames_of_duckdb_and_a_path_are_sources(share: Path) -> None:
    import duckdb

    expected = reached(ftnb.open(share).funnel(["A", "B", "C"], mode="ordered"))
    assert reached(funnel(share, ["A", "B", "C"], mode="ordered")) == expected
    assert reached(funnel(str(share), ["A", "B", "C"], mode="ordered")) == expected
    connection = duckdb.connect()
    path = str(share / "steps.parquet")
    rows = connection.sql(f"SELECT *, file_row_number AS seq FROM read_parquet('{path}', file_row_number = true)")
    assert reached(funnel(rows, ["A", "B", "C"], mode="ordered")) == expected
    with pytest.raises(InvalidArgumentError, match="need a column 'seq'"):
        funnel(connection.sql(f"SELECT * FROM read_parquet('{path}')"), ["A"])


@given(engagements=st.lists(executions(), max_size=5), seed=st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_rows_of_engagements_may_be_mixed(engagements: list[list[Execution]], seed: Any) -> None:
    steps = steps_frame(engagements)
    places = [i for i, rows in enumerate(engagements) for _ in rows]
    seed.shuffle(places)
    begin = {i: sum(len(rows) for rows in engagements[:i]) for i in range(len(engagements))}
    taken = dict.fromkeys(begin, 0)
    order = []
    for i in places:
        order.append(begin[i] + taken[i])
        taken[i] += 1
    expected = funnel(steps, ["A", "B"], mode="ordered", within="10s")
    assert funnel(steps[order], ["A", "B"], mode="ordered", within="10s") == expected


# --- shown ---


def test_text_is_read_by_people(recorded: SQLiteStore) -> None:
    shown = repr(funnel(recorded, ["A", optional("B"), "C"], mode="ordered"))
    assert shown.splitlines()[0] == "Funnel of 3 engagements, ordered"
    assert "B (optional)" in shown
    assert "33.3% of first; dropped 0" in shown
    assert "FunnelStep(" not in shown


def test_the_figure_of_groups_shows_shares_with_intervals(recorded: SQLiteStore) -> None:
    result = funnel(recorded, ["A", "B"], mode="ordered", by="cohort", prices={"gpt": (2.0, 10.0)})
    figure = result.figure(theme="dark")
    assert [bar.name for bar in figure.data] == ["july", "june"]
    assert list(figure.data[1].x) == [1.0, 1.0]
    assert "cost: 9" in figure.data[1].customdata[0]
    assert "95% interval" in figure.data[0].customdata[0]
    html = result._repr_mimebundle_()["text/html"]
    assert "<th" in html
    assert ">june<" in html


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_what_files_note_of_themselves_is_what_a_look_at_their_rows_finds(tmp_path: Path, unit: Any) -> None:
    begun = [0, 60_000, 0, 200_000, 0]
    steps = pl.DataFrame(
        {"engagement_id": ["e1", "e1", "e2", "e2", "e3"], "name": ["A", "B", "A", "B", "A"], "at": begun}
    )
    steps = steps.with_columns(
        pl.col("at").cast(pl.Datetime("ms", "UTC")).dt.cast_time_unit(unit).alias("started_at"),
        pl.Series("attempt", [1, 1, 1, 1, 1]),
    )
    steps.write_parquet(tmp_path / "steps.parquet")
    asked: dict[str, Any] = {"mode": "ordered", "within": "2m"}
    found = funnel(tmp_path, ["A", "B"], **asked)
    assert found == funnel(steps, ["A", "B"], **asked)
    assert [(step.reached, step.censored) for step in found.steps] == [(3, 0), (1, 0)]
    steps.with_columns(started_at=pl.when(pl.col("at") > 0).then("started_at")).write_parquet(
        tmp_path / "steps.parquet"
    )
    with pytest.raises(InvalidArgumentError, match="3 have no started_at"):
        funnel(tmp_path, ["A", "B"], **asked)
