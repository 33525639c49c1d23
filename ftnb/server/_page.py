"""The pages of the viewer and the headers of everything that it sends. No recorded text is in any of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
]
_HEAD = (
    '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>ftnb</title>'
)
_STYLE = """<style>
:root { color-scheme: light dark; --bg: #fff; --fg: #1c2026; --soft: #5a626d; --line: #dfe2e7; }
@media (prefers-color-scheme: dark) { :root { --bg: #16181c; --fg: #e9ebee; --soft: #a9b1bc; --line: #363b43; } }
body { margin: 0; background: var(--bg); color: var(--fg); font: 14px/1.5 system-ui, sans-serif; }
main.login { max-width: 430px; margin: 14vh auto; padding: 0 20px; }
main.login h1 { font-size: 20px; } main.login p { color: var(--soft); }
main.login form { display: flex; gap: 8px; }
main.login input { flex: 1; min-width: 0; } main.login input, main.login button { font: inherit; padding: 6px 10px;
  border: 1px solid var(--line); border-radius: 6px; background: var(--bg); color: var(--fg); }
main.login .bad { color: #c24f00; }
noscript { display: block; padding: 20px; }
</style></head>"""


def index_page(version: str) -> str:
    """The viewer; `version` tells one bundle from the next."""
    return (
        f'<!DOCTYPE html><html lang="en" data-ftnb-server>{_HEAD}{_STYLE}<body><div id="ftnb-viewer">'
        "<noscript>The viewer needs JavaScript.</noscript></div>"
        f'<script type="module" src="static/runtime.js?v={version}"></script></body></html>'
    )


def login_page(*, tried: bool) -> str:
    """What a browser without a session sees."""
    bad = '<p class="bad" role="alert">That is not the token, or the link was used before.</p>' if tried else ""
    return (
        f'<!DOCTYPE html><html lang="en">{_HEAD}{_STYLE}<body>'
        '<main class="login"><h1>This viewer asks for its token</h1>'
        f"{bad}<p>Open the link that the server printed when it began (it works once), or paste the token from there."
        "</p>"
        '<form method="post" action="login"><input name="token" type="password" aria-label="Token" autocomplete="off" '
        "autofocus required><button>Open</button></form></main></body></html>"
    )


def moved_page() -> str:
    """Leads on to the viewer."""
    refresh = '<meta http-equiv="refresh" content="0;url=./">'
    return f'<!DOCTYPE html><html lang="en">{_HEAD}{refresh}</head><body></body></html>'


App = Callable[[Any, Any, Any], Awaitable[None]]


class SafeHeaders:
    """Puts the headers on every answer of an application, errors too. Plain ASGI."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                there = {name.lower() for name, _ in message.get("headers", ())}
                own = [(name, value) for name, value in HEADERS if name not in there]
                message = {**message, "headers": [*message.get("headers", ()), *own]}
            await send(message)

        await self._app(scope, receive, with_headers)
