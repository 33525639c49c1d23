"""HTML files that need neither kernel nor network: the interactive view with its bundle and data inlined.

The page's own Content-Security-Policy forbids every request. Text is escaped, data is JSON inside a script element that
no browser runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, cast

from ..core.errors import FtnbError
from .columns import json_default, on_wire
from .protocol import ComparisonPayload, EngagementPayload, ProcessMapPayload, Saved

BUNDLE = Path(__file__).parent / "static" / "runtime.js"
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
body.page { max-width: 1180px; margin: 24px auto; padding: 0 20px; }
h1 { font-size: 22px; } h2 { font-size: 17px; margin-top: 28px; }
.aloud { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
"""


@dataclass(frozen=True)
class TrustedHtml:
    """Markup that goes into a page as it is: only what this package made itself (figures), never recorded text."""

    markup: str


@dataclass(frozen=True)
class Heading:
    """A section title; plain text."""

    text: str


Fragment = EngagementPayload | ComparisonPayload | ProcessMapPayload | TrustedHtml | Heading | str
"""What a page is made of: an interactive view, a picture of ours, a title, or a paragraph of plain text."""


def read_bundle() -> str:
    """The JavaScript of the view. Raises FtnbError, saying how to build it, where it is missing."""
    if not BUNDLE.is_file():
        raise FtnbError(
            f"the widget's JavaScript bundle is missing ({BUNDLE.parent.name}/{BUNDLE.name} in ftnb/widget). From a "
            "checkout, build it with: pip install -e . (or, with Node.js: cd js && npm ci && node build.mjs)"
        )
    return BUNDLE.read_text(encoding="utf-8")


def many_page(payload: ComparisonPayload | ProcessMapPayload, title: str) -> str:
    """A whole HTML document with nothing in it but a view of several engagements."""
    return _document(title, [payload], body_class="view")


def engagement_page(payload: EngagementPayload, saved: Saved | None = None) -> str:
    """A whole HTML document with nothing in it but the interactive view of one engagement.

    `saved` is what its inspector knows beside the payload, as there is no kernel to ask.
    """
    # Deflated, as in a message to a kernel's view: it is to open at once, and to be sent by mail.
    whole: Any = on_wire(payload if saved is None else cast(EngagementPayload, {**payload, "saved": saved}))
    return _document(str(payload["engagement"]["name"]), [whole], body_class="view")


def write_page(path: str | PathLike[str], title: str, fragments: Iterable[Fragment]) -> Path:
    """Write one self-contained HTML file of `fragments`, in their order; returns its path.

    The bundle is inlined once, however many engagements there are. Missing folders are an error of the file system.
    """
    target = Path(path)
    target.write_text(_document(title, [Heading(title), *fragments], body_class="page"), encoding="utf-8")
    return target


def frame(document: str, *, height: int) -> str:
    """`document` in a sandboxed frame, for the output of a cell that must work without a kernel."""
    return (
        f'<iframe srcdoc="{escape(document, quote=True)}" sandbox="allow-scripts" title="Engagement" '
        f'style="width:100%;height:{height}px;border:0"></iframe>'
    )


def _document(title: str, fragments: list[Fragment], *, body_class: str) -> str:
    # A view has its title drawn in it; a page has a heading all the same, for those who hear it.
    parts = [f'<h1 class="aloud">{escape(title)}</h1>'] if body_class == "view" else []
    data: list[str] = []
    first = True
    for fragment in fragments:
        if isinstance(fragment, Heading):
            level = "h1" if first else "h2"
            parts.append(f"<{level}>{escape(fragment.text)}</{level}>")
        elif isinstance(fragment, TrustedHtml):
            parts.append(fragment.markup)
        elif isinstance(fragment, str):
            parts.append(f"<p>{escape(fragment)}</p>")
        else:
            name = f"ftnb-payload-{len(data)}"
            parts.append(f'<div data-ftnb-payload="{name}"><noscript>This view needs JavaScript.</noscript></div>')
            data.append(f'<script type="application/json" id="{name}">{script_json(fragment)}</script>')
        first = False
    # The bundle only where something is to be mounted; a module script runs after the document was read.
    script = f'<script type="module">{read_bundle()}</script>' if data else ""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en" data-ftnb-page>',
            '<head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY, quote=True)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head>",
            f'<body class="{body_class}">',
            "<main>",
            *parts,
            "</main>",
            *data,
            script,
            "</body></html>",
            "",
        ]
    )


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=json_default)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
