"""Who may ask: Host, Origin and token, checked before anything of the application runs. Plain ASGI.

A page of another site can make a browser send requests to this machine (also by DNS rebinding), so three things are
asked of every request: that it names this server (421), that it does not come from another site (403), and that it
carries the token or a session that was opened with it (401).
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

from ._page import HEADERS, login_page, moved_page

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_MAX_SESSIONS = 1_000
_MAX_FORM = 4_096
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


class Guard:
    """The checks of one server, and the browsers that have logged in to it."""

    def __init__(
        self,
        *,
        token: str | None,
        allowed_hosts: Collection[str] | None,
        cookie: str = "ftnb",
        any_address: bool = False,
    ) -> None:
        """`token` None asks for none. `allowed_hosts` are names without port (None: every one will do); `any_address`
        also allows every IP address, which a rebound name never is."""
        self._token = None if token is None else _digest(token)
        self._hosts = None if allowed_hosts is None else frozenset(_name(host) for host in allowed_hosts)
        self._any_address = any_address
        self._cookie = cookie
        self._sessions: OrderedDict[bytes, None] = OrderedDict()
        self._tickets: set[bytes] = set()
        self._lock = threading.Lock()

    def ticket(self) -> str:
        """A secret that opens a session once, for a link."""
        made = secrets.token_urlsafe(32)
        with self._lock:
            self._tickets.add(_digest(made))
        return made

    def around(self, app: App) -> App:
        """`app` behind this guard."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in ("http", "websocket"):
                await app(scope, receive, send)
                return
            asked = _Asked(scope)
            problem = self._problem(asked)
            if problem is None and scope["type"] == "http" and asked.path == "/login":
                await self._login(asked, receive, send)
            elif problem is None:
                await app(scope, receive, send)
            else:
                await _refuse(asked, send, *problem)

        return guarded

    def _problem(self, asked: _Asked) -> tuple[int, str] | None:
        if self._hosts is not None and not self._is_ours(asked.host):
            return (
                421,
                f"this server does not answer to the name {_name(asked.host)[:200]!r}; allow it with allowed_hosts",
            )
        if asked.origin is not None and not asked.is_same_origin:
            return 403, "requests of another site are refused"
        if asked.header("sec-fetch-site") in ("cross-site", "same-site") and not asked.is_navigation:
            return 403, "requests of another site are refused"
        if self._token is None or (asked.path == "/login" and not asked.is_websocket):
            return None
        if self._is_token(asked.bearer):
            return None
        if not self._has_session(asked):
            return 401, "this viewer asks for its token: open the link that it printed, or send Authorization: Bearer …"
        if asked.is_websocket and asked.origin is None:
            return 403, "a WebSocket that is opened by a session must say its Origin"
        return None

    def _is_ours(self, host: str | None) -> bool:
        name = _name(host)
        if not name:
            return False
        return name in (self._hosts or ()) or (self._any_address and _is_address(name))

    def _is_token(self, text: str | None) -> bool:
        return text is not None and self._token is not None and secrets.compare_digest(_digest(text), self._token)

    def _has_session(self, asked: _Asked) -> bool:
        given = asked.cookie(self._cookie)
        with self._lock:
            return given is not None and _digest(given) in self._sessions

    def _takes(self, secret: str) -> bool:
        """Whether a session may be opened with `secret`; a ticket is used up by it."""
        if self._is_token(secret):
            return True
        with self._lock:
            if _digest(secret) in self._tickets:
                self._tickets.discard(_digest(secret))
                return True
        return False

    async def _login(self, asked: _Asked, receive: Receive, send: Send) -> None:
        if asked.method not in ("GET", "POST"):
            await _answer(send, 405, "text/plain", b"use GET or POST", [(b"allow", b"GET, POST")])
            return
        text = asked.query if asked.method == "GET" else await _body(receive)
        secret = parse_qs(text, max_num_fields=20, errors="replace").get("token", [""])[-1] if text else ""
        if self._token is not None and not self._takes(secret):
            await _answer(send, 401, "text/html", login_page(tried=bool(secret)).encode())
            return
        session = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[_digest(session)] = None
            while len(self._sessions) > _MAX_SESSIONS:
                self._sessions.popitem(last=False)
        secure = "; Secure" if asked.scheme == "https" else ""
        place = asked.root_path + "/"
        cookie = f"{self._cookie}={session}; Path={place}; HttpOnly; SameSite=Strict{secure}"
        headers = [(b"set-cookie", cookie.encode("latin-1", "replace"))]
        if asked.header("sec-fetch-site") in ("cross-site", "same-site"):
            # A browser sends no strict cookie along a redirect that another site began; from a page of ours it does.
            await _answer(send, 200, "text/html", moved_page().encode(), headers)
        else:
            await _answer(send, 303, "text/plain", b"", [*headers, (b"location", b"./")])


