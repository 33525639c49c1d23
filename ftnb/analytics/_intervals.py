"""Confidence intervals of shares."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import Any

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


def checked_confidence(confidence: Any) -> float:
    """Raises InvalidArgumentError unless it lies between 0 and 1."""
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise InvalidArgumentError(f"confidence lies between 0 and 1, as 0.95; got {confidence!r}")
    return float(confidence)


def newcombe(good: int, n: int, good_other: int, n_other: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """The interval of the difference of two independent shares, the first less the other; None when either has no
    trials.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 10: from
    the two intervals of Wilson.
    """
    one, other = wilson(good, n, confidence), wilson(good_other, n_other, confidence)
    if one is None or other is None:
        return None
    p, q = good / n, good_other / n_other
    low = p - q - sqrt((p - one[0]) ** 2 + (other[1] - q) ** 2)
    high = p - q + sqrt((one[1] - p) ** 2 + (q - other[0]) ** 2)
    return max(low, -1.0), min(high, 1.0)
