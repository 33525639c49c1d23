"""start, stop, record, last: recording in a script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tracers import context

import ftnb
from ftnb.core.errors import FtnbError, InvalidArgumentError, NotOurFileError, StoreError, UnknownEngagementError
from ftnb.store.sqlite import SQLiteStore
from tests.capture.shapes import graph_of, tree

EMPTY: dict[str, list[str]] = {"path": []}


@pytest.fixture(autouse=True)
def _stopped() -> Any:
    yield
    ftnb.stop()


def run(*edges: str) -> None:
    graph_of(*(edges or ("^>a",))).compile().invoke(EMPTY)


def test_runs_between_start_and_stop_are_in_the_file(tmp_path: Path) -> None:
    run()
    ftnb.start(tmp_path / "t.db")
    run("^>a", "a>b")
    ftnb.stop()
    run()
    (engagement,) = SQLiteStore(tmp_path / "t.db").list_engagements()
    assert engagement.step_count == 2


def test_the_default_is_a_file_beside_you(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ftnb.start()
    run()
    ftnb.stop()
    assert (tmp_path / "traces.db").is_file()


@pytest.mark.parametrize("form", ["{}", "sqlite://{}"])
def test_a_path_as_text_or_url(tmp_path: Path, form: str) -> None:
    session = ftnb.start(form.format(tmp_path / "t.db"))
    run()
    assert session.where == str(tmp_path / "t.db")
    assert ftnb.last().status == "completed"


def test_last_and_engagement_are_handles(tmp_path: Path) -> None:
    ftnb.start(tmp_path / "t.db")
    run("^>a", "a>b")
    last = ftnb.last()
    assert tree(last.model) == ["a", "b < a:static"]
    assert last.step("b").output == {"path": ["b"]}
    assert ftnb.engagement(last.model.id).model == last.model
    with pytest.raises(UnknownEngagementError, match="nope"):
        ftnb.engagement("nope").model  # noqa: B018


def test_last_before_anything_ran_says_so(tmp_path: Path) -> None:
    ftnb.start(tmp_path / "t.db")
    with pytest.raises(UnknownEngagementError, match="nothing was recorded in this session yet"):
        ftnb.last()


@pytest.mark.parametrize("use", [lambda: ftnb.last(), lambda: ftnb.engagement("x"), lambda: ftnb.record("x")])
def test_without_a_session_the_error_says_what_to_do(use: Any) -> None:
    with pytest.raises(FtnbError, match=r"%load_ext ftnb.*ftnb\.start"):
        use()


def test_what_is_no_store_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    session = ftnb.start(tmp_path / "t.db")
    with pytest.raises(InvalidArgumentError, match=r"cannot record into 5: a store is a path \('traces\.db'"):
        ftnb.start(5)  # type: ignore[arg-type]
    assert ftnb.session.current() is session


def test_starting_twice_changes_nothing(tmp_path: Path) -> None:
    first = ftnb.start(tmp_path / "t.db")
    run()
    assert ftnb.start(str(tmp_path / "t.db")) is first
    run()
    assert first.n_engagements() == 2
    assert len(context._configure_hooks) == len({id(hook[0]) for hook in context._configure_hooks})


def test_another_store_takes_over(tmp_path: Path) -> None:
    ftnb.start(tmp_path / "one.db")
    run()
    ftnb.start(tmp_path / "two.db")
    run()
    run()
    ftnb.stop()
    counts = [len(SQLiteStore(tmp_path / name).list_engagements()) for name in ("one.db", "two.db")]
    assert counts == [1, 2]


def test_a_store_that_cannot_be_opened_leaves_things_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be looked at")
    ftnb.start(tmp_path / "one.db")
    with pytest.raises(StoreError, match="no folder"):
        ftnb.start(tmp_path / "missing" / "t.db")
    with pytest.raises(NotOurFileError):
        ftnb.start(tmp_path / "notes.txt")
    with pytest.raises(FtnbError, match="redis"):
        ftnb.start("redis://localhost")
    run()
    assert ftnb.last().status == "completed"


def test_a_store_object_stays_open() -> None:
    store = SQLiteStore()
    ftnb.start(store)
    run()
    ftnb.stop()
    ftnb.stop()
    assert len(store.list_engagements()) == 1


def test_pause_and_resume(tmp_path: Path) -> None:
    session = ftnb.start(tmp_path / "t.db")
    session.pause()
    run()
    with ftnb.record("unrecorded"):
        run()
    assert session.n_engagements() == 0
    session.resume()
    run()
    assert session.n_engagements() == 1


def test_stop_leaves_nothing_in_langchain(tmp_path: Path) -> None:
    before = list(context._configure_hooks)
    ftnb.start(tmp_path / "t.db")
    assert len(context._configure_hooks) == len(before) + 1
    ftnb.stop()
    assert context._configure_hooks == before


LATE = """
import sys, ftnb
session = ftnb.start(sys.argv[1])
heavy = {"langgraph", "langchain_core", "langchain", "polars", "pandas", "plotly"} & set(sys.modules)
assert not heavy, heavy
waiting = [finder for finder in sys.meta_path if type(finder).__module__.startswith("ftnb")]
assert len(waiting) == 1
with ftnb.record("early"):
    pass
from langgraph.graph import StateGraph
graph = StateGraph(dict)
graph.add_node("a", lambda state: {"x": 1})
graph.add_edge("__start__", "a")
graph.compile().invoke({"x": 0})
import langchain_core.tracers.context as context
import langgraph.pregel.remote as remote
assert not set(waiting) & set(sys.meta_path), sys.meta_path
assert not type(remote.__spec__.loader).__module__.startswith("ftnb"), remote.__spec__
assert not type(context.__spec__.loader).__module__.startswith("ftnb"), context.__spec__
print([step.name for step in ftnb.last().model.steps], session.n_engagements())
"""


def test_starting_does_not_import_langgraph_and_records_it_once_it_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE, str(tmp_path / "t.db")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "['a'] 2"
