from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner, Result
from nbclient import NotebookClient

import ftnb
from ftnb.cli._main import command
from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    store = SQLiteStore(tmp_path / "traces.db")
    recorder = Recorder(store)
    for number in range(4):
        one = recorder.start_engagement("search \x1b[31mred", metadata={"user": f"u-{number}", "n": number})
        for name in ("greet", "find")[: 1 + number % 2]:
            recorder.end_step(recorder.start_step(one, name, state={"words": "x" * 5_000}))
        recorder.end_engagement(one, EngagementStatus.FAILED if number == 2 else EngagementStatus.COMPLETED)
    recorder.close()
    store.close()
    return tmp_path / "traces.db"


def ftnb_command(*arguments: Any, code: int = 0) -> Result:
    result = CliRunner().invoke(command, [str(one) for one in arguments])
    assert result.exit_code == code, result.output
    return result


def test_ls_lists_the_newest_first_and_filters(traces: Path) -> None:
    listed = json.loads(ftnb_command("ls", traces, "--json").stdout)
    assert [one["metadata"]["n"] for one in listed] == [3, 2, 1, 0]
    assert [
        one["metadata"]["n"] for one in json.loads(ftnb_command("ls", traces, "--status", "failed", "--json").stdout)
    ] == [2]
    assert len(json.loads(ftnb_command("ls", traces, "--where", "n=1", "--where", "user=u-1", "--json").stdout)) == 1
    assert len(json.loads(ftnb_command("ls", traces, "-n", "2", "--json").stdout)) == 2


def test_no_recorded_text_commands_the_terminal(traces: Path) -> None:
    listed = ftnb_command("ls", traces).stdout
    assert "\x1b" not in listed
    assert r"\x1b[31mred" in listed


def test_show_tells_steps_and_one_step(traces: Path, tmp_path: Path) -> None:
    newest = json.loads(ftnb_command("ls", traces, "--json").stdout)[0]["id"]
    shown = ftnb_command("show", newest[:31], traces).stdout
    assert "greet" in shown
    assert "user: u-3" in shown
    assert ", 1 turn\n" in shown
    assert json.loads(ftnb_command("show", newest, traces, "--json").stdout)["id"] == newest
    step = json.loads(ftnb_command("show", newest, traces, "--step", "find", "--json").stdout)
    assert step["input"] == {"words": "x" * 5_000}
    ftnb_command("show", newest, traces, "--html", tmp_path / "run.html")
    assert "Content-Security-Policy" in (tmp_path / "run.html").read_text()


def test_errors_have_their_exit_codes(traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path / "..")
    assert "no engagement 'nobody'" in ftnb_command("show", "nobody", traces, code=1).stderr
    assert "nothing to open" in ftnb_command("ls", tmp_path / "none.db", code=1).stderr
    assert "Did you mean 'serve'?" in ftnb_command("server", code=2).stderr
    assert "which store?" in ftnb_command("ls", code=2).stderr
    (tmp_path / "odd.db").write_text("no store")
    ftnb_command("doctor", tmp_path / "odd.db", code=3)


def test_copies_are_the_same_and_go_on_where_they_stopped(traces: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    assert json.loads(ftnb_command("copy", traces, target, "--json").stdout)["engagements"] == 4
    again = json.loads(ftnb_command("copy", traces, target, "--json").stdout)
    assert (again["records"], again["unchanged"]) == (0, 4)
    one, other = (ftnb.open(path).store for path in (traces, target))
    assert one.scan_streams().sort_by("stream_id").equals(other.scan_streams().sort_by("stream_id"))
    assert one.scan_blobs().equals(other.scan_blobs())
    assert one.list_engagements({"n": 2}) == other.list_engagements({"n": 2}) != []
    other.purge(one.list_engagements()[0].id)
    assert json.loads(ftnb_command("copy", traces, target, "--json").stdout)["purged"] == 1
    assert len(other.list_engagements()) == 3
    one.close()
    other.close()
    ftnb_command("verify", target)
    ftnb_command("copy", traces, f"{tmp_path}/share/")
    ftnb_command("verify", tmp_path / "share")
    ftnb_command("copy", traces, traces, code=1)


def test_purge_says_first_and_erases_when_told(traces: Path) -> None:
    plan = json.loads(ftnb_command("purge", traces, "--max-age", "0d", "--dry-run", "--json").stdout)
    assert plan["plan"] == {"purge": 4}
    assert len(json.loads(ftnb_command("ls", traces, "--json").stdout)) == 4
    ftnb_command("purge", traces, "--max-age", "0d", code=1)  # nobody said yes
    assert len(json.loads(ftnb_command("purge", traces, "--max-age", "0d", "--yes", "--json").stdout)["purged"]) == 4
    assert "no engagements" in ftnb_command("ls", traces).stderr


def test_funnel_and_export(traces: Path, tmp_path: Path) -> None:
    rows = json.loads(ftnb_command("funnel", "greet", "find", "--store", traces, "--json").stdout)
    assert [row["reached"] for row in rows] == [4, 2]
    ftnb_command("export", tmp_path / "share", "--store", traces)
    assert len(ftnb.open(tmp_path / "share").engagements()) == 4
    assert "perfetto" in ftnb_command("export", tmp_path / "x", "-f", "odd", "--store", traces, code=2).stderr


def test_import_reads_what_others_wrote_and_says_what_was_lost(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    given = tmp_path / "talks.jsonl"
    given.write_text(json.dumps({"messages": talk}) + "\nno JSON\n" + json.dumps({"messages": talk}))
    assert "line 2" in ftnb_command("import", given, "--into", tmp_path / "none.db", code=1).stderr
    said = json.loads(ftnb_command("import", given, "--into", tmp_path / "all.db", "--lenient", "--json").stdout)
    assert said["counts"]["engagements"] == 2
    assert {one["how"] for one in said["fields"]} >= {"mapped", "guessed"}
    assert len(json.loads(ftnb_command("ls", tmp_path / "all.db", "--json").stdout)) == 2


def test_lab_begins_with_a_notebook_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        started.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "run", run)
        ftnb_command("lab", "--no-browser")
    path = tmp_path / started[0][3]
    assert started[0][1:3] == ["-m", "jupyterlab"]
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = notebook.cells[3].outputs[0].data
    assert "<svg" in shown["text/html"]
    assert "greet" in str(notebook.cells[4].outputs)


def test_every_command_has_help_and_completion(traces: Path) -> None:
    listed = ftnb_command("--help").stdout
    for name in command.commands if command.commands else command.list_commands(None):  # type: ignore[arg-type]
        assert name in listed
        if name != "demo":
            assert "Usage" in ftnb_command(name, "--help").stdout
    for shell in ("bash", "zsh", "fish"):
        assert "_FTNB_COMPLETE" in ftnb_command("completion", shell).stdout


def test_doctor_tells_what_is_here(traces: Path) -> None:
    found = json.loads(ftnb_command("doctor", traces, "--json").stdout)
    assert found["packages"]["polars"]
    assert {one["what"]: one["ok"] for one in found["checks"]} == {"widget": True, "LangGraph": True, "store": True}
