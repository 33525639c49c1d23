"""%load_ext twice, %reload_ext, %unload_ext: what was taken is given back, and nothing of ours stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kernel import Kernel, kernel_in

SETUP = """
import gc, sys, operator
from typing import Annotated, TypedDict
from langchain_core.tracers import context
from langgraph.graph import START, StateGraph

class State(TypedDict):
    path: Annotated[list, operator.add]

def a(state):
    return {"path": ["a"]}

builder = StateGraph(State)
builder.add_node("a", a)
builder.add_edge(START, "a")
app = builder.compile()
config = {"metadata": {"user": "u"}, "tags": ["t"], "callbacks": []}

def holds(value, depth=0, known=None):
    '''Whether anything of ours can be reached from a user's object, not going through modules and classes.'''
    known = set() if known is None else known
    if id(value) in known or depth > 12 or isinstance(value, (type, type(sys))) or callable(value) and depth:
        return False
    known.add(id(value))
    if type(value).__module__.split(".")[0] == "ftnb":
        return True
    return any(holds(inner, depth + 1, known) for inner in gc.get_referents(value))

def state():
    shell = get_ipython()
    events = {name: [call.__qualname__ for call in calls] for name, calls in shell.events.callbacks.items()}
    magics = {kind: sorted(names) for kind, names in shell.magics_manager.magics.items()}
    shown = [sorted(map(str, f.type_printers)) for f in shell.display_formatter.formatters.values()]
    return {"hooks": [str(hook) for hook in context._configure_hooks], "events": events, "magics": magics,
            "finders": [str(finder) for finder in sys.meta_path], "shown": shown, "threads": threads()}

def threads():
    import threading
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ftnb")]
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with kernel_in(tmp_path) as made:
        cell = made.run(SETUP)
        assert cell.error is None, cell.traceback
        yield made


def test_loading_again_and_unloading_leave_nothing(kernel: Kernel) -> None:
    before = kernel.value("state()")
    for n, command in enumerate(["%load_ext ftnb", "%load_ext ftnb", "%reload_ext ftnb", "%reload_ext ftnb"]):
        cell = kernel.run(f"{command}\nassert app.invoke({{'path': []}}, config) == {{'path': ['a']}}")
        assert cell.error is None, cell.traceback
        hooks = kernel.value("[str(hook) for hook in context._configure_hooks]")
        assert len(hooks) == len(before["hooks"]) + 1, command
        runs = "import ftnb; runs = len(ftnb.session.current().store.list_engagements())"
        kernel.run(runs)
        assert kernel.value("runs") == n + 1, f"each run once after {command}"
    kernel.run("%unload_ext ftnb\nimport time; time.sleep(0.2)")
    assert kernel.value("state()") == before
    kernel.run("app.invoke({'path': []}, config)")
    assert kernel.value("[holds(app), holds(builder), holds(config)]") == [False, False, False]
    kernel.run("runs = len(ftnb.open('traces.db').engagements())")
    assert kernel.value("runs") == 4
    kernel.run("%unload_ext ftnb")
    assert kernel.value("state()") == before