class _Asked:
    """What a request says of itself."""

    def __init__(self, scope: Scope) -> None:
        self._headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.is_websocket = scope["type"] == "websocket"
        self.has_denial = "websocket.http.response" in (scope.get("extensions") or {})
        self.method = str(scope.get("method", "GET"))
        self.scheme = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "http"), scope.get("scheme", "http"))
        self.root_path = str(scope.get("root_path", ""))
        self.path = str(scope["path"]).removeprefix(self.root_path) or "/"
        self.query = bytes(scope.get("query_string", b"")).decode("latin-1")
        self.host = self.header("host")
        self.origin = self.header("origin")

    def header(self, name: str) -> str | None:
        """The header's value; of one that comes more than once, nothing can be believed."""
        found = [value for key, value in self._headers if key.lower() == name.encode()]
        if not found:
            return None
        return found[0].decode("latin-1").strip() if len(found) == 1 else ""

    @property
    def is_same_origin(self) -> bool:
        scheme, separator, place = (self.origin or "").partition("://")
        if not separator or not self.host:
            return False
        port = _PORTS.get(scheme.lower(), "")
        return _with_port(place, port) == _with_port(self.host, port)

    @property
    def is_navigation(self) -> bool:
        top = self.header("sec-fetch-dest") in (None, "document")
        return self.header("sec-fetch-mode") == "navigate" and self.method == "GET" and top

    @property
    def bearer(self) -> str | None:
        scheme, _, token = (self.header("authorization") or "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def wants_html(self) -> bool:
        return "text/html" in (self.header("accept") or "")

    def cookie(self, name: str) -> str | None:
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(self.header("cookie") or "")
        except CookieError:
            return None
        return jar[name].value if name in jar else None


def _digest(secret: str) -> bytes:
    """Compared and kept in place of the secret, which may be any text."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _name(host: str | None) -> str:
    """The host without its port, in small letters."""
    text = (host or "").lower()
    if text.startswith("["):
        name, closed, rest = text[1:].partition("]")
        return name if closed and (not rest or rest.startswith(":")) else text
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def _with_port(host: str, port: str) -> str:
    text = host.lower()
    has_port = text.rpartition(":")[2].isdigit() and (text.count(":") == 1 or "]:" in text)
    return text if has_port else f"{text}:{port}"


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    return host in _LOOPBACK or (_is_address(host) and ip_address(host).is_loopback)


async def _body(receive: Receive) -> str:
    body = b""
    while len(body) <= _MAX_FORM:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            return body.decode("latin-1") if len(body) <= _MAX_FORM else ""
    return ""


async def _refuse(asked: _Asked, send: Send, status: int, why: str) -> None:
    if asked.is_websocket and not asked.has_denial:
        await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
    elif status == 401 and asked.wants_html and not asked.is_websocket:
        await _answer(send, status, "text/html", login_page(tried=False).encode())
    else:
        headers = [(b"www-authenticate", b"Bearer")] if status == 401 else []
        text = json.dumps({"detail": why}).encode()
        kind = "websocket.http.response" if asked.is_websocket else "http.response"
        await _answer(send, status, "application/json", text, headers, kind)


async def _answer(
    send: Send,
    status: int,
    media: str,
    body: bytes,
    headers: Collection[tuple[bytes, bytes]] = (),
    kind: str = "http.response",
) -> None:
    said = [*HEADERS, *headers, (b"content-type", f"{media}; charset=utf-8".encode())]
    await send({"type": f"{kind}.start", "status": status, "headers": [*said, (b"content-length", b"%d" % len(body))]})
    await send({"type": f"{kind}.body", "body": body})
