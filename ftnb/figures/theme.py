"""One look for every figure: colours that colour-blind readers tell apart, on light or dark ground."""

from __future__ import annotations

from typing import Literal

import plotly.graph_objects as go

Theme = Literal["light", "dark"]

# Okabe and Ito, "Color Universal Design" (2008); black is left out, as it vanishes on dark ground.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#999999"
COLORWAY = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW, GREY)
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

_MAX_HEADLINE = 84
"""Characters that a figure as wide as a narrow notebook shows."""
_GROUND: dict[Theme, dict[str, str]] = {
    "light": {"paper": "#ffffff", "text": "#1f2328", "grid": "#e4e7eb"},
    "dark": {"paper": "#16191d", "text": "#e6e8eb", "grid": "#343a41"},
}


def template(theme: Theme = "light") -> go.layout.Template:
    """The Plotly template of a theme, to be given to a figure; nothing is registered globally."""
    ground = _GROUND[theme]
    axis = {"gridcolor": ground["grid"], "zerolinecolor": ground["grid"], "automargin": True}
    return go.layout.Template(
        layout={
            "colorway": list(COLORWAY),
            "font": {"family": FONT, "size": 13, "color": ground["text"]},
            "paper_bgcolor": ground["paper"],
            "plot_bgcolor": ground["paper"],
            # At the top edge: in the middle of the margin, where Plotly puts it, long labels of columns run into it.
            "title": {
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"l": 16, "t": 16},
                "font": {"size": 15},
            },
            "xaxis": {**axis, "title": {"font": {"size": 13}}},
            "yaxis": {**axis, "ticklabelstandoff": 4},
            "margin": {"l": 16, "r": 24, "t": 56, "b": 24},
            "hoverlabel": {"align": "left"},
        }
    )


def headline(text: str) -> str:
    """A title as a label; a long one goes on in a second line, where it has a comma."""
    if len(text) <= _MAX_HEADLINE or (at := text.rfind(", ", 0, _MAX_HEADLINE)) < 0:
        return plain(text)
    return f"{plain(text[: at + 1])}<br>{plain(text[at + 2 :])}"


def plain(text: str) -> str:
    """Recorded text as a label: Plotly reads a little HTML in labels, and recorded text is not meant as such."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
