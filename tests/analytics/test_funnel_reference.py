"""Funnels against the plain reference: who reached what, with which execution, in every mode and on every engine."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ftnb.analytics._engines import PolarsSteps, Steps
from ftnb.analytics._funnel_reach import Members, reach_of
from ftnb.analytics._funnel_spec import spec_of
from ftnb.analytics._sql import duckdb_files, spark_files
from tests.analytics.reference_funnel import Execution, Question, attempts_of
from tests.analytics.strategies import engagement_id, executions, questions, spec_arguments, steps_frame

Row = tuple[Any, ...]


def expected_paths(engagements: list[list[Execution]], question: Question) -> list[Row]:
    """By engagement and attempt: which steps were reached, when, how long each took, in which turn."""
    rows = []
    for i, steps in enumerate(engagements):
        for attempt in attempts_of(steps, question):
            told: list[Any] = []
            for k in range(len(question.steps)):
                step = attempt.reached.get(k)
                told += [step is not None, attempt.at.get(k), step and step.duration_us]
            rows.append((engagement_id(i), attempt.number, attempt.is_last, *told))
    return sorted(rows)


def found_paths(steps: Steps, question: Question, n: int) -> list[Row]:
    """The same, as the package finds it in the steps of n engagements."""
    spec = spec_of(**spec_arguments(question))
    ids = pl.DataFrame({"engagement_id": [engagement_id(i) for i in range(n)]}, schema={"engagement_id": pl.String})
    paths = reach_of(steps, spec, Members.of(ids)).paths
    paths = paths.with_columns(ids["engagement_id"].gather(paths["member"]))
    columns = [f"{what}{k}" for k in range(len(question.steps)) for what in "xtd"]
    return sorted(paths.select("engagement_id", "attempt", "is_last", *columns).iter_rows())


ABAC = [Execution("A", 0), Execution("B", 10), Execution("A", 15), Execution("C", 28)]
A_B_C = [(("A",), False), (("B",), False), (("C",), False)]


@given(engagements=st.lists(executions(), max_size=4), question=questions())
@example(engagements=[ABAC], question=Question(A_B_C, within=20))
@settings(max_examples=600)
def test_polars_finds_what_the_reference_finds(engagements: list[list[Execution]], question: Question) -> None:
    frame = steps_frame(engagements)
    expected = expected_paths(engagements, question)
    assert found_paths(PolarsSteps(frame), question, len(engagements)) == expected


@given(data=st.data())
@settings(max_examples=40)
def test_duckdb_finds_what_the_reference_finds(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    engagements = data.draw(st.lists(executions(), min_size=1, max_size=6))
    file = tmp_path_factory.mktemp("steps") / "steps.parquet"
    steps_frame(engagements).write_parquet(file)
    steps = duckdb_files([str(file)])
    for question in data.draw(st.lists(questions(), min_size=3, max_size=5)):
        assert found_paths(steps, question, len(engagements)) == expected_paths(engagements, question)


@given(data=st.data())
@settings(max_examples=2)
def test_spark_finds_what_the_reference_finds(spark: Any, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    engagements = data.draw(st.lists(executions(), min_size=12, max_size=12))
    file = tmp_path_factory.mktemp("steps") / "steps.parquet"
    steps_frame(engagements).write_parquet(file)
    steps = spark_files([str(file)])
    for mode in ("visited", "ordered", "strict", "any"):
        question = data.draw(questions((mode,)))
        assert found_paths(steps, question, len(engagements)) == expected_paths(engagements, question)
