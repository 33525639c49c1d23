"""The viewer's application: `create_app(store)` to mount behind your own, `serve(store)` to look at a store now.

`create_app` asks for no token unless it is given one; `serve` listens on this machine only and prints a link with a
token. Both only read. `python -m ftnb.server.app` shows a few runs of the example agent.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection
from os import PathLike
from typing import Annotated, Any, Literal

from ..core._optional import require
from ..core._plain_json import encode
from ..core.errors import FtnbError, InvalidArgumentError, MissingPackageError, UnknownEngagementError
from ..store._url import open_store
from ..store.base import LogStore, Store
from ..timeline import build_timeline
from ..traces import Traces
from ..widget.html import read_bundle
from ._activity import ActivityRoom
from ._guard import Guard, is_loopback
from ._listing import MAX_PAGE, PAGE, Asked, Listing, warm
from ._page import SafeHeaders, index_page

for _package in ("fastapi", "uvicorn", "websockets"):
    require(_package, feature="the viewer server", extra="server")

from fastapi import FastAPI, Query, Request, Response, WebSocket  # noqa: E402

from ._rooms import Rooms  # noqa: E402
from ._sockets import LiveSocket, stream_records  # noqa: E402

__all__ = ["create_app", "serve"]

PORT = 8400
_MAX_TEXT = 2_000
_MIN_TOKEN = 16
Source = Store | Traces | str | PathLike[str]


def create_app(store: Source, *, token: str | None = None, allowed_hosts: Collection[str] | None = None) -> FastAPI:
    """The viewer of `store` (a store, traces, a path or a URL) as an ASGI application, to mount behind your own.

    Without `token` whoever reaches it may read everything: put it behind your own authentication. With it, a request
    needs `Authorization: Bearer <token>` or the cookie that `/login` gives. `allowed_hosts` are the names under which
    it answers; any other is refused, which stops DNS rebinding. Raises what `ftnb.open` does.
    """
    opened = _store_of(store)
    app = FastAPI(
        title="ftnb viewer", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", redirect_slashes=False
    )
    if token is not None or allowed_hosts is not None:
        if token is not None:
            _check_token(token)
        app.add_middleware(_Guarded, guard=Guard(token=token, allowed_hosts=allowed_hosts))
    app.add_middleware(SafeHeaders)
    app.add_exception_handler(FtnbError, _told)
    _add_pages(app, Listing(opened))
    _add_engagements(app, opened)
    _add_sockets(app, opened)
    return app


def serve(
    store: Source,
    host: str = "127.0.0.1",
    port: int = PORT,
    *,
    token: str | Literal["auto"] | None = "auto",
    open_browser: bool = False,
    allowed_hosts: Collection[str] = (),
) -> None:
    """Show `store` in a browser until Ctrl-C; prints the link to open.

    The link works once; the printed token opens further browsers and is what programs send as
    `Authorization: Bearer`. `token=None` asks for none and is only possible on this machine's own addresses.
    `allowed_hosts` are further names under which it is reached. Raises InvalidArgumentError, and what `ftnb.open` does.
    """
    import uvicorn

    from ._door import behind

    loopback = is_loopback(host)
    if token is None and not loopback:
        raise InvalidArgumentError(
            f"serve(host={host!r}) without a token would show every trace to whoever reaches this machine. Keep the "
            "token, or mount create_app(store) behind your own authentication"
        )
    secret = _new_token() if token == "auto" else token
    if secret is not None:
        _check_token(secret)
    names = {"localhost", "127.0.0.1", "::1", host, *allowed_hosts} | (set() if loopback else _own_names())
    guard = Guard(token=secret, allowed_hosts=names, cookie=f"ftnb-{port}", any_address=not loopback)
    app = create_app(store)
    _check_port(host, port)
    shown = host if loopback and ":" not in host else "localhost" if loopback else socket.gethostname()
    link = f"http://{shown}:{port}/" + (f"login?token={guard.ticket()}" if secret else "")
    _say(link, secret, loopback=loopback)
    if open_browser:
        _open_soon(link)
    uvicorn.run(
        app,
        host=host,
        port=port,
        **behind(guard),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws_max_size=262_144,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )


class _Guarded:
    """A guard as Starlette adds middleware."""

    def __init__(self, app: Any, guard: Guard) -> None:
        self._app = guard.around(app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


def _add_pages(app: FastAPI, listing: Listing) -> None:
    import hashlib

    @app.get("/", include_in_schema=False)
    def index() -> Response:
        warm(listing)
        bundle = hashlib.sha256(read_bundle().encode()).hexdigest()[:16]
        return Response(index_page(bundle), media_type="text/html")

    @app.get("/static/runtime.js", include_in_schema=False)
    def runtime() -> Response:
        return Response(read_bundle(), media_type="text/javascript")

    @app.get("/api/engagements", response_model=None)
    def engagements(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
        offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
        after: Annotated[str | None, Query(max_length=_MAX_TEXT)] = None,
        newest: bool = False,
        status: Annotated[list[str] | None, Query(max_length=20)] = None,
        name: Annotated[str | None, Query(max_length=_MAX_TEXT)] = None,
        q: Annotated[str | None, Query(max_length=_MAX_TEXT)] = None,
    ) -> Response:
        """Summaries, oldest first. Where there are more, a `Link` header says how to ask for them: `rel="next"`.

        `where.<key>=<value>` keeps engagements with that metadata, `q` those with the text anywhere in id, name,
        metadata or drop-off, `after` begins behind the engagement of that id, `newest=true` turns the order round.
        """
        given = request.query_params.multi_items()
        where = {key.removeprefix("where."): value for key, value in given if key.startswith("where.")}
        asked = Asked(limit, offset, after or None, newest, tuple(status or ()), name, q or None, where)
        found, has_more = listing.page(asked)
        headers = {}
        if has_more:
            following = request.query_params.__class__(
                [(key, value) for key, value in given if key not in ("after", "offset")] + [("after", found[-1].id)]
            )
            headers["Link"] = f'<engagements?{following}>; rel="next"'
        return _json(found, headers)


def _add_engagements(app: FastAPI, store: Store) -> None:
    # The longer path first: an id may hold slashes.
    @app.get("/api/engagements/{engagement_id:path}/timeline", response_model=None)
    def timeline(engagement_id: str) -> Response:
        """Lanes and marks of one engagement over time."""
        return _json(build_timeline(_engagement(store, engagement_id)))

    @app.get("/api/engagements/{engagement_id:path}", response_model=None)
    def engagement(engagement_id: str) -> Response:
        """One engagement, whole, with its topology."""
        return _json(_engagement(store, engagement_id))


def _add_sockets(app: FastAPI, store: Store) -> None:
    rooms = Rooms(store)
    activity = ActivityRoom(store) if isinstance(store, LogStore) else None

    @app.websocket("/api/stream")
    async def stream(websocket: WebSocket) -> None:
        await stream_records(websocket, store)

    @app.websocket("/api/live")
    async def live(websocket: WebSocket) -> None:
        await LiveSocket(websocket, rooms, activity).run()


def _engagement(store: Store, engagement_id: str) -> Any:
    try:
        return store.get_engagement(engagement_id)
    except KeyError as error:
        if isinstance(error, FtnbError):
            raise
        raise UnknownEngagementError.of(engagement_id) from error  # a store of somebody else's


def _json(value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(value), media_type="application/json", headers=headers)


async def _told(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, LookupError) else 400 if isinstance(error, InvalidArgumentError) else 503
    return Response(encode({"detail": str(error)}), status_code=status, media_type="application/json")


def _store_of(source: Any) -> Store:
    if isinstance(source, Traces):
        return source.store
    if isinstance(source, str | PathLike):
        return open_store(source if isinstance(source, str) else str(source))
    opened: Store = source
    return opened


def _new_token() -> str:
    import secrets

    return secrets.token_urlsafe(32)


def _check_token(token: str) -> None:
    if len(token) < _MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidArgumentError(
            f"a token is at least {_MIN_TOKEN} printable ASCII characters without spaces; secrets.token_urlsafe(32) "
            "makes a good one"
        )


def _own_names() -> set[str]:
    return {socket.gethostname(), socket.getfqdn()}


def _check_port(host: str, port: int) -> None:
    """Say it before anything is printed. Raises InvalidArgumentError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except (OSError, OverflowError) as error:
        raise InvalidArgumentError(f"cannot listen on {host}, port {port}: {error}; choose another port") from error


def _say(link: str, token: str | None, *, loopback: bool) -> None:
    lines = [f"The viewer is at\n  {link}"]
    if token is not None:
        lines.append(f"The link works once; further browsers and programs use the token\n  {token}")
    else:
        lines.append("It asks for no token: every program and user of this machine can read the traces.")
    if not loopback:
        lines.append("Others can reach it. What it sends is not encrypted: put it behind a TLS proxy, or use ssh -L.")
    sys.stderr.write("\n".join([*lines, "Ctrl-C ends it.", ""]))
    sys.stderr.flush()


def _open_soon(link: str) -> None:
    import threading
    import webbrowser

    timer = threading.Timer(0.7, webbrowser.open, [link])
    timer.daemon = True
    timer.start()


def main() -> int:
    """Show a few runs of the example agent."""
    from ._demo import demo_store

    try:
        serve(demo_store())
    except MissingPackageError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
