"""Replays and forks in frames, and out of the answers to questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ftnb
from ftnb.analytics import (
    costs,
    directly_follows,
    durations,
    funnel,
    group_by,
    journeys,
    loops,
    sankey,
    step_matrix,
    variants,
)
from ftnb.frames import data_dictionary
from ftnb.store.sqlite import SQLiteStore
from ftnb.traces import EngagementHandle, Traces
from tests.debug import graphs

HI = {"messages": [("user", "weather in Oslo?")]}


@pytest.fixture
def family(store: SQLiteStore) -> tuple[Traces, EngagementHandle]:
    """A run, a replay and two forks of it."""
    with ftnb.record("trip", metadata={"user_id": "u-1"}):
        graphs.agent().invoke(HI)
    run = ftnb.last()
    first = run.steps[0]
    first.replay()
    run.fork(at=first)
    run.fork(at=first)
    return ftnb.open(store), run


def test_frames_keep_branches_and_say_what_they_are(family: tuple[Traces, EngagementHandle]) -> None:
    traces, run = family
    rows = traces.engagements().select("branch", "parent_id").rows()
    assert rows == [(None, None), ("replay", run.id), ("fork", run.id), ("fork", run.id)]
    assert "| branch | str |" in data_dictionary("engagements")


def test_metadata_that_merely_looks_like_a_branch_is_none(store: SQLiteStore) -> None:
    with ftnb.record("trip", metadata={"ftnb_branch": "of the bank", "note": '"ftnb_branch"'}):
        graphs.agent().invoke(HI)
    assert ftnb.open(store).engagements()["branch"].to_list() == [None]


def _counted(source: Any, **options: Any) -> dict[str, int]:
    """How many engagements each question is about."""
    edges = directly_follows(source, **options).frame()
    return {
        "funnel": funnel(source, ["think"], **options).total,
        "flows": edges.filter(pl.col("from_name").is_null())["n"].sum(),
        "variants": variants(source, **options).frame()["n"].sum(),
        "durations": durations(source, of="engagement", **options).frame()["n"].sum(),
    }


def test_questions_leave_branches_out_unless_asked(family: tuple[Traces, EngagementHandle]) -> None:
    traces, _ = family
    for source in (traces, traces.store, (traces.steps(), traces.engagements())):
        assert set(_counted(source).values()) == {1}
        assert set(_counted(source, branches=True).values()) == {4}


def test_other_questions_too(family: tuple[Traces, EngagementHandle]) -> None:
    traces, _ = family
    for question in (loops, sankey, step_matrix):
        assert repr(question(traces)) != repr(question(traces, branches=True)), question.__name__
    alone, all_ = (costs(traces, by="engagement", branches=b).frame() for b in (False, True))
    assert (alone.height, all_.height) == (1, 4)
    assert [len(journeys(traces, **asked)) for asked in ({}, {"user_id": "u-1"}, {"ftnb_branch": "fork"})] == [1, 1, 2]
    assert [len(group_by(traces, "user_id", branches=b)["u-1"]) for b in (False, True)] == [1, 4]


def test_where_can_ask_for_them(family: tuple[Traces, EngagementHandle]) -> None:
    traces, _ = family
    assert funnel(traces, ["think"], where={"ftnb_branch": "fork"}).total == 2
    assert traces.where(ftnb_branch="fork").funnel(["think"]).total == 2
    assert funnel(traces, ["think"], where={"user_id": "u-1"}, branches=True).total == 4
    groups = ftnb.diff(traces, traces.where(ftnb_branch="fork"))
    assert (groups.n_a, groups.n_b) == (1, 2)


def test_an_export_tells_them_apart_also_an_old_one(family: tuple[Traces, EngagementHandle], tmp_path: Path) -> None:
    traces, _ = family
    traces.to_parquet(tmp_path / "share")
    assert funnel(tmp_path / "share", ["think"]).total == 1
    steps, engagements = traces.steps(), traces.engagements().drop("branch")
    assert funnel((steps, engagements), ["think"]).total == 1
    assert funnel((steps, engagements), ["think"], branches=True).total == 4
