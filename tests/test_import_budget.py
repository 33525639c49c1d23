"""`import ftnb` is nearly free: nothing heavy is loaded until a name that needs it is used."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    "IPython",
    "adbc_driver_sqlite",
    "anywidget",
    "ipywidgets",
    "langchain_core",
    "langgraph",
    "narwhals",
    "numpy",
    "orjson",
    "pandas",
    "plotly",
    "polars",
    "pyarrow",
    "pydantic",
}


def modules_after(code: str) -> set[str]:
    """Top-level names in sys.modules of a fresh interpreter that ran `code`."""
    report = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


def test_import_loads_nothing_heavy() -> None:
    loaded = modules_after("import ftnb")
    assert "ftnb" in loaded
    assert loaded & HEAVY == set()


def test_looking_at_the_package_loads_nothing_heavy() -> None:
    assert modules_after("import ftnb; dir(ftnb); ftnb.__version__; ftnb.FtnbError; repr(ftnb)") & HEAVY == set()


def test_a_store_does_not_load_the_display() -> None:
    assert modules_after("import ftnb; ftnb.SQLiteStore") & {"anywidget", "ipywidgets", "plotly", "langgraph"} == set()
