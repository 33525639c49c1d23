"""How far the tests of faults reach: a part of everything in each run of the tests, all of it in `make faults`."""

from __future__ import annotations

import os
import random
import sys

IS_LONG = os.environ.get("FTNB_FAULTS") == "long"
"""Whether everything is asked for."""


def reach(part: int, whole: int) -> int:
    """`part` in each run of the tests, `whole` where everything is asked for."""
    return whole if IS_LONG else part


def seeded(what: str) -> random.Random:
    """A source of chance whose seed is printed; FTNB_SEED takes an earlier one again."""
    seed = int(os.environ.get("FTNB_SEED") or random.SystemRandom().randrange(2**32))
    sys.stdout.write(f"{what}: FTNB_SEED={seed}\n")
    return random.Random(f"{what} {seed}")
