"""%load_ext ftnb, %ftnb and %%trace, in IPython and in a kernel."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from langchain_core.tracers import context
from nbclient import NotebookClient

import ftnb
from ftnb.notebook.magics import parse_labels, rewrite_trace

REPOSITORY = Path(__file__).parents[1]
GRAPH = """
from tests.capture.shapes import graph_of
app = graph_of("^>a", "a>b").compile()
"""


class Shell:
    """An IPython shell that remembers what each cell printed."""

    def __init__(self) -> None:
        self.ip = InteractiveShell.instance()

    def __call__(self, cell: str) -> str:
        with capture_output() as captured:
            result = self.ip.run_cell(cell)
        self.error = result.error_in_exec or result.error_before_exec
        return str(captured.stdout) + "".join(str(output.data) for output in captured.outputs)

    def ok(self, cell: str) -> str:
        text = self(cell)
        assert self.error is None, self.error
        return text


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    shell = Shell()
    shell.ok(f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})")
    yield shell
    shell("%unload_ext ftnb")
    ftnb.stop()
    InteractiveShell.clear_instance()
    sys.path.remove(str(REPOSITORY))


def test_loading_says_what_is_recorded_and_where(shell: Shell) -> None:
    said = shell.ok("%load_ext ftnb")
    assert said.count("\n") == 1
    assert "every LangGraph run" in said
    assert "traces.db" in said
    shell.ok(GRAPH + "app.invoke({'path': []})")
    assert ftnb.last().status == "completed"


def test_loading_twice_and_reloading(shell: Shell) -> None:
    shell.ok("%load_ext ftnb")
    shell.ok("%ftnb store other.db")
    shell.ok("%load_ext ftnb")
    assert "other.db" in shell.ok("%reload_ext ftnb")
    shell.ok(GRAPH + "app.invoke({'path': []})")
    session = ftnb.session.current()
    assert session is not None
    assert session.n_engagements() == 1


def taken(ip: Any) -> tuple[Any, ...]:
    magics = {kind: dict(table) for kind, table in ip.magics_manager.magics.items()}
    hooks = {name: list(callbacks) for name, callbacks in ip.events.callbacks.items()}
    formatters = dict(ip.display_formatter.mimebundle_formatter.deferred_printers)
    return (
        magics,
        hooks,
        list(ip.input_transformers_cleanup),
        formatters,
        list(context._configure_hooks),
        sys.meta_path[:],
    )


def test_unloading_gives_back_exactly_what_was_taken(shell: Shell) -> None:
    mine = lambda line, cell=None: None  # noqa: E731
    shell.ip.magics_manager.magics["cell"]["trace"] = mine
    shell.ok("%load_ext ftnb")  # once before, for IPython itself loads magics when they are first used
    shell.ok("%unload_ext ftnb")
    before = taken(shell.ip)
    shell.ok("%load_ext ftnb")
    assert shell.ip.magics_manager.magics["cell"]["trace"] is not mine
    shell.ok("%unload_ext ftnb")
    assert taken(shell.ip) == before
    assert ftnb.session.current() is None
    del shell.ip.magics_manager.magics["cell"]["trace"]


def test_a_session_of_the_users_own_survives_the_extension(shell: Shell) -> None:
    session = ftnb.start("mine.db")
    assert "mine.db" in shell.ok("%load_ext ftnb")
    shell.ok("%unload_ext ftnb")
    assert ftnb.session.current() is session


def test_help_names_everything_that_is_understood(shell: Shell) -> None:
    shell.ok("%load_ext ftnb")
    told = shell.ok("%ftnb help")
    shell("%ftnb recrod")
    known = re.findall(r"[a-z]{2,}", str(shell.error).partition("Usage: %ftnb ")[2])
    assert {"status", "store", "capture", "verify", "help"} <= set(known)
    assert [word for word in known if word != "help" and not re.search(rf"\b{word}\b", told)] == []
    assert "%%trace --name" in told


def test_status_off_on_and_store(shell: Shell, tmp_path: Path) -> None:
    shell.ok("%load_ext ftnb")
    shell.ok(GRAPH + "_ = app.invoke({'path': []})")
    status = shell.ok("%ftnb status")
    assert "1 engagements begun; 6 records committed, 0 pending" in status
    assert "paused" in shell.ok("%ftnb off")
    shell.ok("_ = app.invoke({'path': []})")
    assert "1 engagements begun" in shell.ok("%ftnb")
    assert "recording" in shell.ok("%ftnb on")
    assert "two.db" in shell.ok("%ftnb store 'two.db'")
    assert "already" in shell.ok("%ftnb store two.db")
    shell.ok("_ = app.invoke({'path': []})")
    assert (tmp_path / "two.db").is_file()
    shell("%ftnb store missing/t.db")
    assert "no folder" in str(shell.error)
    assert "two.db" in shell.ok("%ftnb status")


def test_status_counts_what_was_lost(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.ok("%load_ext ftnb")
    session = ftnb.session.current()
    assert session is not None
    session._capture.drop("somewhere", RuntimeError("x"))
    session.recorder.flush()
    assert "not kept: capture_error 1" in shell.ok("%ftnb status")
    monkeypatch.setattr(session, "stats", lambda: 1 / 0)
    assert "cannot be told" in shell.ok("%ftnb status")


@pytest.mark.parametrize("line", ["%ftnb of", "%ftnb display sometimes", "%ftnb store", "%%trace --nam x --bad\n1"])
def test_what_is_not_understood_is_a_usage_error(shell: Shell, line: str) -> None:
    shell.ok("%load_ext ftnb")
    shell(line)
    assert type(shell.error).__name__ == "UsageError"


def test_trace_labels_the_engagements_of_its_cell(shell: Shell) -> None:
    shell.ok("%load_ext ftnb")
    shell.ok(GRAPH)
    shown = shell.ok(
        "%%trace --name house --user u-42 --goal submitted --global b --tools a=look,find --meta channel=web\n"
        "for _ in range(2): app.invoke({'path': []})"
    )
    assert "house" in shown
    shell.ok("_ = app.invoke({'path': []})")
    session = ftnb.session.current()
    assert session is not None
    engagements = [session.store.get_engagement(one.id) for one in session.store.list_engagements()]
    assert [engagement.name for engagement in engagements] == ["house", "house", "LangGraph"]
    assert [engagement.status for engagement in engagements] == ["abandoned", "abandoned", "completed"]
    first = engagements[0]
    assert first.metadata == {"user_id": "u-42", "channel": "web"}
    assert (first.goal_nodes, first.dropped_at) == (["submitted"], "b")
    assert [switch.to_step for switch in first.intent_switches] == ["b"]
    assert first.steps[0].tools_available == ["look", "find"]
    assert engagements[2].intent_switches == []


def test_a_block_in_a_traced_cell_says_more(shell: Shell) -> None:
    shell.ok("%load_ext ftnb")
    shell.ok(GRAPH)
    cell = "import ftnb\nwith ftnb.record('block', metadata={'b': 2}): _ = app.invoke({'path': []})"
    shell.ok(f"%%trace --name cell --meta a=1 --goal submitted\n{cell}")
    model = ftnb.last().model
    assert (model.name, model.metadata, model.goal_nodes) == ("block", {"a": "1", "b": 2}, ["submitted"])


def test_trace_keeps_magics_errors_and_line_numbers(shell: Shell) -> None:
    shell.ok("%load_ext ftnb")
    shell.ok(GRAPH)
    shell.ok("%%trace --name x\n%time r = app.invoke({'path': []})\nassert r == {'path': ['a', 'b']}")
    shell("%%trace --name x\n1\n1 / 0")
    assert isinstance(shell.error, ZeroDivisionError)
    assert shell.error.__traceback__ is not None
    line = shell.error.__traceback__
    while line.tb_next is not None:
        line = line.tb_next
    assert line.tb_lineno == 3
    shell.ok("_ = app.invoke({'path': []})")
    assert ftnb.last().model.name == "LangGraph"


def test_display_auto_shows_the_run_of_each_cell(shell: Shell) -> None:
    shell.ok("%load_ext ftnb")
    shell.ok(GRAPH)
    assert shell.ok("_ = app.invoke({'path': []})") == ""
    shell.ok("%ftnb display auto")
    assert "LangGraph" in shell.ok("_ = app.invoke({'path': []})")
    assert shell.ok("x = 1") == ""
    shell.ok("%ftnb display off")
    assert shell.ok("_ = app.invoke({'path': []})") == ""


def test_a_traced_cell_in_a_kernel_awaits_at_the_top(tmp_path: Path) -> None:
    cells = [
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n%load_ext ftnb",
        GRAPH,
        "%%trace --name kernel --user u\nimport asyncio\n"
        "results = await asyncio.gather(*[app.ainvoke({'path': []}) for _ in range(3)])\nlen(results)",
        "import ftnb\nassert ftnb.last().model.name == 'kernel'\n"
        "print(ftnb.open('traces.db').engagements()['name'].to_list())",
        "%unload_ext ftnb",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    traced, after = notebook.cells[2].outputs, notebook.cells[3].outputs
    assert any(output.get("data", {}).get("text/plain") == "3" for output in traced)
    assert any(output.output_type == "display_data" for output in traced), "the last one is shown"
    assert after[0].text == "['kernel', 'kernel', 'kernel']\n"


def test_only_a_first_line_is_rewritten() -> None:
    assert rewrite_trace(["x = 1\n", "%%trace\n"]) == ["x = 1\n", "%%trace\n"]
    assert rewrite_trace(["%%tracer x\n"]) == ["%%tracer x\n"]
    assert rewrite_trace(["%%trace"]) == ["get_ipython().run_line_magic('ftnb', 'trace ')\n"]


def test_labels_with_quotes_and_lists() -> None:
    labels = parse_labels("--name 'two words' --goal a,b --goal c --tools n=x --tools m=y,z")
    assert labels.name == "two words"
    assert labels.goal_nodes == {"a", "b", "c"}
    assert labels.node_tools == {"n": ["x"], "m": ["y", "z"]}
