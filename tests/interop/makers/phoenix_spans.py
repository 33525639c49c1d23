"""Phoenix: spans sent to its server, and what its client gives back: a dataframe as Parquet, and a list as JSON."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


folder, port = Path(sys.argv[1]), free_port()
(folder / "server").mkdir()
environment = {
    **os.environ, "PHOENIX_WORKING_DIR": str(folder / "server"), "PHOENIX_HOST": "127.0.0.1",
    "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(free_port()), "PHOENIX_TELEMETRY_ENABLED": "false",
    "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
}  # fmt: skip
server = subprocess.Popen(
    [sys.executable, "-W", "ignore", "-m", "phoenix.server.main", "serve"],
    env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)  # fmt: skip

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from phoenix.client import Client  # noqa: E402

AGENT = {"openinference.span.kind": "AGENT", "session.id": "talk-1", "user.id": "u1", "metadata": '{"color": "red"}'}
CALL = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "m-1",
    "llm.token_count.prompt": 10,
    "llm.token_count.completion": 5,
    "llm.token_count.total": 15,
    "llm.token_count.prompt_details.cache_read": 4,
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "hi",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "yo",
}
TOOL = {"openinference.span.kind": "TOOL", "tool.name": "search", "input.value": '{"q": 1}'}

url = f"http://127.0.0.1:{port}"


def is_up() -> bool:
    try:
        return urllib.request.urlopen(f"{url}/healthz", timeout=5).status == 200
    except OSError:
        return False


while not is_up():
    if server.poll() is not None:
        sys.exit("the server ended before it was up")
    time.sleep(0.2)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
tracer = provider.get_tracer("agent")
with tracer.start_as_current_span("planner", attributes=AGENT):
    with tracer.start_as_current_span("chat", attributes=CALL):
        pass
    try:
        with tracer.start_as_current_span("search", attributes=TOOL):
            raise ValueError("no such place")
    except ValueError:
        pass
client = Client(base_url=url)
for _ in range(300):
    frame = client.spans.get_spans_dataframe()
    if len(frame) == 3:
        break
    time.sleep(0.1)
frame.to_parquet(folder / "phoenix.parquet")
frame.to_pickle(folder / "phoenix.pickle")
(folder / "phoenix.json").write_text(json.dumps(client.spans.get_spans(project_identifier="default")))
server.terminate()
server.wait()
