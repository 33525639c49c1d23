"""A small HTTP server that speaks as much of OpenAI's chat API as tests need, on this machine only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


class FakeOpenAI:
    """Its answers, in turn: a text, a tool call `(name, arguments as text)`, or an HTTP status; the last one repeats"""

    def __init__(self) -> None:
        self.answers: list[Any] = ["hello"]
        self.requests: list[dict[str, Any]] = []
        self.url = ""

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving() -> Iterator[FakeOpenAI]:
    """A server that runs for the length of the block."""
    fake = FakeOpenAI()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.requests.append(given)
            answer = fake.next()
            if isinstance(answer, int):
                self._send(answer, json.dumps({"error": {"message": "no", "type": "server_error"}}), "application/json")
            elif given.get("stream"):
                self._send(200, "".join(_chunks(given, answer)), "text/event-stream")
            else:
                self._send(200, json.dumps(_completion(given, answer)), "application/json")

        def _send(self, status: int, body: str, kind: str) -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _message(answer: Any) -> dict[str, Any]:
    if isinstance(answer, tuple):
        call = {"id": "call_1", "type": "function", "function": {"name": answer[0], "arguments": answer[1]}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": "assistant", "content": answer}


def _completion(given: dict[str, Any], answer: Any) -> dict[str, Any]:
    reason = "tool_calls" if isinstance(answer, tuple) else "stop"
    choice = {"index": 0, "message": _message(answer), "finish_reason": reason}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": given["model"], "choices": [choice],
            "usage": USAGE}  # fmt: skip


def _chunks(given: dict[str, Any], answer: str) -> Iterator[str]:
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": given["model"]}
    for place in range(0, len(answer), 4):
        delta = {"role": "assistant", "content": answer[place : place + 4]}
        yield _event({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (given.get("stream_options") or {}).get("include_usage"):
        yield _event({**base, "choices": [], "usage": USAGE})
    yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
