"""Costs of model calls: against a plain sum, by everything that they are asked by, and what discarded work costs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.analytics import costs, directly_follows, funnel
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.model import EngagementStatus, EventKind, StepStatus, TokenUsage
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore

from ._journeys import Case, Step, cases, frames_of, visits_of

PRICES = {"cheap": (1.0, 2.0), "dear": {"prompt": 10, "completion": 20, "cache_read": 1}}
Call = tuple[int, str | None, int, int, int]


def with_calls(given_cases: list[Case], drawn: list[Call]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The frames, each call in a step; `drawn` says in which, of all steps in turn."""
    steps, engagements = frames_of(given_cases)
    rows = []
    for place, model, prompt, completion, read in drawn if steps.height else []:
        step = steps.row(place % steps.height, named=True)
        rows.append((step["engagement_id"], step["step_id"], "llm_call", "name", model, prompt, completion, read))
    schema = {"engagement_id": pl.String, "step_id": pl.String, "kind": pl.String, "name": pl.String,
              "model": pl.String, "prompt_tokens": pl.Int64, "completion_tokens": pl.Int64,
              "cache_read_tokens": pl.Int64}  # fmt: skip
    events = pl.DataFrame(rows, schema=schema, orient="row")
    return steps, engagements, events


def plain_cost(model: str | None, prompt: int, completion: int, read: int) -> float | None:
    if model == "cheap":
        return (prompt * 1.0 + completion * 2.0) / 1e6
    read = min(read, prompt)
    return ((prompt - read) * 10 + read + completion * 20) / 1e6 if model == "dear" else None


calls = st.tuples(st.integers(0, 50), st.sampled_from(["cheap", "dear", "unheard of"]), *[st.integers(0, 9000)] * 3)


@settings(max_examples=40, deadline=None)
@given(cases(max_size=4), st.lists(calls, max_size=8))
def test_costs_equal_the_plain_sum(given_cases: list[Case], drawn: list[Call]) -> None:
    source = with_calls(given_cases, drawn)
    steps = source[0]
    sums: dict[str, list[float | None]] = defaultdict(list)
    nodes: dict[str, float] = defaultdict(float)
    for place, *call in drawn if steps.height else []:
        name = steps.row(place % steps.height, named=True)["name"]
        sums[name].append(plain_cost(*call))
    found = costs(source, prices=PRICES)
    for row in found.frame().to_dicts():
        known = [cost for cost in sums[row["step"]] if cost is not None]
        assert row["n_calls"] == len(sums[row["step"]])
        assert row["n_unpriced"] == len(sums[row["step"]]) - len(known)
        assert row["cost"] == (pytest.approx(sum(known)) if known else None)
        nodes[row["step"]] = row["cost"] or 0.0
    assert set(found.frame()["step"]) == set(sums)
    every = [cost for group in sums.values() for cost in group]
    assert found.n_unpriced == every.count(None)
    if every and any(cost is not None for cost in every):
        assert found.total == pytest.approx(sum(cost for cost in every if cost is not None))
    elif every:
        assert found.total is None
    # The graph's nodes cost what the steps do; a retry is part of its visit.
    names = {visit.name for case in given_cases for visit in visits_of(case)}
    of_nodes = directly_follows(source, prices=PRICES).nodes()
    assert {row["name"]: row["cost"] or 0.0 for row in of_nodes.to_dicts()} == pytest.approx(
        {name: nodes.get(name, 0.0) for name in names}, abs=1e-9
    )


def test_an_edge_costs_what_the_step_that_it_leaves_cost() -> None:
    source = with_calls([Case([Step("A"), Step("B"), Step("A")])], [(0, "cheap", 1_000_000, 0, 0), (1, "new", 5, 5, 0)])
    found = directly_follows(source, prices=PRICES).frame()
    edges = {(row["from_name"], row["to_name"]): (row["cost"], row["n_unpriced"]) for row in found.to_dicts()}
    assert edges == {(None, "A"): (0.0, 0), ("A", "B"): (1.0, 0), ("B", "A"): (None, 1), ("A", None): (0.0, 0)}
    assert directly_follows(source).frame().columns == found.drop("cost", "n_unpriced").columns


