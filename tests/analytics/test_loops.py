"""Rework and cycles: against a plain reference, and what is no rework."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean
from typing import Any

import pytest
from hypothesis import given, settings

from ftnb.analytics import loops
from ftnb.analytics._collapse import cycles
from ftnb.core.errors import UnknownStepError

from ._journeys import Case, Step, cases, frames_of, visits_of


def chain(path: str, status: str = "completed", version: str | None = None) -> Case:
    return Case([Step(name, tokens=10) for name in path], status, version)


def turned(steps: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    """All the ways to begin a cycle."""
    return frozenset(steps[k:] + steps[:k] for k in range(len(steps)))


def node_reference(given_cases: list[Case]) -> dict[str, dict[str, Any]]:
    each: dict[str, list[list[Any]]] = defaultdict(list)
    self_loops: dict[str, int] = defaultdict(int)
    for case in given_cases:
        visits = visits_of(case)
        for name in {visit.name for visit in visits}:
            each[name].append([visit for visit in visits if visit.name == name])
        for k in range(1, len(visits)):
            self_loops[visits[k].name] += visits[k].name == visits[k - 1].name
    spent = sum(visit.tokens for case in given_cases for visit in visits_of(case))
    result = {}
    for name, engagements in each.items():
        counts = [len(visits) for visits in engagements]
        again = [visit for visits in engagements for visit in visits[1:]]
        repeated = sum(count > 1 for count in counts)
        result[name] = {
            "name": name, "n_visits": sum(counts), "n_engagements": len(counts), "n_repeats": len(again),
            "repeat_share": len(again) / sum(counts), "n_engagements_repeated": repeated,
            "rework_rate": repeated / len(counts), "n_self_loops": self_loops[name], "mean_visits": mean(counts),
            "max_visits": max(counts), "rework_ms": sum(visit.us or 0 for visit in again) / 1000,
            "rework_tokens": sum(visit.tokens for visit in again),
            "rework_token_share": sum(visit.tokens for visit in again) / spent if spent else None,
        }  # fmt: skip
    return result


def cycle_reference(given_cases: list[Case]) -> dict[Any, tuple[int, int, int, float]]:
    """Each cycle, however begun: times round, engagements, tokens, milliseconds."""
    found: dict[Any, list[Any]] = defaultdict(lambda: [0, set(), 0, 0])
    for i, case in enumerate(given_cases):
        visits = visits_of(case)
        for _, steps, places in cycles([visit.name for visit in visits]):
            cycle = found[turned(steps)]
            cycle[0] += 1
            cycle[1].add(i)
            cycle[2] += sum(visits[place].tokens for place in places)
            cycle[3] += sum(visits[place].us or 0 for place in places)
    return {key: (n, len(engagements), tokens, us / 1000) for key, (n, engagements, tokens, us) in found.items()}


@given(given_cases=cases())
@settings(max_examples=40)
def test_rework_equals_the_plain_reference(given_cases: list[Case]) -> None:
    result = loops(frames_of(given_cases))
    nodes = {row["name"]: row for row in result.frame().to_dicts()}
    reference = node_reference(given_cases)
    assert set(nodes) == set(reference)
    for name, row in reference.items():
        assert nodes[name] == pytest.approx(row)
    rows = result.cycles().to_dicts()
    expected = cycle_reference(given_cases)
    assert len(rows) == len(expected)
    for row in rows:
        key = turned(tuple(row["path"]))
        assert (row["n"], row["n_engagements"], row["total_tokens"], row["work_ms"]) == pytest.approx(expected[key])
        assert row["share"] == row["n_engagements"] / len(given_cases)
    assert result.figure() is not None


def test_a_resumed_step_is_no_rework() -> None:
    case = Case([Step("ask", tokens=1), Step("ask", attempt=2, turn=2, tokens=2), Step("B", turn=2)])
    result = loops(frames_of([case]))
    assert result.frame()["n_repeats"].to_list() == [0, 0]
    assert result.cycles().is_empty()
    assert "no step was visited twice" in result.figure().to_json()


def test_an_inner_loop_is_no_part_of_the_outer_one() -> None:
    rows = loops(frames_of([chain("ABBBCA")])).cycles().to_dicts()
    assert [("".join(row["path"]), row["n"], row["total_tokens"]) for row in rows] == [("B", 2, 20), ("ABC", 1, 30)]


def test_a_cycle_is_one_whichever_step_it_was_entered_by() -> None:
    rows = loops(frames_of([chain("BCAB"), chain("BCAB"), chain("CABC")])).cycles().to_dicts()
    assert [("".join(row["path"]), row["n"], row["n_engagements"]) for row in rows] == [("BCA", 3, 3)]


def test_the_engagements_that_came_back() -> None:
    result = loops(frames_of([chain("AB"), chain("ABA"), chain("AAA")]))
    assert result.engagements("A").to_dicts() == [
        {"engagement_id": "e2", "n_visits": 3},
        {"engagement_id": "e1", "n_visits": 2},
    ]
    with pytest.raises(UnknownStepError, match=r"no step 'C'"):
        result.engagements("C")


def test_groups() -> None:
    result = loops(frames_of([chain("AA", version="v1"), chain("AB", version="v2"), chain("A")]), by="version")
    rows = {(row["group"], row["name"]): row["rework_rate"] for row in result.frame().to_dicts()}
    assert rows == {("v1", "A"): 1.0, ("v2", "A"): 0.0, ("v2", "B"): 0.0, (None, "A"): 0.0}
    assert result.cycles()["group"].to_list() == ["v1"]
    assert result.figure(group="v1") is not None


def test_nothing() -> None:
    result = loops(frames_of([]))
    assert result.frame().is_empty()
    assert result.figure() is not None
