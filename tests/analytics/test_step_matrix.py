"""The step matrix and the Sankey flows against plain references."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftnb.analytics import sankey, step_matrix
from ftnb.core.errors import InvalidArgumentError, UnknownStepError

from ._journeys import OPEN, Case, Step, cases, frames_of, visits_of


def chain(path: str, status: str = "completed", version: str | None = None) -> Case:
    return Case([Step(name) for name in path], status, version)


def names_of(case: Case) -> list[str]:
    return [visit.name for visit in visits_of(case)]


def matrix_reference(given_cases: list[Case], max_steps: int, anchor: str | None) -> Counter[tuple[Any, ...]]:
    """(index, name, state) to engagements."""
    kept = [case for case in given_cases if anchor is None or anchor in names_of(case)]
    spans = []
    for case in kept:
        names = names_of(case)
        origin = -1 if anchor is None else names.index(anchor)
        spans.append((case, {k - origin: name for k, name in enumerate(names)}, -origin, len(names) - 1 - origin))
    low = 1 if anchor is None else max(-max_steps, min((first for _, _, first, _ in spans), default=0))
    high = min(max_steps, max((last for _, _, _, last in spans), default=0))
    found: Counter[tuple[Any, ...]] = Counter()
    for case, at, first, _ in spans:
        for index in range(low, high + 1):
            if index in at:
                found[index, at[index], "step"] += 1
            elif index < first:
                found[index, None, "not_begun"] += 1
            else:
                found[index, None, "open" if case.status in OPEN else "ended"] += 1
    return found


@given(given_cases=cases(), max_steps=st.integers(1, 8), anchor=st.sampled_from([None, "A", "name"]))
@settings(max_examples=40)
def test_the_matrix_equals_the_plain_reference(given_cases: list[Case], max_steps: int, anchor: str | None) -> None:
    source = frames_of(given_cases)
    if anchor is not None and not any(anchor in names_of(case) for case in given_cases):
        with pytest.raises(UnknownStepError):
            step_matrix(source, anchor=anchor)
        return
    result = step_matrix(source, max_steps=max_steps, anchor=anchor)
    rows = result.frame().to_dicts()
    expected = matrix_reference(given_cases, max_steps, anchor)
    assert {(row["index"], row["name"], row["state"]): row["n"] for row in rows} == expected
    total = sum(anchor is None or anchor in names_of(case) for case in given_cases)
    assert result.totals == [total]
    for index in {row["index"] for row in rows}:
        assert sum(row["share"] for row in rows if row["index"] == index) == pytest.approx(1.0)
    assert result.figure() is not None


def test_the_matrix_as_a_matrix() -> None:
    result = step_matrix(frames_of([chain("AB"), chain("A", "paused"), chain("B")]))
    table = {row["name"]: row for row in result.wide().to_dicts()}
    assert table["A"]["1"] == pytest.approx(2 / 3)
    assert (table["(ended)"]["1"], table["(ended)"]["2"], table["(open)"]["2"]) == pytest.approx((0.0, 1 / 3, 1 / 3))
    assert result.engagements(1, "A") == ["e0", "e1"]
    assert "66.7%" in repr(result)


def test_a_step_named_like_a_state_is_a_step() -> None:
    result = step_matrix(frames_of([Case([Step("(ended)"), Step("A")])]))
    assert result.wide()["name"].to_list() == ["(ended)", "A"]
    assert result.frame()["state"].to_list() == ["step", "step"]


def test_the_difference_of_two_groups() -> None:
    result = step_matrix(frames_of([chain("AB", version="v1"), chain("AC", version="v2")]), by="version")
    rows = {(row["index"], row["name"]): row["share_difference"] for row in result.difference("v1", "v2").to_dicts()}
    assert rows == {(1, "A"): 0.0, (2, "B"): -1.0, (2, "C"): 1.0}
    with pytest.raises(InvalidArgumentError, match="no group 'v9' of 'version'"):
        result.wide(group="v9")


@pytest.mark.parametrize("given_cases", [[], [chain("")]])
def test_nothing(given_cases: list[Case]) -> None:
    for result in (step_matrix(frames_of(given_cases)), sankey(frames_of(given_cases))):
        assert result.figure() is not None
        assert repr(result)


def test_arguments_that_cannot_be_used() -> None:
    source = frames_of([chain("AB")])
    with pytest.raises(UnknownStepError, match=r"no step 'b' in these engagements; steps: A, B"):
        step_matrix(source, anchor="b")
    for options in ({"max_steps": 0}, {"max_steps": True}, {"max_steps": "9"}):
        with pytest.raises(InvalidArgumentError, match="max_steps is a whole number, 1 or more"):
            step_matrix(source, **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="top is a whole number"):
        sankey(source, top=0)


# --- flows ---


def flow_reference(given_cases: list[Case], max_steps: int, top: int) -> Counter[tuple[Any, ...]]:
    paths = [names_of(case) for case in given_cases]
    first = list(dict.fromkeys(name for path in paths for name in path))
    kept = []
    for index in range(max_steps):
        counts = Counter(path[index] for path in paths if len(path) > index)
        kept.append(sorted(counts, key=lambda name: (-counts[name], first.index(name)))[:top])
    found: Counter[tuple[Any, ...]] = Counter()
    for case, path in zip(given_cases, paths, strict=True):
        end = "open" if case.status in OPEN else "ended" if case.status == "completed" else "dropped"
        for k, name in enumerate(path[:max_steps]):
            here = (name, "step") if name in kept[k] else (None, "other")
            if k + 1 == len(path):
                there = (None, end)
            elif k + 1 == max_steps:
                there = (None, "cut")
            else:
                there = (path[k + 1], "step") if path[k + 1] in kept[k + 1] else (None, "other")
            found[(k + 1, *here, *there)] += 1
    return found


@given(given_cases=cases(), max_steps=st.integers(1, 6), top=st.integers(1, 3))
@settings(max_examples=40)
def test_flows_equal_the_plain_reference(given_cases: list[Case], max_steps: int, top: int) -> None:
    result = sankey(frames_of(given_cases), max_steps=max_steps, top=top)
    columns = ("index", "from_name", "from_state", "to_name", "to_state")
    rows = {tuple(row[name] for name in columns): row for row in result.frame().to_dicts()}
    expected = flow_reference(given_cases, max_steps, top)
    assert {key: row["n"] for key, row in rows.items()} == expected
    assert all(row["share"] == row["n"] / len(given_cases) for row in rows.values())
    assert result.figure(theme="dark") is not None


def test_what_flows_into_a_step_flows_out_of_it() -> None:
    result = sankey(frames_of([chain("ABAB"), chain("AB", "failed"), chain("BA", "active")]))
    rows = result.frame().to_dicts()
    for index in (2, 3):
        for name in "AB":
            into = sum(row["n"] for row in rows if (row["index"], row["to_name"]) == (index - 1, name))
            out = sum(row["n"] for row in rows if (row["index"], row["from_name"]) == (index, name))
            assert into == out
    link = result.figure().data[0].link
    assert sum(link.value) == sum(row["n"] for row in rows)


def test_flows_by_group() -> None:
    result = sankey(frames_of([chain("A", version="v1"), chain("B", version="v1"), chain("A")]), by="version")
    assert (result.groups, result.totals) == (["v1", None], [2, 1])
    rows = [(row["group"], row["from_name"], row["share"]) for row in result.frame().to_dicts()]
    assert rows == [("v1", "A", 0.5), ("v1", "B", 0.5), (None, "A", 1.0)]
    assert result.figure(group="v1") is not None
