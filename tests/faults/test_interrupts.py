"""The stop button of a notebook: the cell ends as it would without us, and the record says what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.kernel import Kernel, kernel_in

SETUP = """
%load_ext ftnb
import asyncio, operator, time
from typing import Annotated, TypedDict
from langgraph.graph import START, StateGraph
import ftnb

class State(TypedDict):
    path: Annotated[list, operator.add]

def slow(name, seconds):
    def node(state):
        print(name, "runs", flush=True)
        time.sleep(seconds)
        return {"path": [name]}
    return node

def slow_async(name, seconds):
    async def node(state):
        print(name, "runs", flush=True)
        for _ in range(int(seconds * 20)):
            await asyncio.sleep(0.05)
        return {"path": [name]}
    return node

def graph(make, seconds, *names):
    builder = StateGraph(State)
    for name in names:
        builder.add_node(name, make(name, seconds))
        builder.add_edge(START, name)
    return builder.compile()

def seen():
    last, stats = ftnb.last(), ftnb.session.current().stats()
    steps = [f"{step.name} {step.status}" for step in last.steps]
    return {"status": last.status, "steps": steps, "lost": stats.dropped, "pending": stats.pending}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with kernel_in(tmp_path_factory.mktemp("kernel")) as made:
        cell = made.run(SETUP)
        assert cell.error is None, cell.traceback
        yield made


@pytest.fixture(autouse=True)
def _goes_on(kernel: Kernel) -> Iterator[None]:
    yield
    cell = kernel.run("print(graph(slow, 0, 'a').invoke({'path': []}))")
    assert cell.printed.splitlines()[-1] == "{'path': ['a']}", cell.traceback
    assert kernel.value("seen()") == seen("completed", "a completed")


def seen(status: str, *steps: str) -> dict[str, Any]:
    return {"status": status, "steps": list(steps), "lost": {}, "pending": 0}


def test_a_sync_cell(kernel: Kernel) -> None:
    cell = kernel.run("graph(slow, 20, 'a').invoke({'path': []})", until="a runs", then=kernel.interrupt)
    assert cell.error == "KeyboardInterrupt"
    assert kernel.value("seen()") == seen("failed", "a cancelled")


def test_a_cell_of_threads(kernel: Kernel) -> None:
    # LangGraph waits for the threads of its nodes, with and without us: they end before the cell does.
    cell = kernel.run("graph(slow, 1, 'a', 'b').invoke({'path': []})", until="b runs", then=kernel.interrupt)
    assert cell.error == "KeyboardInterrupt"
    assert kernel.value("seen()") == seen("failed", "a completed", "b completed")


def test_an_async_cell(kernel: Kernel) -> None:
    code = "await graph(slow_async, 20, 'a', 'b').ainvoke({'path': []})"
    cell = kernel.run(code, until="b runs", then=kernel.interrupt)
    assert cell.error == "CancelledError"
    assert kernel.value("seen()") == seen("failed", "a cancelled", "b cancelled")


def test_a_stream_that_is_interrupted_between_nodes(kernel: Kernel) -> None:
    code = "for part in graph(slow, 0, 'a').stream({'path': []}):\n    print('part', flush=True)\n    time.sleep(20)"
    cell = kernel.run(code, until="part", then=kernel.interrupt)
    assert cell.error == "KeyboardInterrupt"
    kernel.run("import gc; del part; gc.collect()")
    said = kernel.value("seen()")
    assert said["steps"] == ["a completed"]
    assert said["lost"] == {}


def test_interrupts_while_records_are_read(kernel: Kernel) -> None:
    code = "print('reading', flush=True)\nfor _ in range(100_000):\n    ftnb.last().status"
    cell = kernel.run(code, until="reading", then=kernel.interrupt)
    assert cell.error == "KeyboardInterrupt"
