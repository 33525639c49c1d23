"""Outcomes: against a plain count, with annotations and metadata, and what a success cost."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.analytics import outcomes
from ftnb.analytics._intervals import newcombe, wilson
from ftnb.core.errors import InvalidArgumentError, UnknownStepError
from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore

from ._journeys import OPEN, Case, Step, cases, frames_of, visits_of


def chain(path: str, status: str = "completed", version: str | None = None) -> Case:
    return Case([Step(name, tokens=10) for name in path], status, version)


def with_reward(given_cases: list[Case], rewards: list[Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    steps, engagements = frames_of(given_cases)
    values = pl.Series("reward", [rewards[i % len(rewards)] for i in range(len(given_cases))], pl.Float64)
    tokens = [sum(step.tokens for step in case.steps) for case in given_cases]
    return steps, engagements.with_columns(values, pl.Series("total_tokens", tokens, pl.Int64))


@settings(max_examples=40, deadline=None)
@given(cases(), st.lists(st.sampled_from([None, 0.0, 1.0]), min_size=1, max_size=3))
def test_outcomes_equal_the_plain_count(given_cases: list[Case], rewards: list[Any]) -> None:
    source = with_reward(given_cases, rewards)
    reward = [rewards[i % len(rewards)] for i in range(len(given_cases))]
    found = outcomes(source, "reward")
    known = [i for i, value in enumerate(reward) if value is not None]
    assert (found.n_known, found.n_success) == (len(known), sum(reward[i] == 1 for i in known))
    visited = [{visit.name for visit in visits_of(case)} for case in given_cases]
    rows = {row["name"]: row for row in found.frame().to_dicts()}
    assert set(rows) == set().union(*visited)
    for name, row in rows.items():
        there = [i for i in known if name in visited[i]]
        rest = [i for i in known if name not in visited[i]]
        good, other = (sum(reward[i] == 1 for i in group) for group in (there, rest))
        assert (row["n"], row["n_success"]) == (len(there), good)
        assert row["n_unknown"] == sum(name in seen for seen in visited) - len(there)
        assert row["success_rate"] == (good / len(there) if there else None)
        assert (row["success_low"], row["success_high"]) == (wilson(good, len(there)) or (None, None))
        assert row["rate_without"] == (other / len(rest) if rest else None)
        tokens = sum(step.tokens for i in there for step in given_cases[i].steps)
        assert row["tokens_per_success"] == (tokens / good if good else None)
    paths = outcomes(source, "reward", by="path").frame()
    assert paths["n"].sum() == len(known)
    assert outcomes(source, "reward", by=None).frame()["n"].to_list() == [len(known)]


@settings(max_examples=25, deadline=None)
@given(cases(), st.lists(st.sampled_from(["A", "B", "name"]), min_size=1, max_size=3))
def test_a_path_keeps_who_went_it(given_cases: list[Case], path: list[str]) -> None:
    def went(case: Case) -> bool:
        names = iter([visit.name for visit in visits_of(case)])
        return all(name in names for name in path)

    seen = {visit.name for case in given_cases for visit in visits_of(case)}
    if not set(path) <= seen:
        with pytest.raises(UnknownStepError):
            outcomes(frames_of(given_cases), path=path)
        return
    found = outcomes(frames_of(given_cases), path=path, by=None)
    assert found.values()["engagement_id"].to_list() == [f"e{i}" for i, case in enumerate(given_cases) if went(case)]
    assert found.n_known == sum(went(case) and case.status not in OPEN for case in given_cases)


def test_the_latest_judgement_of_the_whole_counts_and_splits_a_funnel() -> None:
    store = SQLiteStore()
    ids = []
    for _ in range(3):
        recorder = Recorder(store)
        ids.append(recorder.start_engagement("w"))
        recorder.end_step(recorder.start_step(ids[-1], "a"))
        recorder.end_engagement(ids[-1], EngagementStatus.COMPLETED)
        assert recorder.flush()
    tr = ftnb.open(store)
    tr.engagement(ids[0]).annotate("correct", 0.0, by="judge")
    tr.engagement(ids[0]).annotate("correct", 1.0, by="somebody")
    tr.engagement(ids[1]).annotate("correct", False)
    found = tr.outcomes("correct")
    assert found.split().rows() == [(ids[0], True), (ids[1], False), (ids[2], None)]
    assert (found.n_known, found.success_rate) == (2, 0.5)
    funnel = tr.funnel(["a"], by=found.split())
    assert [(part.value, part.steps[0].reached) for part in funnel.groups or []] == [(False, 1), (True, 1), (None, 1)]
    assert found.engagements(0, success=True)["engagement_id"].to_list() == [ids[0]]
    assert found.engagements(0, success=None)["engagement_id"].to_list() == [ids[2]]
    store.close()


def test_what_counts_as_a_success_can_be_said() -> None:
    source = with_reward([chain("A"), chain("AB"), chain("B", "failed")], [1.0, 4.0, 5.0])
    assert outcomes(source, "reward", success=4).n_success == 2
    assert outcomes(source, "reward", success=lambda value: value < 2).n_success == 1
    assert outcomes(source, "status", success=["failed"]).n_success == 1
    assert outcomes(source).success_rate == pytest.approx(2 / 3)
    by = outcomes(source, by="status").frame()
    assert by.select("group", "success_rate").rows() == [("completed", 1.0), ("failed", 0.0)]
    for theme in ("light", "dark"):
        assert outcomes(source).figure(theme=theme).data  # type: ignore[arg-type]


def test_cost_per_success_carries_what_failures_cost() -> None:
    steps, engagements = with_reward([chain("A"), chain("A")], [1.0, 0.0])
    events = pl.DataFrame({"engagement_id": ["e0", "e1"], "step_id": ["s0", "s0"], "kind": "llm_call", "model": "m",
                           "prompt_tokens": [1_000_000, 2_000_000], "completion_tokens": 0})  # fmt: skip
    row = outcomes((steps, engagements, events), "reward", prices={"m": (1, 1)}, by=None).frame().row(0, named=True)
    assert (row["cost"], row["cost_per_success"], row["n_unpriced"]) == (3.0, 3.0, 0)
    row = outcomes((steps, engagements, events), "reward", prices={"x": (1, 1)}, by=None).frame().row(0, named=True)
    assert (row["cost"], row["cost_per_success"], row["n_unpriced"]) == (None, None, 2)


def test_intervals_of_differences_are_those_of_statsmodels() -> None:
    from statsmodels.stats import proportion

    for good, n, other, m in ((9, 10, 3, 10), (0, 5, 5, 5), (56, 70, 48, 80)):
        expected = proportion.confint_proportions_2indep(good, n, other, m, method="newcomb")
        assert newcombe(good, n, other, m) == pytest.approx(expected, abs=1e-9)
    assert newcombe(0, 0, 1, 2) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outcome": "rewrad"}, "no outcome 'rewrad'; .*Did you mean 'reward'"),
        ({"outcome": "reward"}, "'reward' runs from 1 to 5: say what is a success, as success=4"),
        ({"outcome": "version"}, "'version' has the values 'v1': say which are successes"),
        ({"outcome": "version", "success": "v7"}, "success='v7' is no value of it; values: 'v1'"),
        ({"outcome": 3}, "outcome is a label"),
        ({"path": []}, "path is empty"),
        ({"by": "nobody"}, "nothing to split by is called 'nobody'"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, Any], message: str) -> None:
    source = with_reward([chain("A", version="v1"), chain("B", version="v1")], [1.0, 5.0])
    with pytest.raises(InvalidArgumentError, match=message):
        outcomes(source, **options)
