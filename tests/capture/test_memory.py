"""What recording keeps of runs that are over."""

from __future__ import annotations

import gc
import weakref
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph

import ftnb
from ftnb.store.memory import MemoryStore


class State(TypedDict, total=False):
    n: int


def _graph(*, fails: bool) -> Any:
    def count(state: State) -> State:
        if fails:
            raise RuntimeError("no")
        return {"n": state["n"] + 1}

    builder = StateGraph(State)
    builder.add_node("count", count)
    builder.add_edge(START, "count")
    builder.add_edge("count", END)
    return builder.compile()


@pytest.mark.parametrize("fails", [False, True], ids=["completed", "failed"])
def test_graphs_of_ended_runs_are_let_go(fails: bool) -> None:
    ftnb.start(MemoryStore())
    try:
        refs = []
        for _ in range(40):
            graph = _graph(fails=fails)
            try:
                graph.invoke({"n": 1})
            except RuntimeError as error:
                error.__traceback__ = None
            refs.append(weakref.ref(graph))
            del graph
        ftnb.last()  # what was recorded before is in the store
        gc.collect()
        alive = sum(ref() is not None for ref in refs)
        assert 1 <= alive <= 9, "the latest can be replayed, the others are let go"
    finally:
        ftnb.stop()
    gc.collect()
    assert sum(ref() is not None for ref in refs) <= 1  # the last may still be in the hands of the interpreter