def record(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("w", metadata={"user_id": "u1"})
    for status, model, usage in (
        (StepStatus.WAITING, "dear", TokenUsage(prompt=1_000_000, cache_read=500_000)),
        (StepStatus.COMPLETED, "dear", TokenUsage(prompt=1_000_000)),
        (StepStatus.COMPLETED, "unheard of", TokenUsage(prompt=1_000_000)),
    ):
        step = recorder.start_step(engagement, "ask")
        recorder.record_event(step, EventKind.LLM_CALL, model, model=model, tokens=usage, duration_ms=1.0)
        recorder.end_step(step, status)
    recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
    assert recorder.flush()


def test_discarded_work_was_paid_for_and_an_unknown_price_is_not_free() -> None:
    store = SQLiteStore()
    record(store)
    tr = ftnb.open(store)
    found = tr.costs(prices=PRICES)
    assert (found.total, found.discarded, found.n_unpriced) == (15.5, 5.5, 1)
    row = found.frame().row(0, named=True)
    assert (row["step"], row["cost"], row["discarded_cost"], row["n_unpriced"]) == ("ask", 15.5, 5.5, 1)
    assert found.unpriced()["model"].to_list() == ["unheard of"]
    assert tr.costs(by="model", prices=PRICES).frame().select("model", "cost").rows() == [
        ("dear", 15.5), ("unheard of", None),
    ]  # fmt: skip
    assert tr.costs(by="user", prices=PRICES).frame()["user"].to_list() == ["u1"]
    assert tr.costs(by=["day", "engagement"], prices=PRICES).frame().height == 1
    # Nobody's price is known: the whole is unknown, and what was discarded, too.
    nothing = tr.costs()
    assert (nothing.total, nothing.discarded, nothing.n_unpriced) == (None, None, 3)
    assert "unknown" in repr(nothing)
    assert tr.funnel(["ask"], prices=PRICES).steps[0].cost == 15.5
    for theme in ("light", "dark"):
        assert found.figure(theme=theme).data  # type: ignore[arg-type]
    store.close()


def test_what_if_prices_were_others() -> None:
    store = SQLiteStore()
    record(store)
    found = ftnb.open(store).costs(by="model", prices=PRICES)
    change = found.what_if({"dear": (1, 1)})
    assert (change.before, change.after, change.difference, change.n_left_out) == (15.5, 2.0, -13.5, 1)
    row = change.frame().row(0, named=True)
    assert (row["model"], row["cost_before"], row["cost_after"], row["change"]) == ("dear", 15.5, 2.0, -13.5 / 15.5)
    assert change.figure().data
    with pytest.raises(InvalidArgumentError, match="costs in USD and EUR cannot be compared"):
        found.what_if(ftnb.prices({"dear": (1, 1)}, currency="EUR"))
    assert found.what_if({"another": (1, 1)}).difference is None
    store.close()


def test_funnels_read_the_same_prices(tmp_path: Any) -> None:
    source = with_calls([Case([Step("A")])], [(0, "dear", 1_000_000, 0, 1_000_000)])
    path = ftnb.prices(PRICES).to_csv(tmp_path / "prices.csv")
    assert funnel(source, ["A"], prices=path).steps[0].cost == funnel(source, ["A"], prices=PRICES).steps[0].cost == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "usre"}, "no metadata key and no column 'usre' for by"),
        ({"by": []}, "by is step, model, day"),
        ({"by": ["step", "step"]}, "by names the same twice"),
        ({"prices": 3}, "prices is a CSV or TOML file"),
        ({"prices": lambda calls: 3}, "prices must give one cost a call"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, Any], message: str) -> None:
    source = with_calls([Case([Step("A")], version="v1")], [(0, "dear", 1, 1, 0)])
    with pytest.raises(InvalidArgumentError, match=message):
        costs(source, **options)
    with pytest.raises(InvalidArgumentError, match="costs need the events"):
        costs(source[:2])
