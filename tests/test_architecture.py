"""The tree is the architecture: imports point down only, and no module escapes the contracts."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
READ_SIDE = {"frames", "analytics", "timeline", "audit", "retention", "figures", "widget"}
# orchestration, the third of the record side, lies above or beside all of the read side: the layers forbid it.
RECORD_SIDE = {"recorder", "langgraph_adapter"}


def contract(name: str) -> dict[str, Any]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return next(c for c in config["tool"]["importlinter"]["contracts"] if c["id"] == name)


def modules_of(package: Path) -> set[str]:
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    return packages | {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}


def test_imports_point_down_only() -> None:
    # In a process of its own: it configures logging, and that disables every logger there is.
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_has_its_layer() -> None:
    layered = set(re.findall(r"\w+", " ".join(contract("layers")["layers"])))
    assert modules_of(ROOT / "ftnb") <= layered


def test_the_read_side_is_kept_from_the_record_side() -> None:
    rule = contract("read-side")
    present = modules_of(ROOT / "ftnb")
    assert {f"ftnb.{name}" for name in READ_SIDE & present} == set(rule["source_modules"])
    assert {f"ftnb.{name}" for name in RECORD_SIDE & present} == set(rule["forbidden_modules"])
