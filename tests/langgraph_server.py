"""A small HTTP server that speaks as much of LangGraph's API as a `RemoteGraph` needs, on this machine only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RUN = "1f0aaaaa-0000-6000-8000-00000000000a"


class FakeLangGraph:
    """Each run streams `parts` after its metadata: (event, data); a number instead is an HTTP status.

    Through the protocol of events, the same parts are events, `name|namespace`, of the run that was started.
    """

    def __init__(self) -> None:
        self.parts: list[Any] = [("values", {"found": ["a flat"]})]
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.url = ""


def _lines(parts: list[Any], channels: list[str]) -> Iterator[str]:
    """What is streamed of some channels."""
    for n, (name, data) in enumerate(parts):
        method, *namespace = name.split("|")
        if method.partition(".")[0] in channels:
            event = {"type": "event", "event_id": f"e{n}", "seq": n + 1, "method": method}
            yield f"data: {json.dumps({**event, 'params': {'namespace': namespace, 'data': data}})}\r\n\r\n"


@contextmanager
def serving() -> Iterator[FakeLangGraph]:
    """A server that runs for the length of the block."""
    fake = FakeLangGraph()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.requests.append((self.path, given))
            if isinstance(fake.parts, int):
                self.send_error(fake.parts)
            elif self.path.endswith("/commands"):
                self.answer("application/json", json.dumps({"id": given["id"], "result": {"run_id": RUN}}))
            elif self.path.endswith("/stream/events"):
                self.answer("text/event-stream", "".join(_lines(fake.parts, given["channels"])))
            else:
                parts = [("metadata", {"run_id": RUN, "attempt": 1}), *fake.parts, ("end", None)]
                lines = (f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n" for name, data in parts)
                self.answer("text/event-stream", "".join(lines))

        def do_GET(self) -> None:
            values = [data for name, data in fake.parts if name == "values"]
            self.answer("application/json", json.dumps({"values": values[-1], "next": [], "tasks": []}))

        def answer(self, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
