"""Durations of steps, models, tools and engagements, and waiting for a human, apart."""

from __future__ import annotations

import itertools
from collections import defaultdict
from statistics import mean

import polars as pl
import pytest
from hypothesis import given, settings

import ftnb
from ftnb.analytics import durations
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore

from ._journeys import Case, Step, cases, frames_of, quantile, starts_of, visits_of

QUANTILES = {"q1_ms": 0.25, "median_ms": 0.5, "q3_ms": 0.75, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}


def waits_of(case: Case) -> list[tuple[str, float]]:
    """Each wait before a turn, told of the last step before it."""
    turns: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for step, start in zip(case.steps, starts_of(case), strict=True):
        turns[step.turn].append((step.name, start, start + (step.us or 0)))
    found = []
    order = sorted(turns)
    for before, turn in itertools.pairwise(order):
        wait = min(start for _, start, _ in turns[turn]) - max(end for _, _, end in turns[before])
        if wait > 0:
            found.append((turns[before][-1][0], wait / 1000))
    return found


@given(given_cases=cases())
@settings(max_examples=40)
def test_durations_equal_the_plain_reference(given_cases: list[Case]) -> None:
    work: dict[str, list[int | None]] = defaultdict(list)
    waits: dict[str, list[float]] = defaultdict(list)
    for case in given_cases:
        for visit in visits_of(case):
            work[visit.name].append(visit.us)
        for name, wait in waits_of(case):
            waits[name].append(wait)
    rows = durations(frames_of(given_cases)).frame().to_dicts()
    assert {row["name"] for row in rows} == set(work)
    for row in rows:
        times = [us / 1000 for us in work[row["name"]] if us is not None]
        assert (row["n"], row["n_measured"]) == (len(work[row["name"]]), len(times))
        expected = {name: quantile(times, q) for name, q in QUANTILES.items()}
        expected |= {"mean_ms": mean(times) if times else None, "max_ms": max(times, default=None)}
        assert {name: row[name] for name in expected} == pytest.approx(expected)
        assert row["total_ms"] == pytest.approx(sum(times))
        waited = waits[row["name"]]
        assert (row["n_waits"], row["total_wait_ms"]) == (len(waited), pytest.approx(sum(waited)))
        assert row["median_wait_ms"] == (pytest.approx(quantile(waited, 0.5)) if waited else None)


def recorded() -> SQLiteStore:
    store = SQLiteStore()
    recorder = Recorder(store)
    for version, ms in (("v1", 10.0), ("v2", 30.0)):
        engagement = recorder.start_engagement("w", metadata={"version": version})
        step = recorder.start_step(engagement, "A")
        recorder.record_llm_call(step, "gpt", prompt=5, duration_ms=ms)
        recorder.record_event(step, "tool_call", "lookup", duration_ms=2.0)
        recorder.end_step(step, duration_ms=ms + 5)
        recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
    assert recorder.flush()
    return store


def test_models_and_tools() -> None:
    traces = ftnb.open(recorded())
    (model,) = traces.durations(of="model").frame().to_dicts()
    assert (model["name"], model["n"], model["median_ms"], model["max_ms"]) == ("gpt", 2, 20.0, 30.0)
    (tool,) = traces.durations(of="tool").frame().to_dicts()
    assert (tool["name"], tool["n"], tool["total_ms"]) == ("lookup", 2, 4.0)
    by = traces.durations(of="model", by="version").frame().to_dicts()
    assert [(row["group"], row["median_ms"]) for row in by] == [("v1", 10.0), ("v2", 30.0)]
    only = traces.durations(of="model", where={"version": "v2"})
    assert only.frame()["median_ms"].to_list() == [30.0]
    frames = (traces.steps(), traces.engagements(), traces.events())
    assert durations(frames, of="model").frame().to_dicts() == [model]


def test_engagements_without_their_waits() -> None:
    steps, engagements = frames_of([Case([Step("A")]), Case([Step("A")], "paused")])
    timed = engagements.with_columns(duration_ms=pl.Series([70_000.0, None]), wait_ms=pl.Series([60_000.0, 5.0]))
    (row,) = durations((steps, timed), of="engagement").frame().to_dicts()
    assert (row["n"], row["n_measured"], row["median_ms"]) == (2, 1, 10_000.0)
    assert (row["n_waits"], row["total_wait_ms"]) == (2, 60_005.0)


def test_a_wait_is_told_of_the_step_that_waited() -> None:
    case = Case([Step("ask", us=10), Step("other", us=10, gap=1), Step("B", us=10, gap=1_000_000, turn=2)])
    steps, engagements = frames_of([case])
    told = steps.with_columns(status=pl.Series(["waiting", "completed", "completed"]))
    rows = {row["name"]: row["n_waits"] for row in durations((told, engagements)).frame().to_dicts()}
    assert rows == {"ask": 1, "other": 0, "B": 0}


def test_nothing_measured() -> None:
    result = durations(frames_of([Case([Step("A", us=None)])]))
    (row,) = result.frame().to_dicts()
    assert (row["n"], row["n_measured"], row["median_ms"], row["total_ms"]) == (1, 0, None, 0.0)
    assert "no duration was measured" in result.figure().to_json()
    assert durations(frames_of([])).frame().is_empty()


def test_steps_inside_subgraphs_are_steps() -> None:
    store = SQLiteStore()
    recorder = Recorder(store)
    engagement = recorder.start_engagement("w")
    outer = recorder.start_step(engagement, "outer")
    inner = recorder.start_step(engagement, "inner", parent=outer, ns="outer")
    for step in (inner, outer):
        recorder.end_step(step, duration_ms=1.0)
    assert recorder.flush()
    assert set(durations(store).frame()["name"]) == {"outer", "inner"}
    assert set(durations(store, level="top").frame()["name"]) == {"outer"}


def test_arguments_that_cannot_be_used() -> None:
    source = frames_of([Case([Step("A")])])
    with pytest.raises(InvalidArgumentError, match="no durations of 'node'; known: step, model, tool, engagement"):
        durations(source, of="node")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="durations of models need events"):
        durations(source, of="model")


def test_figures_in_both_themes_and_groups() -> None:
    result = durations(recorded(), by="version")
    for theme in ("light", "dark"):
        figure = result.figure(theme=theme)  # type: ignore[arg-type]
        assert list(figure.layout.yaxis.ticktext) == ["A · v1", "A · v2"]
