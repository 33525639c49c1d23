"""A small panel for notebooks: names and values, readable on dark and light pages, with nothing loaded."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_LINE = "border-bottom:1px solid rgba(128,128,128,.35);padding:3px 12px 3px 0;text-align:left;vertical-align:top"
_TEXT = "overflow-wrap:anywhere;font-family:monospace"


def panel(title: str, rows: Sequence[tuple[str, str]], text: str | None = None) -> str:
    """HTML of a title, a line for each of `rows`, and `text` as it is, to be copied. Colours are the page's own."""
    lines = "".join(
        f'<tr style="background:transparent"><th scope="row" style="{_LINE};font-weight:600;white-space:nowrap">'
        f'{escape(name)}</th><td style="{_LINE};{_TEXT}">{escape(value)}</td></tr>'
        for name, value in rows
    )
    below = "" if text is None else f'<pre style="margin:8px 0 0;white-space:pre-wrap;{_TEXT}">{escape(text)}</pre>'
    return (
        '<div style="color:inherit;max-width:60em;border:1px solid rgba(128,128,128,.35);border-radius:6px;'
        f'padding:8px 12px"><div style="font-weight:600;margin-bottom:4px">{escape(title)}</div>'
        f'<table style="border-collapse:collapse;color:inherit">{lines}</table>{below}</div>'
    )
