from __future__ import annotations

import runpy
from pathlib import Path

import pytest

GENERATOR = Path(__file__).resolve().parents[2] / "js" / "generate_protocol.py"


def test_the_typescript_types_are_those_of_python() -> None:
    if not GENERATOR.is_file():
        pytest.skip("the JavaScript sources are not in this copy")
    names = runpy.run_path(str(GENERATOR))
    assert names["TARGET"].read_text(encoding="utf-8") == names["render"](), "run: python js/generate_protocol.py"
