"""A funnel as a small HTML table with bars, and as text: no script, nothing loaded. What saved notebooks show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ._result import duration_text

_BAR = "display:inline-block;height:0.8em;background:#0072B2;vertical-align:middle;"
_BAR_EM = 10
_HEAD = (
    "step", "", "reached", "of step before", "of first", "dropped", "still going", "median duration", "median time to",
    "tokens", "of the dropped",
)  # fmt: skip
_MAX_ROWS = 25
_MAX_NAME = 60
_TEXT_BAR = 20


def funnel_table(title: str, steps: Sequence[dict[str, Any]]) -> str:
    """The table of a funnel's steps (as dicts of `FunnelStep`, with `group` when split); of a long one, the first."""
    most = max((step["reached"] for step in steps), default=0)
    split = any("group" in step for step in steps)
    names = (*(("group",) if split else ()), *_HEAD)
    head = "".join(f'<th style="text-align:left">{name}</th>' for name in names)
    rows = "".join(_row(step, most) for step in steps[:_MAX_ROWS])
    left = len(steps) - _MAX_ROWS
    more = f"<p>… and {left} more steps; <code>.frame()</code> has all.</p>" if left > 0 else ""
    return f"<p><b>{escape(title)}</b></p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _row(step: dict[str, Any], most: int) -> str:
    width = _BAR_EM * step["reached"] / most if most else 0
    cells = [
        *([escape(_short(str(step["group"])))] if "group" in step else []),
        escape(_short(step["name"])) + (" (optional)" if step["optional"] else ""),
        f'<span style="{_BAR}width:{width:.2f}em"></span>',
        f"{step['reached']:,}",
        _with_interval(step, "step_conversion"),
        _with_interval(step, "overall_conversion"),
        f"{step['dropped']:,}",
        f"{step['censored']:,}",
        escape(duration_text(step["median_duration_ms"])),
        escape(duration_text(step["median_time_ms"])),
        f"{step['total_tokens']:,}",
        _count(step["dropped_tokens"]),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def funnel_text(title: str, steps: Sequence[dict[str, Any]]) -> str:
    """The same as lines of text."""
    most = max((step["reached"] for step in steps), default=0)
    lines = [title]
    shown = steps[:_MAX_ROWS]
    width = max((len(_label(step)) for step in shown), default=0)
    for step in shown:
        bar = "█" * round(_TEXT_BAR * step["reached"] / most) if most else ""
        before, first = _percent(step["step_conversion_rate"]), _percent(step["overall_conversion_rate"])
        rates = f"{before:>6} of step before, {first:>6} of first"
        rest = f"dropped {step['dropped']:,}, still going {step['censored']:,}"
        lines.append(f"  {_label(step):<{width}}  {bar:<{_TEXT_BAR}}  {step['reached']:>9,}  {rates}; {rest}")
    if len(steps) > len(shown):
        lines.append(f"  … and {len(steps) - len(shown)} more steps; .frame() has all")
    return "\n".join(lines)


def _label(step: dict[str, Any]) -> str:
    group = f"{_short(str(step['group']))}: " if "group" in step else ""
    return group + _short(step["name"]) + (" (optional)" if step["optional"] else "")


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"


def _with_interval(step: dict[str, Any], rate: str) -> str:
    value, low, high = step[f"{rate}_rate"], step[f"{rate}_low"], step[f"{rate}_high"]
    if value is None or low is None:
        return "&ndash;"
    return f'<span title="{low:.1%} to {high:.1%}">{value:.1%}</span>'


def _count(value: int | None) -> str:
    return "&ndash;" if value is None else f"{value:,}"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1%}"
