"""kill -9 at random points."""

from __future__ import annotations

import os
import random
import statistics
from pathlib import Path

import pytest

from tests.faults.killed import lost_after_kills


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_nothing_acknowledged_is_lost_and_nothing_torn(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    lost = list(lost_after_kills(tmp_path, 20, seed))
    assert len(lost) == 20, f"seed {seed}"
    assert statistics.median(lost) < 1_000, "records wait for one commit, not for many"
