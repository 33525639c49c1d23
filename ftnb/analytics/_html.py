"""A funnel as a small HTML table with bars: no script, nothing loaded. What saved notebooks show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_BAR = "display:inline-block;height:0.8em;background:#0072B2;vertical-align:middle;"
_BAR_EM = 14
_HEAD = ("step", "", "reached", "of step before", "of first", "dropped", "still going", "median", "tokens")
_MAX_ROWS = 25


def funnel_table(title: str, steps: Sequence[dict[str, Any]]) -> str:
    """The table of a funnel's steps (as dicts of `FunnelStep`); of a long funnel, the first rows."""
    most = max((step["reached"] for step in steps), default=0)
    head = "".join(f'<th style="text-align:left">{name}</th>' for name in _HEAD)
    rows = "".join(_row(step, most) for step in steps[:_MAX_ROWS])
    left = len(steps) - _MAX_ROWS
    more = f"<p>… and {left} more steps; <code>.frame()</code> has all.</p>" if left > 0 else ""
    return f"<p><b>{escape(title)}</b></p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _row(step: dict[str, Any], most: int) -> str:
    name: str = step["name"]
    shown = name if len(name) <= 60 else name[:59] + "…"
    width = _BAR_EM * step["reached"] / most if most else 0
    median = step["median_duration_ms"]
    cells = [
        escape(shown),
        f'<span style="{_BAR}width:{width:.2f}em"></span>',
        f"{step['reached']:,}",
        _percent(step["step_conversion_rate"]),
        _percent(step["overall_conversion_rate"]),
        f"{step['dropped']:,}",
        f"{step['censored']:,}",
        "&ndash;" if median is None else f"{median:,.0f} ms",
        f"{step['total_tokens']:,}",
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _percent(rate: float | None) -> str:
    return "&ndash;" if rate is None else f"{rate:.1%}"
