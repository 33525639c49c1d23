"""Colour scales and labels that several figures share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from .theme import BLUE, COLORWAY, SKY, VERMILION, Theme, plain

PAPER: dict[Theme, str] = {"light": "#ffffff", "dark": "#16191d"}
INK: dict[Theme, str] = {"light": "#1f2328", "dark": "#e6e8eb"}
_MAX_LABEL = 26


def sequential(theme: Theme) -> list[list[Any]]:
    """From the ground to one hue, so that nothing is the ground and order is told without colour vision."""
    return [[0.0, PAPER[theme]], [1.0, BLUE if theme == "light" else SKY]]


def diverging(theme: Theme) -> list[list[Any]]:
    """Vermilion for less, the ground for equal, blue for more: told apart by all common kinds of colour vision."""
    return [[0.0, VERMILION], [0.5, PAPER[theme]], [1.0, BLUE if theme == "light" else SKY]]


def short(text: str, limit: int = _MAX_LABEL) -> str:
    """A recorded name as a label, cut when long."""
    flat = text.replace("\n", " ")
    return plain(flat if len(flat) <= limit else flat[: limit - 1] + "…")


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, in the order given; names beyond the palette share colours; see `hatches`."""
    return {name: COLORWAY[place % len(COLORWAY)] for place, name in enumerate(dict.fromkeys(names))}


def hatches(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A pattern for each name, so that names that share a colour still differ."""
    shapes = ("", "/", ".", "x", "-")
    return {
        name: {
            "shape": shapes[place // len(COLORWAY) % len(shapes)],
            "fillmode": "overlay",
            "fgopacity": 0.25,
            "size": 6,
        }
        for place, name in enumerate(dict.fromkeys(names))
    }


def on(colour: str) -> str:
    """Black or white, whichever reads better on `colour`: by luminance (WCAG 2.2, relative luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def percent(rate: float | None, digits: int = 1) -> str:
    """A rate as text."""
    return "–" if rate is None else f"{rate:.{digits}%}"


def duration(milliseconds: float | None) -> str:
    """Milliseconds in the unit that reads best."""
    if milliseconds is None:
        return "–"
    size = abs(milliseconds)
    for limit, unit, divisor in ((1e3, "ms", 1.0), (6e4, "s", 1e3), (3.6e6, "min", 6e4), (8.64e7, "h", 3.6e6)):
        if size < limit:
            value = milliseconds / divisor
            return f"{value:.3g} {unit}" if abs(value) < 100 else f"{value:.0f} {unit}"
    return f"{milliseconds / 8.64e7:.3g} d"


def side(name: str | None, null: str) -> str:
    """A step's name, or what its absence stands for."""
    return f"({null})" if name is None else short(name)


def height(n_rows: int, *, row: int = 34, frame: int = 120, most: int = 1_400) -> int:
    """Pixels of a figure with `n_rows` rows."""
    return min(frame + row * max(n_rows, 1), most)


def nothing(figure: go.Figure, text: str = "nothing to show") -> go.Figure:
    """The figure with a word in its middle: an empty answer is an answer."""
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(text=text, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    return figure


def axis(names: Sequence[str]) -> dict[str, Any]:
    """An axis of places with these labels: by place, never by name, as Plotly keeps names as keys of an object."""
    return {"tickvals": list(range(len(names))), "ticktext": list(names), "showgrid": False, "zeroline": False}
