from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import ftnb
from ftnb.examples._progress import progress
from ftnb.examples._report import Bar, Table, failures, funnel_table
from ftnb.examples.demo import main

ROOT = Path(__file__).resolve().parents[2]


def demo_command(folder: Path, n: int) -> list[str]:
    files = ["--store", str(folder / "demo.db"), "--out", str(folder / "demo.html")]
    return [sys.executable, "-m", "ftnb.examples.demo", "--n", str(n), *files]


def run_demo(folder: Path, n: int, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        demo_command(folder, n),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first_run(folder: Path) -> subprocess.CompletedProcess[str]:
    return run_demo(folder, 40)


def test_it_records_every_engagement_and_shows_them(first_run: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert first_run.returncode == 0, first_run.stderr
    engagements = ftnb.open(folder / "demo.db").engagements(meta=["user_id", "cohort"])
    assert engagements.height == engagements["user_id"].n_unique() == 40
    counts = dict(re.findall(r"^ +(completed|abandoned|failed) +(\d+)", first_run.stdout, re.MULTILINE))
    assert {status: int(n) for status, n in counts.items()} == dict(engagements["status"].value_counts().iter_rows())
    assert set(counts) == {"completed", "abandoned", "failed"}


def test_its_funnel_falls_from_the_greeting_to_the_goal(first_run: subprocess.CompletedProcess[str]) -> None:
    funnel = first_run.stdout[first_run.stdout.index("How far they came") :]
    reached = [int(n) for n in re.findall(r"^ +[a-z_]+ +(\d+) +[\d.]+ +[\d.]+", funnel, re.MULTILINE)]
    assert reached[0] == 40
    assert len(reached) == 6
    assert reached == sorted(reached, reverse=True)
    assert reached[-1] > 5


def test_it_says_which_errors_there_were_and_what_to_do_next(first_run: subprocess.CompletedProcess[str]) -> None:
    assert "ZeroDivisionError" in first_run.stdout
    assert "make lab" in first_run.stdout
    assert "ftnb.open(" in first_run.stdout


def test_without_a_terminal_progress_is_a_few_lines(first_run: subprocess.CompletedProcess[str]) -> None:
    assert "\r" not in first_run.stderr
    assert first_run.stderr.splitlines()[-1].startswith("  40/40 engagements")
    assert len(first_run.stderr.splitlines()) == 10


def test_the_page_is_self_contained(first_run: subprocess.CompletedProcess[str], folder: Path) -> None:
    page = (folder / "demo.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert "One that failed" in page
    assert "ZeroDivisionError" in page
    assert len(page) < 2_000_000


def test_a_second_run_adds_to_the_store_and_shows_its_own_also_where_only_ascii_is_known(
    first_run: subprocess.CompletedProcess[str], folder: Path
) -> None:
    second = run_demo(folder, 5, PYTHONIOENCODING="ascii")
    assert second.returncode == 0, second.stderr
    assert "40 engagements of earlier runs" in second.stdout
    assert re.search(r"greet +5 ", second.stdout)
    assert "####" in second.stdout
    assert ftnb.open(folder / "demo.db").engagements().height == 45


def test_ctrl_c_keeps_what_is_recorded(tmp_path: Path) -> None:
    process = subprocess.Popen(
        demo_command(tmp_path, 2000),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not _has_engagements(tmp_path / "demo.db"):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    recorded = ftnb.open(tmp_path / "demo.db").engagements().height
    assert 3 <= recorded < 2000
    assert f"{recorded} engagements recorded so far" in out
    assert (tmp_path / "demo.html").is_file()


def _has_engagements(store: Path) -> bool:
    try:
        return ftnb.open(store).engagements().height >= 3
    except ftnb.StoreError:
        return False


def test_a_store_in_a_missing_folder_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nowhere" / "demo.db"
    assert main(["--n", "1", "--store", str(missing), "--out", str(tmp_path / "demo.html")]) == 1
    assert str(missing.parent) in capsys.readouterr().err


@pytest.mark.parametrize("n", ["0", "-3", "many"])
def test_an_impossible_number_is_refused(n: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--n", n])
    assert "--n" in capsys.readouterr().err


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_that_fills() -> None:
    terminal = Terminal()
    assert list(progress(["a", "b", "c"], unit="runs", out=terminal)) == ["a", "b", "c"]
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert "3/3 runs" in text.split("\r")[-1]
    assert "." not in text.split("\r")[-1].split("]")[0]


def test_an_interrupted_bar_leaves_the_cursor_on_a_new_line() -> None:
    terminal = Terminal()
    bar = progress(range(10), unit="runs", out=terminal)
    next(bar)
    bar.close()
    assert terminal.getvalue().endswith("\n")


def test_a_table_aligns_text_left_and_numbers_right() -> None:
    table = Table(("step", "n"), [("a", 5), ("long", 1200)])
    assert table.text() == "  step      n\n  a         5\n  long  1,200"


def test_text_in_a_page_is_escaped() -> None:
    html = Table(("<i>",), [("<script>alert(1)</script>",)]).html()
    assert "<script>" not in html
    assert "<i>" not in html


def test_a_funnel_table_compares_with_the_first_step_and_with_the_one_before() -> None:
    assert funnel_table([("a", 10), ("b", 5), ("c", 4)]).rows == [
        ("a", 10, 100.0, 100.0, Bar(1.0)),
        ("b", 5, 50.0, 50.0, Bar(0.5)),
        ("c", 4, 40.0, 80.0, Bar(0.4)),
    ]


def test_a_funnel_that_nobody_entered_is_shown() -> None:
    assert "0.0" in funnel_table([("a", 0), ("b", 0)]).text()


def test_an_exception_without_a_message_is_known_by_its_class() -> None:
    steps = {"name": ["rank"], "status": ["failed"], "error_type": ["KeyboardInterrupt"], "error": [None]}
    assert failures(pl.DataFrame(steps)).rows == [("rank", "KeyboardInterrupt", 1)]
