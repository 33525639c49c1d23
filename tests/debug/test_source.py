"""The source of a node as it was when it ran, and whether today's is another."""

from __future__ import annotations

import importlib.util
import inspect
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path as File
from types import ModuleType
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import ftnb
from ftnb.debug import _look
from ftnb.langgraph_adapter import _code
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.debug import house as house_module
from tests.debug.house import GIVEN, house

_MODULE = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict):
    n: int

def count(state):
    return {"n": state["n"] + 1}

def graph():
    builder = StateGraph(State)
    builder.add_node("count", count)
    builder.add_edge(START, "count")
    return builder.compile()
"""


@pytest.fixture
def module(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "agent_code.py").write_text(_MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("agent_code", tmp_path / "agent_code.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["agent_code"] = made
    spec.loader.exec_module(made)
    yield made
    del sys.modules["agent_code"]
    linecache.clearcache()


def test_it_is_the_users_function_with_its_place_and_hash(store: SQLiteStore) -> None:
    house().invoke(GIVEN)
    source = ftnb.last().step("gather").source
    assert source.text == str(source) == inspect.getsource(house_module.gather)
    assert source.qualname == "gather"
    assert source.file is not None
    assert source.file.endswith("house.py")
    assert source.line == inspect.getsourcelines(house_module.gather)[1]
    assert source.sha256 == _code.sha256_of(source.text)
    assert source.changed is False
    assert source.diff() == ""
    (router,) = source.routers
    assert router.text == inspect.getsource(house_module.again)


def test_the_second_engagement_has_it_too_though_its_text_is_with_the_first(store: SQLiteStore) -> None:
    graph = house()
    graph.invoke(GIVEN)
    graph.invoke(GIVEN)
    _look._codes.clear()
    assert "def gather" in ftnb.last().step("gather").source.text


def test_it_says_when_the_file_has_changed_since(store: SQLiteStore, module: ModuleType, tmp_path: File) -> None:
    module.graph().invoke({"n": 1})
    step = ftnb.last().step("count")
    assert (step.source.changed, step.source.file) == (False, "agent_code.py")
    edited = _MODULE.replace('state["n"] + 1', 'state["n"] + 2')
    (tmp_path / "agent_code.py").write_text("# moved down\n\n" + edited, encoding="utf-8")
    source = step.source
    assert source.changed is True
    assert "today's code differs" in repr(source)
    assert source.text.endswith('return {"n": state["n"] + 1}\n')
    assert '-    return {"n": state["n"] + 1}\n+    return {"n": state["n"] + 2}' in source.diff()
    assert "what changed" in source._repr_html_()


def test_moving_a_function_or_its_blank_lines_is_no_change(
    store: SQLiteStore, module: ModuleType, tmp_path: File
) -> None:
    module.graph().invoke({"n": 1})
    step = ftnb.last().step("count")
    (tmp_path / "agent_code.py").write_text("\n\n" + _MODULE.replace("def count(state):\n", "def count(state):\n\n"))
    assert step.source.changed is False


def test_what_is_nowhere_today_is_unknown_and_not_the_same(
    store: SQLiteStore, module: ModuleType, tmp_path: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.graph().invoke({"n": 1})
    step = ftnb.last().step("count")
    (tmp_path / "agent_code.py").unlink()
    monkeypatch.delattr(module, "count")
    monkeypatch.setattr("ftnb.debug._source.live_graphs", list)
    source = step.source
    assert source.changed is None
    with pytest.raises(ftnb.NotRecordedError, match=r"run the cell or import the module that defines it"):
        source.diff()


def test_a_notebook_cell_is_named_by_its_execution_count(store: SQLiteStore) -> None:
    shell: Any = InteractiveShell.instance()
    try:
        shell.run_cell(_MODULE, store_history=True)
        first = shell.execution_count - 1
        shell.run_cell("graph().invoke({'n': 1})", store_history=True)
        source = ftnb.last().step("count").source
        assert (source.cell, source.file) == (first, None)
        assert source.place == f"cell [{first}], line 7"
        assert source.text == 'def count(state):\n    return {"n": state["n"] + 1}\n'
    finally:
        InteractiveShell.clear_instance()


def test_recorded_without_a_graph_there_is_none_and_it_says_so(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("plain")
    recorder.end_step(recorder.start_step(engagement_id, "a"))
    recorder.close()
    with pytest.raises(ftnb.NotRecordedError, match=r"no code is on record for step 'a'"):
        _ = ftnb.open(store).engagement(engagement_id).step("a").source


def test_a_node_that_is_a_graph_has_no_text_of_its_own(store: SQLiteStore) -> None:
    house().invoke(GIVEN)
    with pytest.raises(ftnb.NotRecordedError, match=r"CompiledStateGraph is no Python function with a text"):
        _ = ftnb.last().step("sub").source


def test_a_purge_of_what_held_the_text_is_told(store: SQLiteStore) -> None:
    graph = house()
    graph.invoke(GIVEN)
    first = ftnb.last().id
    graph.invoke(GIVEN)
    last = ftnb.last()
    store.purge(first)
    _look._codes.clear()
    with pytest.raises(
        ftnb.NotRecordedError, match=r"whose text is not in .*: the engagements that held it were purged"
    ):
        _ = last.step("plan").source
