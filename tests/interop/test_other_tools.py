"""Files that the tools themselves wrote open as traces, all of one and the same small run.

The programs in `makers` run with these tools in an environment of their own: `make test-other-tools`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import ftnb
from ftnb.core.model import StepStatus

pytestmark = pytest.mark.other_tools
ROOT = Path(__file__).parents[2]
MAKERS = Path(__file__).parent / "makers"


def command(program: Path, folder: Path) -> list[Path | str]:
    """How a program is run: with the environment that has what it needs."""
    tool = "langfuse" if program.stem.startswith("langfuse") else "phoenix"
    python = ROOT / "build" / "other-tools" / tool / "bin" / "python"
    if not python.exists():
        pytest.fail(f"{python} is not there; run these tests by `make test-other-tools`", pytrace=False)
    return [python, "-W", "ignore", program, folder]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of what a tool wrote."""
    made: dict[str, Path] = {}

    def of(tool: str) -> Path:
        if tool not in made:
            [program] = MAKERS.glob(f"{tool}_*.py")
            made[tool] = tmp_path_factory.mktemp(tool)
            run = subprocess.run(command(program, made[tool]), capture_output=True, text=True, timeout=240)
            assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
        return made[tool]

    return of


def check(traces: ftnb.traces.Imported) -> None:
    """The run of `makers/README.md`."""
    [eng] = traces.engagements(meta=["user_id", "session_id", "color"]).to_dicts()
    assert (eng["name"], eng["status"], eng["n_turns"]) == ("planner", "completed", 1)
    assert (eng["user_id"], eng["session_id"], eng["color"]) == ("u1", "talk-1", "red")
    [step] = traces.last().steps
    assert (step.name, step.model.status) == ("planner", StepStatus.COMPLETED)
    call, tool = traces.events(payload=True).to_dicts()
    assert (call["kind"], call["model"] or call["name"]) == ("llm_call", "m-1")  # flowtraicer has no models
    assert (call["prompt_tokens"], call["completion_tokens"], call["total_tokens"]) == (10, 5, 15)
    payload = json.loads(call["payload"])
    assert [one["content"] for one in payload["messages"]] == ["hi"]
    assert payload["response"]["content"] == "yo"
    assert (tool["kind"], tool["name"], tool["error"]) == ("tool_call", "search", "no such place")
    assert json.loads(tool["payload"])["args"] == {"q": 1}


@pytest.mark.parametrize(
    "name",
    [
        "mlflow.json",
        "mlflow.jsonl",
        "langfuse-spans.jsonl",
        "langfuse-trace.json",
        "langfuse-page.json",
        "langfuse-answer.json",
        "langfuse-observations.jsonl",
        "phoenix.json",
        "phoenix.parquet",
    ],
)
def test_a_file(files: Callable[[str], Path], name: str) -> None:
    traces = ftnb.read(files(re.split("[-.]", name)[0]) / name)
    check(traces)
    # The same tokens read from the cache, whether they are told beside the prompt's or within.
    assert traces.events()["cache_read_tokens"].to_list()[0] == 4
    assert traces.report.n_errors == 0


def test_phoenix_frame(files: Callable[[str], Path]) -> None:
    """Its index has the name of one of its columns."""
    frame = pd.read_pickle(files("phoenix") / "phoenix.pickle")
    assert frame.index.name in frame.columns
    check(ftnb.read(frame))


def test_flowtraicer_file(files: Callable[[str], Path], tmp_path: Path) -> None:
    path = files("flowtraicer") / "flowtraicer.db"
    before = path.read_bytes()
    traces = ftnb.read(path, into=tmp_path / "store.db")
    check(traces)
    assert traces.last().steps[0].tools_available == ["search"]
    assert path.read_bytes() == before
    traces.close()
