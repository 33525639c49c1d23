"""A small HTTP server on this machine that speaks as much of the providers' APIs as tests need, streams included."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Sse = list[tuple[str | None, Any]]
"""Events: name and data."""


class Providers:
    """What is answered, in turn; the last one repeats.

    A text; a tool call `(name, arguments)`; an HTTP status; `"hang"`: nothing, until the client gives up; `"half"`: a
    stream that breaks off; `"error in stream"`.
    """

    def __init__(self) -> None:
        self.answers: list[Any] = ["hello"]
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.root = ""
        self.released = threading.Event()

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving() -> Iterator[Providers]:
    """A server that runs for the length of the block."""
    fake = Providers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            given = json.loads(data)
            path = self.path.partition("?")[0]
            fake.requests.append((path, given))
            answer = fake.next()
            streams = bool(given.get("stream")) or path.endswith(":streamGenerateContent")
            try:
                if answer == "hang":
                    fake.released.wait(10)
                elif isinstance(answer, int):
                    self._whole(answer, error(path))
                elif streams:
                    self._stream(events(path, given, answer), answer)
                else:
                    self._whole(200, whole(path, given, answer))
            except (BrokenPipeError, ConnectionResetError):
                pass

        def _whole(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, sse: Sse, answer: Any) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if answer == "half":
                sse = sse[: len(sse) // 2]
            for name, data in sse:
                head = f"event: {name}\n" if name else ""
                text = data if isinstance(data, str) else json.dumps(data)
                self._chunk(f"{head}data: {text}\n\n".encode())
            if answer == "half":
                self.close_connection = True
                self.wfile.flush()
                self.connection.shutdown(2)
                return
            self._chunk(b"")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # a client that gave up

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    fake.root = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        fake.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _kind(path: str) -> str:
    for end, kind in (
        ("/chat/completions", "chat"), ("/responses", "responses"), ("/embeddings", "embeddings"),
        ("/completions", "text"), ("/messages", "messages"), ("GenerateContent", "gemini"),
        (":generateContent", "gemini"), ("mbedContents", "gemini embed"),
    ):  # fmt: skip
        if path.endswith(end):
            return kind
    raise AssertionError(f"no such API: {path}")


def error(path: str) -> Any:
    kind = _kind(path)
    if kind == "messages":
        return {"type": "error", "error": {"type": "overloaded_error", "message": "too much"}}
    if kind.startswith("gemini"):
        return {"error": {"code": 429, "message": "too much", "status": "RESOURCE_EXHAUSTED"}}
    return {"error": {"message": "too much", "type": "rate_limit", "code": None, "param": None}}


OPENAI_USAGE = {
    "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 3},
}  # fmt: skip
RESPONSES_USAGE = {
    "input_tokens": 11, "output_tokens": 7, "total_tokens": 18,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 3},
}  # fmt: skip
ANTHROPIC_USAGE = {
    "input_tokens": 7, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0, "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 3},
}  # fmt: skip
GEMINI_USAGE = {
    "promptTokenCount": 11, "cachedContentTokenCount": 4, "candidatesTokenCount": 4, "thoughtsTokenCount": 3,
    "totalTokenCount": 18,
}  # fmt: skip
TOKENS = (11, 7, 18, 4, 0, 3)
"""What all of these say: prompt, completion, total, cache read, cache write, reasoning."""


def whole(path: str, given: Any, answer: Any) -> Any:
    kind = _kind(path)
    tool = answer if isinstance(answer, tuple) else None
    if kind == "chat":
        message: dict[str, Any] = {"role": "assistant", "content": None if tool else answer}
        if tool:
            function = {"name": tool[0], "arguments": json.dumps(tool[1])}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if tool else "stop"}
        return {"id": "c1", "object": "chat.completion", "created": 1, "model": f"{given['model']}-2026",
                "choices": [choice], "usage": OPENAI_USAGE}  # fmt: skip
    if kind == "text":
        return {"id": "t1", "object": "text_completion", "created": 1, "model": given["model"],
                "choices": [{"index": 0, "text": answer, "finish_reason": "stop"}], "usage": OPENAI_USAGE}  # fmt: skip
    if kind == "embeddings":
        n = len(given["input"]) if isinstance(given["input"], list) else 1
        data = [{"object": "embedding", "index": place, "embedding": [0.5, 0.25, 1.0]} for place in range(n)]
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        return {"object": "list", "model": given["model"], "usage": usage, "data": data}
    if kind == "responses":
        return _response(given, [_output(answer)])
    if kind == "messages":
        block = {"type": "tool_use", "id": "call_1", "name": tool[0], "input": tool[1]} if tool else None
        return {"id": "m1", "type": "message", "role": "assistant", "model": f"{given['model']}-2026",
                "content": [block or {"type": "text", "text": answer}],
                "stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None,
                "usage": ANTHROPIC_USAGE}  # fmt: skip
    if kind == "gemini embed":
        return {"embeddings": [{"values": [0.5, 0.25, 1.0]}]}
    return {**_gemini([_part(answer)], "STOP"), "usageMetadata": GEMINI_USAGE}


def _output(answer: Any) -> Any:
    if isinstance(answer, tuple):
        return {"type": "function_call", "id": "f1", "call_id": "call_1", "name": answer[0], "status": "completed",
                "arguments": json.dumps(answer[1])}  # fmt: skip
    part = {"type": "output_text", "text": answer, "annotations": []}
    return {"type": "message", "id": "o1", "role": "assistant", "status": "completed", "content": [part]}


def _response(given: Any, output: list[Any], status: str = "completed") -> Any:
    return {
        "id": "r1", "object": "response", "created_at": 1, "model": f"{given['model']}-2026", "output": output,
        "status": status, "parallel_tool_calls": True, "tool_choice": "auto", "tools": given.get("tools") or [],
        "usage": RESPONSES_USAGE if status == "completed" else None, "error": None, "incomplete_details": None,
        "instructions": None, "metadata": {}, "temperature": 1.0, "top_p": 1.0,
    }  # fmt: skip


def _part(answer: Any) -> Any:
    if isinstance(answer, tuple):
        return {"functionCall": {"id": "call_1", "name": answer[0], "args": answer[1]}}
    return {"text": answer}


def _gemini(parts: list[Any], finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-x-2026", "responseId": "g1"}


def events(path: str, given: Any, answer: Any) -> Sse:
    kind = _kind(path)
    text = "hello" if answer in ("half", "error in stream") else answer
    sse = {"chat": _chat_events, "responses": _response_events, "messages": _message_events, "gemini": _gemini_events}[
        kind
    ](given, text)
    if answer == "error in stream":
        name = "error" if kind in ("messages", "responses") else None
        sse = [*sse[: len(sse) // 2], (name, error(path))]
    return sse


def _pieces(text: str) -> list[str]:
    return [text[place : place + 2] for place in range(0, len(text), 2)]


def _chat_events(given: Any, answer: Any) -> Sse:
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": f"{given['model']}-2026"}

    def chunk(delta: Any, finish: str | None = None) -> tuple[None, Any]:
        return None, {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    sse: Sse = [chunk({"role": "assistant", "content": None if isinstance(answer, tuple) else ""})]
    if isinstance(answer, tuple):
        head = {"name": answer[0], "arguments": ""}
        sse.append(chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": head}]}))
        for piece in _pieces(json.dumps(answer[1])):
            sse.append(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}))
        sse.append(chunk({}, "tool_calls"))
    else:
        sse.extend(chunk({"content": piece}) for piece in _pieces(answer))
        sse.append(chunk({}, "stop"))
    if (given.get("stream_options") or {}).get("include_usage"):
        sse.append((None, {**base, "choices": [], "usage": OPENAI_USAGE}))
    return [*sse, (None, "[DONE]")]


def _response_events(given: Any, answer: Any) -> Sse:
    item = _output(answer)
    made: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response(given, [], "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress", **(
            {"arguments": ""} if isinstance(answer, tuple) else {"content": []})}},
    ]  # fmt: skip
    if isinstance(answer, tuple):
        made.extend(
            {"type": "response.function_call_arguments.delta", "item_id": "f1", "output_index": 0, "delta": piece}
            for piece in _pieces(item["arguments"])
        )
    else:
        where = {"item_id": "o1", "output_index": 0, "content_index": 0}
        empty = {"type": "output_text", "text": "", "annotations": []}
        made.append({"type": "response.content_part.added", **where, "part": empty})
        made.extend(
            {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []} for piece in _pieces(answer)
        )
        made.append({"type": "response.output_text.done", **where, "text": answer, "logprobs": []})
    made.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    made.append({"type": "response.completed", "response": _response(given, [item])})
    return [(str(one["type"]), {**one, "sequence_number": n}) for n, one in enumerate(made)]


def _message_events(given: Any, answer: Any) -> Sse:
    start = {**whole("/messages", given, "x"), "content": [], "stop_reason": None}
    start["usage"] = {**ANTHROPIC_USAGE, "output_tokens": 1}
    made: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    if isinstance(answer, tuple):
        block: Any = {"type": "tool_use", "id": "call_1", "name": answer[0], "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(json.dumps(answer[1]))]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(answer)]
    made.append({"type": "content_block_start", "index": 0, "content_block": block})
    made.append({"type": "ping"})
    made.extend({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas)
    made.append({"type": "content_block_stop", "index": 0})
    reason = "tool_use" if isinstance(answer, tuple) else "end_turn"
    made.append({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
                 "usage": {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}}})  # fmt: skip
    made.append({"type": "message_stop"})
    return [(str(one["type"]), one) for one in made]


def _gemini_events(given: Any, answer: Any) -> Sse:
    pieces = [answer] if isinstance(answer, tuple) else _pieces(answer)
    sse: Sse = [(None, _gemini([_part(piece)], None)) for piece in pieces[:-1]]
    sse.append((None, {**_gemini([_part(pieces[-1])], "STOP"), "usageMetadata": GEMINI_USAGE}))
    return sse
