"""Questions over many engagements: each function takes a store, opened traces or frames, and returns a result that has
a `frame()`, a `figure()`, and shows itself in a notebook."""

from __future__ import annotations

from ._funnels import Funnel, FunnelStep, funnel
from ._journeys import group_by, journeys

__all__ = ["Funnel", "FunnelStep", "funnel", "group_by", "journeys"]
