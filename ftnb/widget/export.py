"""Pictures of one engagement as files."""

from __future__ import annotations

import re
from html import escape

from ..core._optional import require
from .picture import summary_line
from .protocol import EngagementPayload
from .svg import graph_svg, timeline_svg

_WIDTH = 792.0
_MARGIN = 16.0
_ROWS = 200
_COLORS = {False: ("#ffffff", "#1c2026"), True: ("#16181c", "#e9ebee")}
_NO_XML = re.compile("[^\\t\\n\\r\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold, escaped or not: one of them, and no program opens the file."""
_SIZE = re.compile(r'<svg[^>]*? width="([\d.]+)"[^>]*? height="([\d.]+)"', re.DOTALL)


def whole_svg(payload: EngagementPayload, *, dark: bool) -> str:
    """Headline, graph and timeline as one SVG document; long runs show their first and last steps, and say so."""
    background, color = _COLORS[dark]
    lanes = [lane["step"] for lane in payload["timeline"]["lanes"]]
    left_out = len(lanes) - _ROWS
    shown: list[int | None] = [*lanes] if left_out <= 0 else [*lanes[: _ROWS // 2], None, *lanes[-_ROWS // 2 :]]
    parts = [part for part in (graph_svg(payload), timeline_svg(payload, shown)) if part.startswith("<svg")]
    y, placed = 44.0, []
    for part in parts:
        size = _SIZE.search(part)
        if size is None:
            continue
        placed.append(part.replace("<svg ", f'<svg x="{_MARGIN:.0f}" y="{y:.0f}" ', 1))
        y += float(size[2]) + 12
    line = summary_line(payload) + (f" ({left_out} steps left out)" if left_out > 0 else "")
    whole = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:.0f}" height="{y + 4:.0f}" '
        f'viewBox="0 0 {_WIDTH:.0f} {y + 4:.0f}" color="{color}" font-family="system-ui,sans-serif">'
        f'<rect width="100%" height="100%" fill="{background}"/>'
        f'<text x="{_MARGIN:.0f}" y="28" font-size="14" font-weight="600" fill="{color}">{escape(line[:110])}</text>'
        f"{''.join(placed)}</svg>"
    )
    return _NO_XML.sub("\ufffd", whole)


def png_bytes(svg: str, *, scale: float) -> bytes:
    """`svg` painted, at `scale` pixels per unit. Raises MissingPackageError."""
    painter = require("resvg_py", feature="a picture as PNG", extra="png")
    data = painter.svg_to_bytes(svg_string=svg, zoom=scale, sans_serif_family="DejaVu Sans", font_family="DejaVu Sans")
    return bytes(data)
