"""The static picture of an engagement, for viewers without script: headline, graph, timeline and a table of steps."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .protocol import EngagementPayload
from .svg import OTHER_COLOR, STATUS_COLORS, duration_text, graph_svg, step_title, timeline_svg

MAX_BYTES = 20_000
"""A saved notebook keeps one picture per displayed run; what does not fit is left out, and the picture says so."""


def static_html(payload: EngagementPayload) -> str:
    """An HTML fragment of less than `MAX_BYTES` bytes."""
    for rows in (40, 24, 12, 6, 2):
        html = _fragment(payload, rows, with_graph=True)
        if len(html.encode()) < MAX_BYTES:
            return html
    return _fragment(payload, 2, with_graph=False)


def summary_line(payload: EngagementPayload) -> str:
    """One line of plain text: name, status, duration, steps, tokens, errors."""
    engagement = payload["engagement"]
    n_steps = len(payload["steps"])
    facts = [
        engagement["status"],
        duration_text(engagement["duration_ms"]),
        f"{n_steps:,} {'step' if n_steps == 1 else 'steps'}",
    ]
    if engagement["total_tokens"]:
        facts.append(f"{engagement['total_tokens']:,} tokens")
    if engagement["n_failing_steps"]:
        facts.append(f"{engagement['n_failing_steps']} with errors")
    missing = sum(gap["count"] for gap in payload["gaps"])
    if missing:
        facts.append(f"{missing} records missing")
    return f"{engagement['name']}: {', '.join(facts)}"


def _fragment(payload: EngagementPayload, rows: int, *, with_graph: bool) -> str:
    shown = _ends([lane["step"] for lane in payload["timeline"]["lanes"]], rows)
    graph = graph_svg(payload) if with_graph else ""
    drawn = [f"<div>{part}</div>" for part in (graph, timeline_svg(payload, shown)) if part]
    parts = [_headline(payload), *drawn, _table(payload, shown)]
    font = "font-family:system-ui,sans-serif;font-size:13px"
    return f'<div style="{font}">{"".join(parts)}</div>'


def _headline(payload: EngagementPayload) -> str:
    engagement = payload["engagement"]
    color = STATUS_COLORS.get(engagement["status"], OTHER_COLOR)
    name, _, facts = summary_line(payload).rpartition(": ")
    text = f'<b>{escape(_short(name, 120))}</b> <span style="color:{color}">■</span> {escape(facts)}'
    if engagement["error"]:
        text += f"<br>{escape(_short(engagement['error'], 300))}"
    return f"<p>{text}</p>"


def _table(payload: EngagementPayload, shown: Sequence[int | None]) -> str:
    if not shown:
        return ""
    rows = []
    for index in shown:
        if index is None:
            left_out = len(payload["steps"]) - sum(at is not None for at in shown)
            rows.append(f'<tr><td colspan="5">… {left_out} steps are left out of this static picture …</td></tr>')
            continue
        step = payload["steps"][index]
        error = f": {escape(_short(step['error'], 120))}" if step["error"] else ""
        tokens = f"{step['total_tokens']:,}" if step["total_tokens"] else ""
        cells = (
            escape(_short(step_title(step), 60)),
            step["status"] + error,
            duration_text(step["offset_ms"]),
            duration_text(step["duration_ms"]),
            tokens,
        )
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("step", "status", "after", "took", "tokens"))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<details><summary>Steps</summary>{table}</details>"


def _ends(steps: Sequence[int], rows: int) -> list[int | None]:
    """The first and last of `steps`, `rows` in all; None stands for those between."""
    if len(steps) <= rows:
        return list(steps)
    half = max(rows // 2, 1)
    return [*steps[:half], None, *steps[-half:]]


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
