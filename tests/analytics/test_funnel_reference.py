"""Funnels against the plain reference: who reached what, with which execution, in every mode and on every engine."""

from __future__ import annotations

from pathlib import Path
from random import Random
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
from tests.analytics.strategies import BEGIN, NAMES, engagement_id, executions, questions, spec_arguments, steps_frame

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


def several(n: int) -> list[list[Execution]]:
    """Engagements at random, the same ones each time: one start of Spark's jobs is to see many of them."""
    dice = Random(7)
    made = []
    for _ in range(n):
        at, turn, rows = BEGIN, 1, []
        for _ in range(dice.randrange(12)):
            at += dice.choice([0, 0, 1, 5, 10, 10, 20, -15])
            turn += dice.random() < 0.2
            nested, duration = dice.random() < 0.2, dice.choice([None, 0, 1, 7, 2_500])
            rows.append(
                Execution(
                    dice.choice(NAMES), at, attempt=dice.choice([1, 1, 1, 2]), ns="sub" if nested else "",
                    parent="p" if nested else None, duration_us=duration, tokens=dice.randrange(5), turn=turn,
                    ended=None if duration is None else at + duration,
                )
            )  # fmt: skip
        made.append(rows)
    return made


ASKED = (
    Question([(("A",), False), (("B", "ü✓"), False), (("A",), False)], "visited"),
    Question([(("A",), False), (("name",), True), (("B", "C"), False), (("C",), False)], "ordered", within=40),
    Question([(("A", "name"), False), (("B",), False), (("C",), True), (("A",), False)], "ordered", 40, {1: 20},
             {"ü✓": (0, 3)}),
    Question([(("engagement_id",), False), (("B",), False), (("C",), False)], "ordered", None, {2: 5}, {"A": (1, 2)},
             "every", False),
    Question([(("A",), False), (("B",), True), (("C", "name"), False)], "strict", 20, {2: 10}, attempts="every"),
    Question([(("A",), False), (("B",), False), (("A",), False), (("C",), True)], "any", within=20),
)  # fmt: skip


def test_spark_finds_what_the_reference_finds(spark: Any, tmp_path: Path) -> None:
    engagements = several(150)
    steps_frame(engagements).write_parquet(tmp_path / "steps.parquet")
    steps = spark_files([str(tmp_path / "steps.parquet")])
    for question in ASKED:
        expected = expected_paths(engagements, question)
        assert len(expected) > 20
        assert found_paths(steps, question, len(engagements)) == expected


def test_several_files_are_read_in_the_order_of_their_names(spark: Any, tmp_path: Path) -> None:
    engagements = several(60)
    frame = steps_frame(engagements)
    files = []
    for part in range(3):
        files.append(str(tmp_path / f"part {part}'.parquet"))
        frame.slice(part * frame.height // 3, (part + 1) * frame.height // 3 - part * frame.height // 3).write_parquet(
            files[-1]
        )
    expected = expected_paths(engagements, ASKED[1])
    assert found_paths(PolarsSteps(pl.scan_parquet(files)), ASKED[1], len(engagements)) == expected
    assert found_paths(duckdb_files(files), ASKED[1], len(engagements)) == expected
    assert found_paths(spark_files(files), ASKED[1], len(engagements)) == expected
