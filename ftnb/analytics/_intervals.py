"""Confidence intervals of shares."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

from ..core.errors import InvalidArgumentError


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """The interval in which the true share lies with this confidence; None of no trials.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927): unlike the share plus
    or minus its standard error, it stays within [0, 1] and holds for few trials and for shares near 0 and 1.
    """
    checked_confidence(confidence)
    if not trials:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # Exact at the ends, where rounding would leave a little over.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == trials else min(1.0, middle + half)
    return low, high


def checked_confidence(confidence: float) -> float:
    """Raises InvalidArgumentError unless it lies between 0 and 1."""
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise InvalidArgumentError(f"confidence lies between 0 and 1, as 0.95; got {confidence!r}")
    return float(confidence)
