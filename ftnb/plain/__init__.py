"""Recording code that is no graph: blocks, steps, and what happens inside them."""

from __future__ import annotations

from ._decorator import current_step, step
from ._run import Run
from ._step import Call, Step

__all__ = ["Call", "Run", "Step", "current_step", "step"]
