"""Plotly figures of results: each takes frames or plain values and returns a `go.Figure`."""

from __future__ import annotations

from ._funnel import funnel_figure
from .theme import template

__all__ = ["funnel_figure", "template"]
