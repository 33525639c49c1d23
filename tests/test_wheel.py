"""What ships: the wheel holds the widget bundle, built from these very sources, and imports on its own."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOOK = runpy.run_path(str(ROOT / "js/hatch_build.py"), run_name="hatch_build")
STALE = "js/ has changed since the widget bundle was built; run: python js/hatch_build.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built on a PATH that holds no node: an up-to-date bundle needs none."""
    if not HOOK["is_fresh"](ROOT):
        pytest.fail(STALE, pytrace=False)
    out = tmp_path_factory.mktemp("wheel")
    environment = {**os.environ, "PATH": os.fspath(out)}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", os.fspath(out)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return zipfile.ZipFile(next(out.glob("ftnb-*.whl")))


def test_bundle_on_disk_is_built_from_the_sources_on_disk() -> None:
    assert HOOK["is_fresh"](ROOT), STALE


def test_wheel_holds_the_bundle(wheel: zipfile.ZipFile) -> None:
    bundle = wheel.read(HOOK["BUNDLE"].as_posix())
    assert len(bundle) > 100_000
    assert wheel.read(HOOK["STAMP"].as_posix()).decode().strip() == HOOK["digest"](ROOT / "js")


def test_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {"ftnb/__init__.py", "ftnb/py.typed"} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"ftnb"}
    assert not [name for name in names if "node_modules" in name or "__pycache__" in name or name.endswith(".db")]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_names_its_extras(wheel: zipfile.ZipFile) -> None:
    metadata = Parser().parsestr(wheel.read(next(n for n in wheel.namelist() if n.endswith("METADATA"))).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    # What an error message tells the user to install must exist.
    sources = "".join(path.read_text() for path in (ROOT / "ftnb").rglob("*.py"))
    named = set(re.findall(r'require\([^)]*extra="(\w+)"', sources))
    offered = set(metadata.get_all("Provides-Extra") or ())
    assert "langgraph" in named
    assert named <= offered
    required = [r for r in metadata.get_all("Requires-Dist") or () if "extra ==" not in r]
    assert not [r for r in required if r.startswith(("langgraph", "langchain"))]


def test_wheel_imports_on_its_own(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = "import ftnb; print(ftnb.__file__, ftnb.__version__); ftnb.FtnbError"
    environment = {**os.environ, "PYTHONPATH": os.fspath(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    path, version = run.stdout.split()
    assert Path(path) == tmp_path / "ftnb/__init__.py"
    assert any(name.startswith(f"ftnb-{version}.dist-info/") for name in wheel.namelist())


@pytest.mark.parametrize("word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "new Function"])
def test_bundle_has_no_way_to_inject_markup(word: str) -> None:
    assert word not in (ROOT / HOOK["BUNDLE"]).read_text()


def test_bundle_can_be_inlined_in_html() -> None:
    text = (ROOT / HOOK["BUNDLE"]).read_text()
    assert "</script" not in text.lower()
    assert text.isascii()
