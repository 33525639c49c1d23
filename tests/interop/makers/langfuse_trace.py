"""Langfuse: the spans of its SDK, and a trace and its observations as its API's types write them."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from pathlib import Path

folder = Path(sys.argv[1])
os.environ.update(LANGFUSE_PUBLIC_KEY="pk", LANGFUSE_SECRET_KEY="sk", LANGFUSE_HOST="http://127.0.0.1:9")

from langfuse import Langfuse, propagate_attributes  # noqa: E402
from langfuse.api import (  # noqa: E402
    ObservationLevel,
    ObservationsV2Meta,
    ObservationsV2Response,
    ObservationsView,
    ObservationV2,
    TraceWithFullDetails,
    Usage,
)
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

ASKED, ANSWERED = [{"role": "user", "content": "hi"}], {"role": "assistant", "content": "yo"}
# The cache's tokens stand beside the others here; the total tells.
USAGE = {"input": 6, "output": 5, "total": 15, "input_cached_tokens": 4}


def spans() -> None:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = Langfuse(tracer_provider=provider)
    with (
        client.start_as_current_observation(name="planner", as_type="agent", input={"q": 1}),
        propagate_attributes(session_id="talk-1", user_id="u1", metadata={"color": "red"}),
    ):
        with client.start_as_current_observation(name="chat", as_type="generation", model="m-1", input=ASKED) as call:
            call.update(output=ANSWERED, usage_details=USAGE)
        with client.start_as_current_observation(name="search", as_type="tool", input={"q": 1}) as call:
            call.update(level="ERROR", status_message="no such place")
    lines = [one.to_json(indent=None) for one in exporter.get_finished_spans()]
    (folder / "langfuse-spans.jsonl").write_text("\n".join(lines))


def at(second: int) -> dt.datetime:
    return dt.datetime(2026, 1, 1, 0, 0, second, tzinfo=dt.timezone.utc)  # noqa: UP017


def trace() -> None:
    none = Usage(input=0, output=0, total=0, unit="TOKENS")
    given = {"level": ObservationLevel.DEFAULT, "environment": "default", "trace_id": "t1", "model_parameters": {},
             "cost_details": {}, "usage_details": {}, "usage": none, "output": None}  # fmt: skip
    inner = {**given, "parent_observation_id": "o1"}
    some = Usage(input=10, output=5, total=15, unit="TOKENS")
    observations = [
        ObservationsView(
            **{**given, "id": "o1", "type": "AGENT", "name": "planner", "start_time": at(0), "end_time": at(4),
               "input": {"q": 1}, "output": "done"}
        ),
        ObservationsView(
            **{**inner, "id": "o2", "type": "GENERATION", "name": "chat", "start_time": at(1), "end_time": at(2),
               "model": "m-1", "input": ASKED, "output": ANSWERED, "usage": some, "usage_details": USAGE}
        ),
        ObservationsView(
            **{**inner, "id": "o3", "type": "TOOL", "name": "search", "start_time": at(2), "end_time": at(3),
               "input": {"q": 1}, "level": ObservationLevel.ERROR, "status_message": "no such place"}
        ),
    ]  # fmt: skip
    whole = TraceWithFullDetails(
        id="t1", timestamp=at(0), name="planner", session_id="talk-1", user_id="u1", tags=[], public=False,
        environment="default", html_path="/", observations=observations, scores=[], metadata={"color": "red"},
    )  # fmt: skip
    (folder / "langfuse-trace.json").write_text(whole.json())
    about = json.loads(whole.json())
    listed = about.pop("observations")
    (folder / "langfuse-page.json").write_text(json.dumps({"trace": about, "observations": listed}))


def observations() -> None:
    given = {"trace_id": "t1", "project_id": "p", "user_id": "u1", "session_id": "talk-1", "trace_name": "planner"}
    inner = {**given, "parent_observation_id": "o1"}
    found = [
        ObservationV2(**inner, id="o2", type="GENERATION", name="chat", start_time=at(1), end_time=at(2), model="m-1",
                      input=ASKED, output=ANSWERED, usage_details=USAGE),
        ObservationV2(**given, id="o1", type="AGENT", name="planner", start_time=at(0), end_time=at(4),
                      is_root_observation=True, metadata={"color": "red"}),
        ObservationV2(**inner, id="o3", type="TOOL", name="search", start_time=at(2), end_time=at(3), level="ERROR",
                      input={"q": 1}, status_message="no such place"),
    ]  # fmt: skip
    answer = ObservationsV2Response(data=found, meta=ObservationsV2Meta())
    (folder / "langfuse-answer.json").write_text(answer.json())
    (folder / "langfuse-observations.jsonl").write_text("\n".join(one.json() for one in found))


spans()
trace()
observations()
os._exit(0)  # the client's threads would wait for a server
