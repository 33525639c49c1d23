"""Exports on a server that speaks S3. What it takes is installed apart: `make test-other-tools`."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.other_tools
def test_exports_are_written_and_read_by_s3(tmp_path: Path) -> None:
    python = ROOT / "build" / "other-tools" / "s3" / "bin" / "python"
    if not python.exists():
        pytest.fail(f"{python} is not there; run this test by `make test-other-tools`", pytrace=False)
    program = [python, "-W", "ignore", ROOT / "tests/store/_s3_program.py", sysconfig.get_path("purelib"), tmp_path]
    done = subprocess.run(
        program, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.endswith("all of it\n"), done.stdout[-1000:] + done.stderr[-3000:]
