"""What is written for others can be read back, and what cannot is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.core.errors import InvalidArgumentError, StoreError
from ftnb.core.model import EngagementStatus, EventKind, StepStatus, TokenUsage
from ftnb.recorder import Recorder
from ftnb.store.memory import MemoryStore
from ftnb.traces import Traces


@pytest.fixture
def traces() -> Traces:
    """Two engagements: a pause with a second turn, a failure inside a subgraph; every count of tokens."""
    store = MemoryStore()
    recorder = Recorder(store)
    eng = recorder.start_engagement("house", metadata={"user_id": "u1", "n": 3})
    plan = recorder.start_step(eng, "plan", tools=["search"], state={"messages": [{"role": "user", "content": "hi"}]})
    usage = TokenUsage(prompt=100, completion=20, cache_read=60, cache_write=10, reasoning=15)
    messages = [{"role": "user", "content": "häuser?"}]
    calls = [{"name": "search", "args": {"q": "x"}, "id": "c1"}]
    response = {"role": "assistant", "content": "", "tool_calls": calls}
    payload = {"messages": messages, "response": response, "provider": "openai"}
    recorder.record_event(
        plan, EventKind.LLM_CALL, "gpt", payload=payload, duration_ms=12.5, tokens=usage, model="gpt", ttft_ms=3.0
    )
    recorder.record_event(
        plan, EventKind.TOOL_CALL, "search", payload={"args": {"q": "x"}, "result": [1]}, duration_ms=1.0
    )
    recorder.record_event(plan, EventKind.LOG, "note", payload={"a": 1})
    recorder.end_step(plan, StepStatus.COMPLETED, duration_ms=20.0, update={"plan": "buy"})
    ask = recorder.start_step(eng, "ask", triggers=[plan])
    recorder.end_step(ask, StepStatus.WAITING, duration_ms=1.0)
    recorder.set_engagement_status(eng, EngagementStatus.PAUSED)
    recorder.set_engagement_status(eng, EngagementStatus.ACTIVE)
    again = recorder.start_step(eng, "ask", attempt=2, triggers=[ask], routes={ask: "resume"})
    recorder.end_step(again, StepStatus.COMPLETED, duration_ms=1.0)
    recorder.end_engagement(eng, EngagementStatus.COMPLETED)
    other = recorder.start_engagement("house", metadata={"user_id": "u2"})
    outer = recorder.start_step(other, "team")
    inner = recorder.start_step(other, "worker", parent=outer, ns="team")
    recorder.end_step(inner, StepStatus.FAILED, duration_ms=1.0, error="boom", error_type="ValueError")
    recorder.end_step(outer, StepStatus.FAILED, duration_ms=2.0, error="boom", error_type="ValueError")
    recorder.end_engagement(other, EngagementStatus.FAILED, dropped_at="worker", error="boom")
    recorder.close()
    return Traces(store)


def _shape(traces: Traces) -> list[Any]:
    """Tree, order, statuses, tokens and payloads."""
    found = []
    for summary in traces.store.list_engagements():
        eng = traces.store.get_engagement(summary.id)
        steps = [
            (
                s.id,
                s.name,
                s.status,
                s.visit,
                s.attempt,
                s.turn,
                s.ns,
                s.parent_step_id,
                s.triggers,
                s.routes,
                s.error,
                s.error_type,
                s.duration_ms,
                s.started_at,
                s.ended_at,
                s.tools_available,
                [
                    (e.id, e.kind, e.name, e.tokens, e.payload, e.model, e.ttft_ms, e.duration_ms, e.error, e.discarded)
                    for e in s.events
                ],
            )
            for s in eng.steps
        ]
        metadata = {key: value for key, value in eng.metadata.items() if key != "trace_id"}
        found.append((eng.id, eng.name, eng.status, eng.dropped_at, eng.n_turns, metadata, eng.total_tokens, steps))
    return found


@pytest.mark.parametrize("attributes", ["genai", "openinference", "both"])
@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_otlp_there_and_back(traces: Traces, tmp_path: Path, attributes: Any, name: str) -> None:
    report = traces.to_otlp(tmp_path / name, attributes=attributes)
    assert report.counts["engagements"] == 2
    back = ftnb.read(tmp_path / name)
    assert _shape(back) == _shape(traces)
    eng = back.engagement(traces.store.list_engagements()[0].id)
    assert eng.step("plan").update_ref is not None
    assert eng.resolve(eng.step("plan").update_ref) == {"plan": "buy"}


@pytest.mark.parametrize("attributes", ["genai", "openinference"])
def test_tokens_are_counted_once_by_those_who_do_not_know_ours(traces: Traces, tmp_path: Path, attributes: Any) -> None:
    path = tmp_path / "t.json"
    traces.to_otlp(path, attributes=attributes)
    document = json.loads(path.read_bytes())
    for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        span["attributes"] = [one for one in span["attributes"] if not one["key"].startswith("ftnb.")]
    path.write_text(json.dumps(document))
    row = ftnb.read(path).events().filter(kind="llm_call").to_dicts()[0]
    counts = [
        row[f"{key}_tokens"] for key in ("prompt", "completion", "total", "cache_read", "cache_write", "reasoning")
    ]
    assert counts == [100, 20, 120, 60, 10, 15]


def test_ndjson_gives_the_same_log(traces: Traces, tmp_path: Path) -> None:
    traces.to_ndjson(tmp_path / "t.ndjson")
    back = ftnb.read(tmp_path / "t.ndjson")
    columns = ["stream_id", "n", "type", "at_us", "salt", "body", "tok_total"]
    assert back.store.scan(columns).to_pylist() == traces.store.scan(columns).to_pylist()
    assert back.store.scan_streams().to_pylist() == traces.store.scan_streams().to_pylist()
    assert back.store.scan_blobs().to_pylist() == traces.store.scan_blobs().to_pylist()
    assert [one.id for one in back.store.list_engagements({"user_id": "u2"})] == [traces.store.list_engagements()[1].id]


def test_an_altered_line_is_told(traces: Traces, tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    traces.to_ndjson(path)
    lines = path.read_bytes().splitlines()
    del lines[1]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(ftnb.NotOurFileError, match=r"t\.ndjson, line 2: record 2 of a stream of which 1"):
        ftnb.read(path)


def test_perfetto_has_each_step_in_a_lane_of_its_own(traces: Traces, tmp_path: Path) -> None:
    traces.to_perfetto(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_bytes())["traceEvents"]
    steps = [one for one in events if one.get("cat") == "step"]
    assert [one["name"] for one in steps] == ["plan", "ask", "ask", "team", "worker"]
    assert all(one["ph"] in "XMi" and one["pid"] in (1, 2) for one in events)
    team, worker = steps[-2:]
    assert team["tid"] == worker["tid"]
    assert team["ts"] <= worker["ts"] <= worker["ts"] + worker["dur"] <= team["ts"] + team["dur"]


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_an_event_log_is_an_event_table(traces: Traces, tmp_path: Path, name: str) -> None:
    report = traces.to_event_log(tmp_path / name)
    assert "steps.total_tokens" in report["left out"]
    back = ftnb.read(tmp_path / name)
    assert back.steps()["name"].to_list() == traces.steps()["name"].to_list()
    assert back.steps()["started_at"].to_list() == traces.steps()["started_at"].to_list()


def test_a_cell_is_no_formula(tmp_path: Path) -> None:
    recorder = Recorder(MemoryStore())
    eng = recorder.start_engagement("x")
    recorder.end_step(recorder.start_step(eng, "=cmd()"), StepStatus.COMPLETED)
    recorder.end_engagement(eng, EngagementStatus.COMPLETED)
    recorder.close()
    Traces(recorder.store).to_event_log(tmp_path / "log.csv")
    assert ",'=cmd()," in (tmp_path / "log.csv").read_text()


def test_a_file_is_written_whole_or_not_at_all(traces: Traces, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="openinference"):
        traces.to_otlp(tmp_path / "t.json", attributes="otel")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="folder"):
        traces.to_ndjson(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_recorded_is_sent_while_it_happens(tmp_path: Path) -> None:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    import ftnb.otel

    store, exporter = MemoryStore(), InMemorySpanExporter()
    recorder = Recorder(store)
    with ftnb.otel.export(store, exporter=exporter) as export:
        eng = recorder.start_engagement("house")
        recorder.end_step(recorder.start_step(eng, "plan"), StepStatus.COMPLETED, duration_ms=1.0)
        recorder.end_engagement(eng, EngagementStatus.COMPLETED)
        recorder.flush()
    spans = exporter.get_finished_spans()
    assert [one.name for one in spans] == ["invoke_workflow house", "plan"]
    assert spans[1].parent.span_id == spans[0].context.span_id
    assert export.n_sent == 2
    path = tmp_path / "spans.jsonl"
    path.write_text("\n".join(one.to_json(indent=None) for one in spans))
    assert _shape(ftnb.read(path)) == _shape(Traces(store))
    recorder.close()


def test_a_collector_that_fails_harms_nobody() -> None:
    import ftnb.otel

    class Broken:
        def export(self, spans: Any) -> Any:
            raise OSError("no collector")

        def shutdown(self) -> None:
            raise OSError("no collector")

    recorder = Recorder(MemoryStore())
    with ftnb.otel.export(recorder.store, exporter=Broken()) as export:
        eng = recorder.start_engagement("house")
        recorder.end_engagement(eng, EngagementStatus.COMPLETED)
        assert recorder.flush()
    assert (export.n_sent, export.n_failed) == (0, 1)
    recorder.close()
    with pytest.raises(InvalidArgumentError, match="endpoint"):
        ftnb.otel.export(recorder.store)
