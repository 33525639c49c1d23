"""Variants: against a plain reference, loops folded away, and steps that ran side by side."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from statistics import median
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ftnb
from ftnb.analytics import variants
from ftnb.analytics._collapse import cycles, without_loops, without_repeats
from ftnb.core.errors import InvalidArgumentError
from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore

from ._journeys import OPEN, Case, Step, cases, frames_of, visits_of

paths = st.lists(st.sampled_from("ABC"), max_size=10)


def chain(path: str, status: str = "completed", version: str | None = None, tokens: int = 0) -> Case:
    return Case([Step(name, tokens=tokens) for name in path], status, version)


def rows_of(result: Any) -> list[tuple[str, int]]:
    return [("".join(row["path"]), row["n"]) for row in result.frame().to_dicts()]


# --- one path ---


def folded_plainly(path: list[str]) -> list[str]:
    """Shortest stretches first, each from the left, until nothing repeats at once."""
    while True:
        for size in range(1, len(path) // 2 + 1):
            at = next((i for i in range(len(path)) if path[i : i + size] == path[i + size : i + 2 * size]
                       and len(path[i + size : i + 2 * size]) == size), None)  # fmt: skip
            if at is not None:
                path = path[:at] + path[at + size :]
                break
        else:
            return path


@given(path=paths)
def test_folded_paths_equal_the_plain_reference(path: list[str]) -> None:
    assert without_loops(path) == folded_plainly(path)
    assert without_repeats(path) == [name for name, _ in groupby(path)]


@given(path=paths)
def test_cycles_and_what_is_left_make_up_the_path(path: list[str]) -> None:
    found = cycles(path)
    for place, steps, places in found:
        assert len(set(steps)) == len(steps)
        assert steps[0] == path[place]
        assert [path[at] for at in places] == list(steps)
    taken = [at for _, _, places in found for at in places]
    assert len(taken) == len(set(taken))
    left = [name for at, name in enumerate(path) if at not in taken]
    assert len(set(left)) == len(left)


def test_loops_folded_away() -> None:
    for path, expected in (("AAAB", "AB"), ("ABABABC", "ABC"), ("AABAAB", "AB"), ("ABCABCD", "ABCD"), ("ABA", "ABA")):
        assert "".join(without_loops(list(path))) == expected


# --- against a plain reference ---


@given(
    given_cases=cases(), collapse=st.sampled_from(["none", "repeats", "loops"]), by=st.sampled_from([None, "status"])
)
@settings(max_examples=40)
def test_variants_equal_the_plain_reference(given_cases: list[Case], collapse: Any, by: Any) -> None:
    fold = {"none": list, "repeats": without_repeats, "loops": without_loops}[collapse]
    found: dict[tuple[Any, ...], list[Case]] = defaultdict(list)
    sizes: dict[Any, int] = defaultdict(int)
    for case in given_cases:
        group = case.status if by else None
        found[group, tuple(fold([visit.name for visit in visits_of(case)]))].append(case)
        sizes[group] += 1
    result = variants(frames_of(given_cases), collapse=collapse, by=by)
    rows = result.frame().to_dicts()
    assert len(rows) == len(found)
    ranks: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        group = row.get("group")
        members = found[group, tuple(row["path"])]
        over = [case for case in members if case.status not in OPEN]
        tokens = [sum(step.tokens for step in case.steps) for case in members]
        n_success = sum(case.status == "completed" for case in members)
        assert row["n"] == len(members)
        assert row["n_steps"] == len(row["path"])
        assert row["share"] == len(members) / sizes[group]
        assert row["n_open"] == len(members) - len(over)
        assert row["n_dropped"] == len(over) - n_success
        assert row["success_rate"] == (n_success / len(over) if over else None)
        assert (row["median_tokens"], row["total_tokens"]) == (median(tokens), sum(tokens))
        ids = [f"e{i}" for i, case in enumerate(given_cases) if any(case is one for one in members)]
        assert result.engagements(row["rank"], group=group) == ids
        assert row["engagement_id"] == ids[0]
        ranks[group].append(row)
    for group_rows in ranks.values():
        assert [row["rank"] for row in group_rows] == list(range(1, len(group_rows) + 1))
        assert [row["n"] for row in group_rows] == sorted((row["n"] for row in group_rows), reverse=True)
        assert group_rows[-1]["cumulative_share"] == pytest.approx(1.0)
    assert result.figure() is not None


# --- cases that are easy to get wrong ---


def test_who_was_first_of_two_side_by_side_makes_no_variant() -> None:
    store = SQLiteStore()
    for order in ("BC", "CB", "CB"):
        recorder = Recorder(store)
        engagement = recorder.start_engagement("w")
        a = recorder.start_step(engagement, "A")
        ids = [recorder.start_step(engagement, name, triggers=[a]) for name in order]
        then = [recorder.start_step(engagement, f"{order[k]}{order[k]}", triggers=[ids[k]]) for k in (1, 0)]
        recorder.start_step(engagement, "D", triggers=then)
        recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
        assert recorder.flush()
    result = ftnb.open(store).variants()
    assert [row["path"] for row in result.frame().to_dicts()] == [["A", "B", "C", "BB", "CC", "D"]]
    assert result.frame()["n"].to_list() == [3]


def test_a_chain_of_causes_keeps_its_order() -> None:
    steps = [Step(name, triggers=[f"s{k - 1}"] if k else []) for k, name in enumerate("CBA")]
    assert rows_of(variants(frames_of([Case(steps)]))) == [("CBA", 1)]


def test_retries_and_resumes_are_no_steps_of_their_own() -> None:
    case = Case([Step("A"), Step("A", attempt=2, turn=2), Step("B", turn=2)])
    assert rows_of(variants(frames_of([case]))) == [("AB", 1)]


def test_names_that_look_like_a_path_are_not_one() -> None:
    result = variants(frames_of([Case([Step("A"), Step("B")]), Case([Step("A → B")]), Case([Step("A\x00B")])]))
    assert result.frame().height == 3


def test_outcomes() -> None:
    steps, engagements = frames_of([chain("A"), chain("A"), chain("B")])
    rewards = engagements.with_columns(pl.Series("reward", [1.0, None, 0.5]))
    rows = {row["path"][0]: row for row in variants((steps, rewards), outcome="reward").frame().to_dicts()}
    assert (rows["A"]["mean_outcome"], rows["A"]["n_outcome"]) == (1.0, 1)
    assert rows["B"]["mean_outcome"] == 0.5
    with pytest.raises(InvalidArgumentError, match="outcome='dropped_at' holds no numbers"):
        variants(frames_of([chain("A", "abandoned")]), outcome="dropped_at")


def test_times_are_without_waits() -> None:
    steps, engagements = frames_of([chain("A")])
    timed = engagements.with_columns(duration_ms=pl.lit(70_000.0), wait_ms=pl.lit(60_000.0))
    assert variants((steps, timed)).frame()["median_ms"].to_list() == [10_000.0]


@pytest.mark.parametrize("given_cases", [[], [chain("")], [chain("A")]])
def test_nothing_and_nearly_nothing(given_cases: list[Case]) -> None:
    result = variants(frames_of(given_cases))
    assert result.frame().height == len(given_cases)
    assert result.figure() is not None
    assert result._repr_mimebundle_()["text/html"]


def test_arguments_that_cannot_be_used() -> None:
    source = frames_of([chain("A")])
    with pytest.raises(InvalidArgumentError, match="no collapse 'all'; known: none, repeats, loops"):
        variants(source, collapse="all")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="no metadata key and no column 'rewrd' for outcome"):
        variants(source, outcome="rewrd")
    with pytest.raises(InvalidArgumentError, match="no variant of rank 2; ranks: 1 to 1"):
        variants(source).engagements(2)


def test_a_long_path_is_cut_in_the_figure_only() -> None:
    result = variants(frames_of([chain("AB" * 40)]))
    assert result.frame()["n_steps"].to_list() == [80]
    assert "+50 steps" in result.figure().to_json()
