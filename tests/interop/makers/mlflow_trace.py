"""MLflow: `Trace.to_json()`, from its own tracking store."""

from __future__ import annotations

import os
import sys
from pathlib import Path

folder = Path(sys.argv[1])
os.environ.update(MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_ENABLE_ASYNC_TRACE_LOGGING="false")

import mlflow  # noqa: E402
from mlflow.entities import SpanType  # noqa: E402

mlflow.set_tracking_uri((folder / "mlruns").as_uri())


@mlflow.trace(name="search", span_type=SpanType.TOOL)
def search(q):
    raise ValueError("no such place")


@mlflow.trace(name="chat", span_type=SpanType.CHAT_MODEL)
def chat(messages):
    span = mlflow.get_current_active_span()
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "cache_read_input_tokens": 4}
    span.set_attribute("mlflow.chat.tokenUsage", usage)
    span.set_attribute("mlflow.llm.model", "m-1")
    return {"role": "assistant", "content": "yo"}


@mlflow.trace(name="planner", span_type=SpanType.AGENT)
def planner(q):
    about = {"mlflow.trace.session": "talk-1", "mlflow.trace.user": "u1"}
    mlflow.update_current_trace(metadata=about, tags={"color": "red"})
    chat([{"role": "user", "content": "hi"}])
    try:
        search(1)
    except ValueError:
        return "done"


planner("x")
trace = mlflow.get_trace(mlflow.get_last_active_trace_id())
(folder / "mlflow.json").write_text(trace.to_json())
(folder / "mlflow.jsonl").write_text("\n".join([trace.to_json(), trace.to_json()]))
