"""Conformance to declared graphs: against a plain reference, against pm4py, and cases that are easy to get wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.analytics import Times, conformance, directly_follows
from ftnb.core.errors import InvalidArgumentError, UnknownStepError
from ftnb.core.model import EdgeDef, EngagementStatus, NodeDef, StepStatus, Topology
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.benchmarks._journey_log import DECLARED, journeys

from ._journeys import NAMES, OPEN, Case, Step, cases, frames_of, visits_of

V1: dict[str | None, list[str | None]] = {None: ["greet"], "greet": ["search"], "search": ["pay"], "pay": [None]}


def chain(path: str, status: str = "completed") -> Case:
    return Case([Step(name, gap=2000) for name in path], status)


def graph(declared: dict[str | None, list[str | None]], anywhere: str = "") -> Topology:
    names = dict.fromkeys(name for a, targets in declared.items() for name in (a, *targets) if name is not None)
    return Topology(
        nodes=[NodeDef(name=name, is_global=name == anywhere) for name in names],
        edges=[
            EdgeDef(source=a, target=b) for a, bs in declared.items() for b in bs if a is not None and b is not None
        ],
        entry=[b for b in declared.get(None, []) if b is not None],
        finish=[a for a, bs in declared.items() if None in bs and a is not None],
    )


def record(
    store: SQLiteStore, path: str, topology: Topology, status: EngagementStatus = EngagementStatus.COMPLETED
) -> str:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("w", topology=topology)
    for name in path.split():
        recorder.end_step(recorder.start_step(engagement, name), duration_ms=1.0)
    recorder.end_engagement(engagement, status)
    assert recorder.flush()
    return engagement


def whole(case: Case) -> Case:
    """The case with retries only right after what they repeat: others say nothing of what led to what."""
    before = None
    for step in case.steps:
        step.attempt = step.attempt if step.name == before else 1
        before = step.name
    return case


pairs = st.tuples(st.none() | st.sampled_from(NAMES), st.none() | st.sampled_from(NAMES))


@settings(max_examples=25, deadline=None)
@given(
    cases().map(lambda found: [whole(case) for case in found]),
    st.lists(pairs.filter(lambda pair: pair != (None, None)), min_size=1, max_size=12),
)
def test_moves_equal_the_plain_reference(given_cases: list[Case], declared: list[tuple[Any, Any]]) -> None:
    found = conformance(frames_of(given_cases), topology=declared)
    known = set(declared)
    entries, finishes = {b for a, b in known if a is None}, {a for a, b in known if b is None}
    wrong: list[list[str]] = []
    counts: dict[tuple[Any, Any], int] = {}
    for case in given_cases:
        visits = visits_of(case)
        moves: list[tuple[Any, Any, bool]] = []
        for k, visit in enumerate(visits):
            before = visits[k - 1] if k else None
            moves.append((before.name if before else None, visit.name, bool(before and turn_of(case, k))))
        if visits and case.status not in OPEN:
            moves.append((visits[-1].name, None, False))
        here = []
        for a, b, is_new_turn in moves:
            counts[a, b] = counts.get((a, b), 0) + 1
            allowed = (a, b) in known or (a is None and not entries)
            allowed = allowed or (b is None and (not finishes or case.status == "failed"))
            allowed = allowed or (is_new_turn and (b in entries or not entries))
            here += [] if allowed else [f"{a or '(start)'} → {b or '(end)'}"]
        wrong.append(here)
    frame = found.frame()
    assert [sorted(one) for one in frame["undeclared"].to_list()] == [sorted(one) for one in wrong]
    assert frame["fits"].to_list() == [not one for one in wrong]
    edges = {(row["from_name"], row["to_name"]): row for row in found.edges().to_dicts()}
    assert {edge: row["n"] for edge, row in edges.items() if row["n"]} == counts
    assert {edge for edge, row in edges.items() if row["state"] == "never taken"} == known - set(counts)
    assert found.coverage == pytest.approx(
        sum(row["n"] > 0 for row in edges.values() if row["declared"]) / sum(row["declared"] for row in edges.values())
    )


def turn_of(case: Case, k: int) -> bool:
    """Whether the k-th visit is the first thing of a turn, so that the graph was started again before it."""
    place = int(visits_of(case)[k].ids[0][1:])
    return place > 0 and case.steps[place - 1].turn < case.steps[place].turn


def test_moves_are_those_of_directly_follows() -> None:
    source = frames_of([chain("ABAB"), chain("AAB", "failed"), Case([Step("A"), Step("A", attempt=2), Step("B")])])
    edges = directly_follows(source).frame().select("from_name", "to_name", "n", "n_engagements").rows()
    found = conformance(source, topology=[("x", "y")]).edges().filter(pl.col("n") > 0)
    assert sorted(found.select("from_name", "to_name", "n", "n_engagements").rows(), key=str) == sorted(edges, key=str)


def test_undeclared_moves_are_those_that_pm4py_finds() -> None:
    expected = json.loads((Path(__file__).parent / "pm4py_deviations.json").read_text())
    frame = pl.DataFrame(list(journeys(200)), schema=["engagement_id", "name", "started_at"], orient="row")
    steps = frame.with_columns(ns=pl.lit(""), attempt=1, duration_ms=pl.lit(None, pl.Float64), total_tokens=0)
    ids = frame.select("engagement_id").unique(maintain_order=True)
    engagements = ids.with_columns(status=pl.lit("completed"), dropped_at=pl.lit(None, pl.String))
    found = conformance((steps, engagements), topology=DECLARED).frame()
    moves = {
        engagement: sorted({tuple(move.split(" → ")) for move in moves if "(" not in move})
        for engagement, moves in found.select("engagement_id", "undeclared").iter_rows()
    }
    assert {key: [list(pair) for pair in value] for key, value in moves.items()} == expected
    assert sum(bool(value) for value in expected.values()) > 50


def test_each_engagement_is_held_against_its_own_version() -> None:
    store = SQLiteStore()
    record(store, "greet search pay", graph(V1))
    record(store, "greet search pay", graph(V1))
    v2 = graph({None: ["greet"], "greet": ["search"], "search": ["consent"], "consent": ["pay"], "pay": [None]})
    record(store, "greet search consent pay", v2)
    bad = record(store, "greet search pay", v2)
    found = ftnb.open(store).conformance()
    versions = found.versions().to_dicts()
    assert [(row["version"], row["n_engagements"], row["n_fitting"]) for row in versions] == [(1, 2, 2), (2, 2, 1)]
    assert versions[1]["added_nodes"] == ["consent"]
    assert versions[1]["added_edges"] == ["consent → pay", "search → consent"]
    assert versions[1]["removed_edges"] == ["search → pay"]
    assert found.engagements(version=2)["fits"].to_list() == [True, False]
    edge = found.edges().filter(from_name="search", to_name="pay").row(0, named=True)
    assert (edge["n"], edge["n_undeclared"], edge["state"]) == (3, 1, "taken")
    violation = found.violations().row(0, named=True)
    assert (violation["engagement_id"], violation["move"], violation["name"]) == (bad, "search → pay", "pay")
    # Held against one graph, others drift.
    assert ftnb.open(store).conformance(topology=graph(V1)).n_fitting == 3
    store.close()


def test_a_global_step_may_come_from_anywhere_and_a_turn_may_begin_anew() -> None:
    store = SQLiteStore()
    topology = graph({**V1, "escalate": [None]}, anywhere="escalate")
    record(store, "greet escalate", topology)
    recorder = Recorder(store)
    engagement = recorder.start_engagement("w", topology=topology)
    for turn in ("greet search pay", "greet search pay"):
        for name in turn.split():
            recorder.end_step(recorder.start_step(engagement, name))
        recorder.set_engagement_status(engagement, EngagementStatus.PAUSED)
        recorder.set_engagement_status(engagement, EngagementStatus.ACTIVE)
    recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
    assert recorder.flush()
    found = ftnb.open(store).conformance()
    assert found.frame()["undeclared"].to_list() == [[], []]
    assert found.fitness == 1.0
    store.close()


def test_a_retried_last_step_ends_once_and_a_failure_is_no_end_of_the_graph() -> None:
    store = SQLiteStore()
    recorder = Recorder(store)
    engagement = recorder.start_engagement("w", topology=graph(V1))
    recorder.end_step(recorder.start_step(engagement, "greet"))
    first = recorder.start_step(engagement, "search")
    recorder.end_step(first, StepStatus.FAILED, error="no answer")
    recorder.end_step(recorder.start_step(engagement, "search", attempt=2), StepStatus.FAILED, error="no answer")
    recorder.end_engagement(engagement, EngagementStatus.FAILED)
    assert recorder.flush()
    tr = ftnb.open(store)
    ends = tr.transitions().filter(pl.col("to_step_id").is_null())
    assert ends["from_name"].to_list() == ["search"]
    assert ends["from_step_id"][0] != first
    assert tr.conformance().n_fitting == 1
    assert tr.directly_follows().frame().filter(pl.col("to_name").is_null())["n"].to_list() == [1]
    store.close()


def test_large_graphs_that_are_kept_by_reference_are_read() -> None:
    store = SQLiteStore()
    names = [f"node with a rather long name, number {k}" for k in range(200)]
    topology = Topology(nodes=[NodeDef(name=name) for name in ["a", *names]], entry=["a"], finish=["a"])
    record(store, "a", topology)
    found = ftnb.open(store).conformance()
    assert (found.nodes().height, found.n_fitting, found.node_coverage) == (201, 1, 1 / 201)
    store.close()


def test_what_is_behind_an_edge_and_a_rule() -> None:
    source = frames_of([chain("AB"), chain("ABB"), chain("B")])
    found = conformance(source, rules=["at most 1 B", Times("A", at_least=1)], topology={None: ["A"], "A": ["B"]})
    assert found.engagements(edge=(None, "B"))["engagement_id"].to_list() == ["e2"]
    assert found.engagements(edge=("B", "B"))["engagement_id"].to_list() == ["e1"]
    assert found.engagements(rule="always A")["engagement_id"].to_list() == ["e2"]
    for options, message in (
        ({}, "ask for one of"),
        ({"rule": "never C"}, "the rule 'never C' was not asked about; rules: at most 1 B; always A"),
        ({"version": 3}, "no version 3 of the graph; there are 1"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            found.engagements(**options)  # type: ignore[arg-type]
    with pytest.raises(UnknownStepError, match="no step 'C'"):
        found.engagements(edge=("A", "C"))


def test_the_map_tells_what_is_not_declared() -> None:
    found = conformance(frames_of([chain("AXB")]), topology={None: ["A"], "A": ["B"], "B": [None]})
    payload = found.process_map_payload()
    assert {node["name"]: node["declared"] for node in payload["nodes"] if node["name"]} == {
        "A": True, "B": True, "X": False,
    }  # fmt: skip
    by_ends = {
        (payload["nodes"][e["source"]]["name"], payload["nodes"][e["target"]]["name"]): e for e in payload["edges"]
    }
    assert not by_ends["A", "X"]["declared"]
    assert by_ends["A", "B"]["declared"]
    assert by_ends["A", "B"]["numbers"][0]["n"] == 0
    for theme in ("light", "dark"):
        assert found.figure(theme=theme).data  # type: ignore[arg-type]
    assert "never taken" in repr(found)


def test_nothing_is_an_answer_too() -> None:
    empty = frames_of([])
    found = conformance(empty, rules=["never A"], topology={"A": ["B"]})
    assert (found.fitness, found.coverage, found.n_fitting, found.frame().height) == (None, 0.0, 0, 0)
    assert found.rules()["broken_rate"].to_list() == [None]
    bundle = conformance(empty, rules=["never A"])._repr_mimebundle_()
    assert "never A" in bundle["text/html"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "frames do not hold the declared graph"),
        ({"topology": "greet"}, "a topology is a recorded one"),
        ({"topology": [("a",)]}, "a topology is a recorded one"),
        ({"topology": {}}, "declares no node"),
        ({"rules": ["never A", "never A"]}, "the same rule is given twice"),
        ({"rules": "never", "topology": V1}, "cannot read the rule 'never'"),
        ({"rules": "never A", "confidence": 2}, "confidence lies between 0 and 1"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        conformance(frames_of([chain("AB")]), **options)


def test_a_rule_about_a_step_that_is_nowhere_is_a_mistake() -> None:
    store = SQLiteStore()
    record(store, "greet", graph(V1))
    assert ftnb.open(store).conformance(rules="never pay").n_fitting == 0  # it ends where the graph does not
    with pytest.raises(UnknownStepError, match=r"no step 'gret'.*Did you mean 'greet'"):
        ftnb.open(store).conformance(rules="always gret")
    store.close()
