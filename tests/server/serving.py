"""The viewer's server as `serve` starts it, on a free port of this machine, in a thread that ends with the test."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import httpx
import uvicorn

from ftnb.server import app as server_app


@dataclass
class Served:
    """A server that listens."""

    port: int
    printed: str
    """What `serve` told its user."""
    server: uvicorn.Server

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def link(self) -> str:
        """The link that works once."""
        return re.findall(r"http://\S+", self.printed)[0]

    @property
    def token(self) -> str:
        return self.printed.split("token\n  ")[1].split("\n")[0]

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.origin, trust_env=False, timeout=20, **options)

    def log_in(self, client: httpx.Client) -> str:
        """Open a session in `client`; the Cookie header for others."""
        client.post("/login", data={"token": self.token})
        return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(store: Any, *, port: int | None = None, **options: Any) -> Iterator[Served]:
    """`serve(store, …)`, listening."""
    made: list[uvicorn.Server] = []
    printed: list[str] = []

    def run(app: Any, **kwargs: Any) -> None:
        made.append(uvicorn.Server(uvicorn.Config(app, **kwargs)))

    listening = port or free_port()
    with patch.object(uvicorn, "run", run), patch.object(server_app.sys.stderr, "write", printed.append):
        server_app.serve(store, port=listening, **options)
    (server,) = made
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < until, "the server did not begin"
        time.sleep(0.01)
    try:
        yield Served(listening, "".join(printed), server)
    finally:
        server.should_exit = True
        thread.join(10)
