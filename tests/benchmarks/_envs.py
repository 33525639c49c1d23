"""Environments of their own for peers, as these ask for other versions of much that is here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "build" / "bench-envs"
PEERS = {
    "chdb": (["chdb", "pandas", "pyarrow"], "chdb"),
    "retentioneering": (["retentioneering", "pandas", "pyarrow"], "retentioneering"),
    "pm4py": (["pm4py", "pandas", "pyarrow"], "pm4py"),
    "flowtraicer": (["flowtraicer==0.11.1", "langgraph"], "ft"),
}
"""What is installed for each peer, and the module that is there then."""


def environment(name: str) -> Path | None:
    """The Python of a peer's environment, installed now if it is not yet; None, and said so: it cannot be."""
    packages, module = PEERS[name]
    python = FOLDER / name / "bin" / "python"
    ready = python.with_name(".ready")
    if ready.exists():
        return python
    if not (
        python.exists() and subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0
    ):
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        for command in ([uv, "venv", "-q", "--clear", "--python", sys.executable, str(FOLDER / name)],
                        [uv, "pip", "install", "-q", "--python", str(python), *packages]):  # fmt: skip
            try:
                subprocess.run(command, check=True, capture_output=True, text=True)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{name} cannot be installed: {getattr(error, 'stderr', error)}")
                return None
    ready.touch()
    return python


def answer_of(name: str, program: str, timeout: float = 600) -> Any:
    """What a program printed last, as JSON, run with a peer's Python; a text instead when it could not be had."""
    python = environment(name)
    if python is None:
        return "cannot be installed here"
    try:
        run = subprocess.run([python, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"not done after {timeout:.0f} s"
    lines = run.stdout.strip().splitlines()
    if run.returncode or not lines:
        return f"failed: {(run.stderr.strip().splitlines() or ['no answer'])[-1][:90]}"
    return json.loads(lines[-1])
