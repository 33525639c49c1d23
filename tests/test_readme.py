"""What the README promises: its code runs as written, its commands and links exist."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ftnb
from ftnb._handles import EngagementHandle, StepHandle
from ftnb.traces import Traces

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

# An agent with the names that the README uses; it searches twice, and its module can be imported again.
AGENT = """
from operator import add
from typing import Annotated, TypedDict
from langgraph.graph import END, START, StateGraph

class State(TypedDict, total=False):
    seen: Annotated[list, add]
    query: str
    budget: int

def again(state):
    return "search" if state["seen"].count("search") < 2 else "browse"

STEPS = ["greet", "qualify", "search", "browse", "consent", "pay", "submitted"]

def build():
    builder = StateGraph(State)
    for name in STEPS:
        builder.add_node(name, lambda state, name=name: {"seen": [name]})
    builder.add_edge(START, "greet")
    for before, after in zip(STEPS, STEPS[1:]):
        if before != "search":
            builder.add_edge(before, after)
    builder.add_conditional_edges("search", again, ["search", "browse"])
    builder.add_edge("submitted", END)
    return builder.compile(name="house_search")

app = build()
"""

# Beside the code itself: what it takes for given, in `before`, and what is to come of it, in `after`.
BEFORE = {
    "import ftnb": """
from my_agent import app
state, config = {"seen": [], "query": "flats"}, {}
""",
    "ftnb.capture": """
from opentelemetry.sdk.trace import TracerProvider
provider = TracerProvider()
""",
    "w = ftnb.last()": "app.invoke(state)",
    "s = ftnb.last()": """
for version in (1, 2):
    with ftnb.record("house_search", metadata={"version": version}):
        app.invoke(state)
app.invoke(state)
tr = ftnb.open("traces.db")
a, b = tr.where(version=1), tr.where(version=2)
""",
    "tr = ftnb.open": """
for version in ("v1", "v2"):
    labels = {"version": version, "user_id": "u-" + version, "cohort": "W01"}
    with ftnb.record("house_search", metadata=labels, goal_nodes={"submitted"}):
        app.invoke(state)
    ftnb.last().annotate("correct", version == "v2")
""",
    "ftnb.start": """
with ftnb.record("house_search", metadata={"email": "ann@example.org"}):
    app.invoke(state)
eng = ftnb.last()
""",
    "ftnb.read": """
import json
span = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "chat", "kind": 3,
        "startTimeUnixNano": "1767225600000000000", "endTimeUnixNano": "1767225601000000000",
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]}
with open("spans.json", "w") as file:
    json.dump({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, file)
""",
}
AFTER = {
    "import ftnb": 'assert eng.model.status.value == "completed"; assert tr.engagements().height == 1',
    "w = ftnb.last()": 'import os; assert os.path.getsize("run.html") > 100_000 and os.path.getsize("run.png") > 5_000',
    "s = ftnb.last()": 'import glob; assert glob.glob("tests/test_*.py")',
}

NOTEBOOK = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
sys.path.insert(0, "")
for cell in json.load(sys.stdin):
    result = shell.run_cell(cell)
    if not result.success:
        print("in the cell:", cell, sep="\\n")
    result.raise_error()
"""


def starting(code: str, cells: dict[str, str]) -> str:
    return next((cell for start, cell in cells.items() if code.startswith(start)), "")


def test_all_code_runs_as_written(tmp_path: Path) -> None:
    (tmp_path / "my_agent.py").write_text(AGENT)
    data = os.fspath(tmp_path / "data")  # where a signing key is kept
    environment = {**os.environ, "IPYTHONDIR": os.fspath(tmp_path / "ipython"), "XDG_DATA_HOME": data}
    cells = []
    for code in CODE:
        here = "\n".join(line for line in code.splitlines() if not re.search(r"\w://|ann\.db", line))
        here = here.replace("withhold=[...]", 'withhold=["email"]')
        cells += [starting(code, BEFORE), here, starting(code, AFTER)]
    run = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        input=json.dumps(cells),
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": os.fspath(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    assert (tmp_path / "traces.db").is_file()
    assert list((tmp_path / "share").glob("*.parquet"))


@pytest.mark.parametrize("code", CODE)
def test_what_the_code_names_is_there(code: str) -> None:
    ast.parse(code.replace("%", "# %"))
    for owner, kind in {"ftnb": ftnb, "tr": Traces, "eng": EngagementHandle, "s": StepHandle}.items():
        named = set(re.findall(rf"\b{owner}\.(\w+)", code)) - {"id", "tool_call"} - {"db"}
        assert [name for name in sorted(named) if not hasattr(kind, name)] == []


def test_its_make_targets_exist() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"demo", "test"} <= named <= known


DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_within_the_project_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
