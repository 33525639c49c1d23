"""What a view is told of the run that it follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..core.model import Engagement
from .protocol import Following


class News(NamedTuple):
    """A newer state of the run."""

    engagement: Engagement
    changed: frozenset[str] | None
    """Ids of the steps that are not as before; None: any may be."""
    following: Following | None
    """None: the run is over, and no longer followed."""


Follow = Callable[[Callable[[News], None]], Callable[[], None]]
"""Follow a run: news go to the function given; calling the result stops it."""
