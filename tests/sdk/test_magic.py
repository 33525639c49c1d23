"""`%ftnb capture` in a shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import ftnb


@pytest.fixture
def ip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.chdir(tmp_path)
    shell = InteractiveShell.instance()
    said(shell, "%load_ext ftnb")
    yield shell
    shell.run_cell("%unload_ext ftnb")
    ftnb.stop()
    ftnb.uncapture()
    InteractiveShell.clear_instance()


def said(shell: InteractiveShell, line: str) -> str:
    with capture_output() as captured:
        result = shell.run_cell(line)
    error = result.error_in_exec or result.error_before_exec
    return str(captured.stdout) + ("" if error is None else str(error))


def test_captured_listed_and_given_back(ip: InteractiveShell) -> None:
    assert "no SDK is captured" in said(ip, "%ftnb capture")
    assert "through" not in said(ip, "%ftnb status")
    assert "calls of models through openai are recorded" in said(ip, "%ftnb capture openai")
    said(ip, "%ftnb capture 'anthropic', openai")
    assert "calls of models through anthropic, openai are recorded" in said(ip, "%ftnb status")
    said(ip, "%ftnb uncapture openai")
    assert ftnb.captured() == ["anthropic"]
    said(ip, "%unload_ext ftnb")
    assert ftnb.captured() == []


def test_unloading_leaves_what_was_captured_elsewhere(ip: InteractiveShell) -> None:
    ftnb.capture("openai")
    said(ip, "%ftnb capture openai anthropic")
    said(ip, "%unload_ext ftnb")
    assert ftnb.captured() == ["openai"]


def test_unknown_sdk(ip: InteractiveShell) -> None:
    assert "Did you mean 'openai'?" in said(ip, "%ftnb capture opnai")
