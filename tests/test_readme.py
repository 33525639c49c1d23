"""What the README promises: its code runs as written, its commands and links exist."""

from __future__ import annotations

import ast
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

# An agent with the names that the README uses; it searches twice.
AGENT = """
from typing import Annotated, TypedDict
from operator import add
from langgraph.graph import END, START, StateGraph

class State(TypedDict):
    seen: Annotated[list, add]

builder = StateGraph(State)
for name in ["greet", "qualify", "search", "submitted"]:
    builder.add_node(name, lambda state, name=name: {"seen": [name]})
builder.add_edge(START, "greet")
builder.add_edge("greet", "qualify")
builder.add_edge("qualify", "search")
builder.add_conditional_edges("search", lambda s: "search" if s["seen"].count("search") < 2 else "submitted",
                              ["search", "submitted"])
builder.add_edge("submitted", END)
app, state, config = builder.compile(), {"seen": []}, {}
"""

NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in sys.stdin.read().split("# cell\\n"):
    result = shell.run_cell(cell)
    result.raise_error()
assert shell.user_ns["eng"].model.status.value == "completed"
"""


def test_the_first_code_runs_as_written(tmp_path: Path) -> None:
    environment = {**os.environ, "IPYTHONDIR": os.fspath(tmp_path / "ipython"), "PYTHONPATH": os.fspath(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        input=f"{AGENT}# cell\n{CODE[0]}",
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "traces.db").is_file()
    assert list((tmp_path / "share").glob("*.parquet"))


@pytest.mark.parametrize("code", CODE[1:])
def test_what_the_other_code_names_is_there(code: str) -> None:
    ast.parse(code)
    for owner, kind in {"ftnb": ftnb, "tr": Traces, "eng": EngagementHandle, "s": StepHandle}.items():
        named = set(re.findall(rf"\b{owner}\.(\w+)", code)) - {"id", "otel", "tool_call"}
        assert [name for name in sorted(named) if not hasattr(kind, name)] == []


def test_its_make_targets_exist() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"demo", "test"} <= named <= known


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_within_the_project_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []
