"""Time that recording adds to a call through OpenAI's SDK, beside other instrumentation of the same SDK.

    python tests/benchmarks/bench_sdk.py [quick]

Against a server in a process of its own on this machine, which answers in two ways: at once, so that the client
computes without a pause and every other thread takes its time from it, and after 10 ms, still far sooner than any
model. Per call, in microseconds, how much longer than the bare call: the median of the differences within each round,
with its quartiles,

- on the clock, which is what the reach is for: the calls one after the other, and whatever competes with them;
- `own`: processor time of the calling thread;
- `all`: processor time of all threads of the process, with what is written after the calls, before the next turn.

Peers that are not installed are left out:

    pip install openinference-instrumentation-openai opentelemetry-instrumentation-openai
    pip install opentelemetry-instrumentation-openai-v2 opentelemetry-sdk

Their spans go to a batch processor whose exporter throws them away, so what is measured is the instrumentation alone.
Ours go to an SQLite file.
"""

from __future__ import annotations

import importlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import openai

sys.path.insert(0, str(Path(__file__).parents[2]))
import ftnb
from tests.benchmarks._tools import Line, added, differences, interleaved, quantile, show, spent

REACH_US = 60
WAIT_SECONDS = 0.01
PEERS = {
    "OpenInference": "openinference.instrumentation.openai",
    "OpenTelemetry (openai)": "opentelemetry.instrumentation.openai",
    "OpenTelemetry (openai-v2)": "opentelemetry.instrumentation.openai_v2",
}
MESSAGES: list[Any] = [
    {"role": "system", "content": "You find flats."},
    *[{"role": role, "content": "some words " * 20} for role in ("user", "assistant") * 4],
    {"role": "user", "content": "And now?"},
]


def serve(port: socket.socket) -> None:
    """Answer every request with the same completion, at once or, under `/slow`, after a wait; streams as one piece."""
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    base = {"id": "c1", "created": 1, "model": "m"}
    message = {"role": "assistant", "content": "hello"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = json.dumps({**base, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
    chunks = [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}] * 20
    chunks.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    parts = [json.dumps({**base, "object": "chat.completion.chunk", "choices": [one]}) for one in chunks]
    stream = "".join(f"data: {part}\n\n" for part in [*parts, "[DONE]"]).encode()

    def answer(kind: str, body: bytes) -> bytes:
        return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    answers = {False: answer("application/json", whole), True: answer("text/event-stream", stream)}
    while True:
        connection, _ = port.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = b""
        while data := connection.recv(65536):
            pending += data
            head, found, body = pending.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]) if found else 0
            if found and len(body) >= length:
                pending = b""
                if head.startswith(b"POST /slow"):
                    time.sleep(WAIT_SECONDS)
                connection.sendall(answers[b'"stream":true' in body])


@contextmanager
def server() -> Iterator[str]:
    """A server process; its address."""
    with socket.create_server(("127.0.0.1", 0)) as port:
        port.set_inheritable(True)
        command = [sys.executable, __file__, "serve", str(port.fileno())]
        process = subprocess.Popen(command, pass_fds=[port.fileno()])
        try:
            yield f"http://127.0.0.1:{port.getsockname()[1]}"
        finally:
            process.kill()
            process.wait()


@contextmanager
def bare() -> Iterator[None]:
    yield


@contextmanager
def ours() -> Iterator[None]:
    ftnb.capture("openai")
    with ftnb.record("bench"), ftnb.step("calls"):
        yield
    ftnb.uncapture("openai")


def peer(module: str) -> Callable[[], AbstractContextManager[None]] | None:
    """What instruments the SDK with a peer; None: it is not installed."""
    try:
        instrumentor = importlib.import_module(module).OpenAIInstrumentor()
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    except ImportError:
        return None

    class Away(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Away()))

    @contextmanager
    def instrumented() -> Iterator[None]:
        instrumentor.instrument(tracer_provider=provider)
        try:
            yield
        finally:
            instrumentor.uninstrument()

    return instrumented


def main(quick: bool) -> None:
    variants = {"bare": bare, "ftnb": ours, **{name: found for name, path in PEERS.items() if (found := peer(path))}}
    with server() as address, tempfile.TemporaryDirectory() as folder:
        session = ftnb.start(Path(folder) / "traces.db")
        for path, server_does, calls in (("v1", "answers at once", 50), ("slow/v1", "takes 10 ms to answer", 25)):
            client = openai.OpenAI(base_url=f"{address}/{path}", api_key="k")
            asks = {
                "call": lambda client=client: one(client),
                "stream of 20 parts": lambda client=client: streamed(client),
            }
            for kind, ask in asks.items():
                rounds = 5 if quick else 41
                lines = measured(variants, ask, rounds, calls, session)
                show(f"One {kind}, the server {server_does}: µs more than bare ({rounds} rounds of {calls})", lines)
        ftnb.stop()


def one(client: openai.OpenAI) -> None:
    client.chat.completions.create(model="m", messages=MESSAGES)


def streamed(client: openai.OpenAI) -> None:
    for _ in client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
        pass


def measured(variants: dict[str, Any], ask: Callable[[], None], rounds: int, calls: int, session: Any) -> list[Line]:
    def work() -> None:
        for _ in range(calls):
            ask()

    own: dict[str, list[float]] = {name: [] for name in variants}
    every: dict[str, list[float]] = {name: [] for name in variants}

    def timed(name: str) -> float:
        with variants[name]():
            ask()
            session.recorder.flush()
            begun = time.process_time()
            wall, busy = spent(work)
            session.recorder.flush()  # so that the writer's work is not in the next variant's time
        every[name].append((time.process_time() - begun) / calls * 1e6)
        own[name].append(busy / calls * 1e6)
        return wall / calls * 1e6

    times = interleaved({name: (lambda name=name: timed(name)) for name in variants}, rounds)
    base = f"{quantile(times['bare'], 0.5):.0f}; own {quantile(own['bare'], 0.5):.0f}"
    lines = [Line("bare, in all", "", base)]
    for name in list(variants)[1:]:
        is_ours = name == "ftnb"
        reach = f"≤ {REACH_US} µs" if is_ours else ""
        spread = [differences(one, name, "bare") for one in (times, own, every)]
        found = f"{spread[0]}; own {spread[1]}; all {spread[2]}"
        lines.append(Line(name, reach, found, added(times, name, "bare") <= REACH_US if is_ours else None))
    return lines


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(socket.socket(fileno=int(sys.argv[2])))
    else:
        main("quick" in sys.argv)
