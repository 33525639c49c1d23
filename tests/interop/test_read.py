"""Files as the libraries of others write them open as traces."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from langsmith.run_trees import RunTree
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ftnb
from ftnb.core.errors import InvalidArgumentError, NotOurFileError
from ftnb.core.model import StepStatus
from tests.real.replay import CONVERSATIONS, NOT_HERE
from tests.servers import postgres_server


@pytest.fixture
def exported() -> Iterator[tuple[Any, InMemorySpanExporter]]:
    """A tracer of OpenTelemetry's SDK, and what it exported."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("agent"), exporter
    provider.shutdown()


_CONVENTIONS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "genai": (
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner", "gen_ai.conversation.id": "talk-1"},
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m-1",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.reasoning.output_tokens": 2,
            "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
            "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"yo"}]}]',
        },
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "search",
            "gen_ai.tool.call.arguments": '{"q":1}',
        },
    ),
    "legacy": (
        {"traceloop.span.kind": "workflow", "traceloop.entity.name": "planner", "session.id": "talk-1"},
        {
            "gen_ai.system": "openai",
            "gen_ai.request.model": "m-1",
            "gen_ai.usage.prompt_tokens": 10,
            "gen_ai.usage.completion_tokens": 5,
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "hi",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "yo",
            "llm.request.type": "chat",
            "gen_ai.usage.cache_read_input_tokens": 4,
            "llm.usage.reasoning_tokens": 2,
        },
        {"traceloop.span.kind": "tool", "gen_ai.tool.name": "search", "traceloop.entity.input": '{"q":1}'},
    ),
    "openinference": (
        {"openinference.span.kind": "AGENT", "graph.node.id": "planner", "session.id": "talk-1"},
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "m-1",
            "llm.token_count.prompt": 10,
            "llm.token_count.completion": 5,
            "llm.token_count.prompt_details.cache_read": 4,
            "llm.token_count.completion_details.reasoning": 2,
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "hi",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "yo",
        },
        {"openinference.span.kind": "TOOL", "tool.name": "search", "input.value": '{"q":1}'},
    ),
}


def _run(tracer: Any, convention: str, turns: int = 1) -> None:
    agent, chat, tool = _CONVENTIONS[convention]
    for _ in range(turns):
        with tracer.start_as_current_span("invoke_agent planner", attributes=agent):
            with tracer.start_as_current_span("chat m-1", attributes={**chat, "odd.one": 1}):
                pass
            try:
                with tracer.start_as_current_span("execute_tool search", attributes=tool):
                    raise ValueError("no such place")
            except ValueError:
                pass


def _check(traces: ftnb.traces.Imported, turns: int = 1) -> None:
    [eng] = traces.store.list_engagements()
    assert eng.name == "planner"
    assert eng.n_turns == turns
    events = traces.events(payload=True).to_dicts()[:2]
    call, tool = events
    assert (call["kind"], call["model"], call["total_tokens"]) == ("llm_call", "m-1", 15)
    assert (call["cache_read_tokens"], call["reasoning_tokens"]) == (4, 2)
    payload = json.loads(call["payload"])
    assert [one["content"] for one in payload["messages"]] == ["hi"]
    assert payload["response"]["content"] == "yo"
    assert (tool["kind"], tool["name"], tool["error"]) == ("tool_call", "search", "no such place")
    assert json.loads(tool["payload"])["args"] == {"q": 1}
    assert traces.report["left out"]["odd.one"] == turns


@pytest.mark.parametrize("convention", _CONVENTIONS)
def test_spans_as_the_sdk_prints_them(exported: Any, tmp_path: Path, convention: str) -> None:
    tracer, exporter = exported
    _run(tracer, convention, turns=2)
    path = tmp_path / "spans.jsonl"
    path.write_text("\n".join(one.to_json(indent=None) for one in exporter.get_finished_spans()))
    _check(ftnb.read(path), turns=2)
    path.write_text("\n".join(one.to_json(indent=None) for one in exporter.get_finished_spans()[:3]))
    _check(ftnb.read(path, into=tmp_path / "store.db"))
    again = ftnb.read(path, into=tmp_path / "store.db")
    assert again.report.counts["turns that were there already"] == 1
    assert again.events().height == 2
    again.close()


def _otlp(spans: Any) -> dict[str, Any]:
    """Spans of the SDK as its OTLP exporter encodes them."""
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.proto.common.trace_encoder")
    to_dict = pytest.importorskip("google.protobuf.json_format").MessageToDict
    found: dict[str, Any] = to_dict(encoder.encode_spans(spans))
    return found


@pytest.mark.parametrize("convention", _CONVENTIONS)
@pytest.mark.parametrize("form", ["one", "pretty", "lines", "gzip"])
def test_otlp_as_the_exporter_encodes_it(exported: Any, tmp_path: Path, convention: str, form: str) -> None:
    tracer, exporter = exported
    _run(tracer, convention, turns=2)
    finished = exporter.get_finished_spans()
    path = tmp_path / "trace.json"
    if form == "lines":
        path.write_text("\n".join(json.dumps(_otlp([one])) for one in finished))
    elif form == "gzip":
        path.write_bytes(gzip.compress(json.dumps(_otlp(finished)).encode()))
    else:
        path.write_text(json.dumps(_otlp(finished), indent=2 if form == "pretty" else None))
    _check(ftnb.read(path), turns=2)


def test_phoenix_frames_parquet_and_lines(exported: Any, tmp_path: Path) -> None:
    """The columns are those of `px.Client().get_spans_dataframe()`."""
    tracer, exporter = exported
    _run(tracer, "openinference")
    rows = []
    for span in exporter.get_finished_spans():
        attributes = dict(span.attributes)
        events = [
            {"name": e.name, "timestamp": "2026-01-01T00:00:00Z", "attributes": dict(e.attributes)} for e in span.events
        ]
        rows.append(
            {
                "name": span.name,
                "span_kind": attributes.pop("openinference.span.kind"),
                "parent_id": None if span.parent is None else f"{span.parent.span_id:016x}",
                "start_time": pd.Timestamp(span.start_time, tz="UTC"),
                "end_time": pd.Timestamp(span.end_time, tz="UTC"),
                "status_code": span.status.status_code.name,
                "status_message": "",
                "events": events,
                "context.span_id": f"{span.context.span_id:016x}",
                "context.trace_id": f"{span.context.trace_id:032x}",
                **{f"attributes.{key}": value for key, value in attributes.items()},
            }
        )
    frame = pd.DataFrame(rows)
    _check(ftnb.read(frame))
    _check(ftnb.read(frame.set_index("context.span_id")))
    frame.drop(columns="events").to_parquet(tmp_path / "spans.parquet")
    assert ftnb.read(tmp_path / "spans.parquet").events()["total_tokens"].to_list() == [15, None]
    frame.to_json(tmp_path / "spans.jsonl", orient="records", lines=True, date_format="iso")
    _check(ftnb.read(tmp_path / "spans.jsonl"))


@contextmanager
def _sqlite_saver(folder: Path) -> Iterator[tuple[Any, Any]]:
    with closing(sqlite3.connect(folder / "checkpoints.db", check_same_thread=False)) as connection:
        yield SqliteSaver(connection), folder / "checkpoints.db"


@contextmanager
def _postgres_saver(folder: Path) -> Iterator[tuple[Any, Any]]:
    with postgres_server() as server:
        dsn = f"postgresql://postgres@/postgres?host={server.folder}"
        with PostgresSaver.from_conn_string(dsn) as saver:
            saver.setup()
            yield saver, dsn


def _agent(saver: Any) -> Any:
    graph = StateGraph(MessagesState)
    usage: Any = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13, "input_token_details": {"cache_read": 5}}
    calls = [{"name": "search", "args": {"q": "x"}, "id": "c1"}]
    graph.add_node("plan", lambda s: {"messages": [AIMessage("", tool_calls=calls, usage_metadata=usage)]})
    graph.add_node("search", lambda s: {"messages": [ToolMessage("found", tool_call_id="c1", name="search")]})
    graph.add_node("ask", lambda s: {"messages": [HumanMessage(interrupt("sure?"))]})
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "search")
    graph.add_edge("search", "ask")
    graph.add_edge("ask", END)
    return graph.compile(checkpointer=saver)


@pytest.mark.parametrize("made", [_sqlite_saver, _postgres_saver])
def test_checkpoints_of_an_agent_that_nobody_traced(tmp_path: Path, made: Any) -> None:
    with made(tmp_path) as (saver, path):
        app = _agent(saver)
        config = {"configurable": {"thread_id": "thread-1"}, "metadata": {"user_id": "u1"}}
        app.invoke({"messages": [HumanMessage("hi")]}, config)
        half = ftnb.read(path, into=tmp_path / "store.db")
        assert half.engagement("thread-1").status == "paused"
        half.close()
        app.invoke(Command(resume="yes"), config)
        traces = ftnb.read(path)
        after = ftnb.read(path, into=tmp_path / "store.db")
    eng = traces.engagement("thread-1")
    steps = [(s.name, s.model.status, s.model.visit, s.model.attempt, s.model.turn) for s in eng.steps]
    assert steps == [
        ("plan", StepStatus.COMPLETED, 1, 1, 1),
        ("search", StepStatus.COMPLETED, 1, 1, 1),
        ("ask", StepStatus.WAITING, 1, 1, 1),
        ("ask", StepStatus.COMPLETED, 1, 2, 2),
    ]
    assert eng.status == "completed"
    assert eng.metadata["user_id"] == "u1"
    call, tool = traces.events(payload=True).to_dicts()
    assert (call["total_tokens"], call["cache_read_tokens"]) == (13, 5)
    assert json.loads(tool["payload"])["args"] == {"q": "x"}
    assert eng.steps[1].triggers == [eng.steps[0].id]
    assert after.engagement("thread-1").status == "completed"
    assert [s.name for s in after.engagement("thread-1").steps] == ["plan", "search", "ask", "ask"]
    after.close()


def test_what_a_checkpoint_names_is_not_called(tmp_path: Path) -> None:
    ormsgpack = pytest.importorskip("ormsgpack")
    path = tmp_path / "checkpoints.db"
    connection = sqlite3.connect(path, check_same_thread=False)
    app = _agent(SqliteSaver(connection))
    app.invoke({"messages": [HumanMessage("hi")]}, {"configurable": {"thread_id": "thread-1"}})
    trap = tmp_path / "called"
    inner = ormsgpack.packb(("os", "mkdir", str(trap)))
    connection.execute(
        "UPDATE writes SET value = ? WHERE channel = 'messages'", (ormsgpack.packb(ormsgpack.Ext(0, inner)),)
    )
    connection.execute("UPDATE writes SET type = 'pickle' WHERE channel = '__interrupt__'")
    connection.commit()
    connection.close()
    assert ftnb.read(path, strict=False).steps().height == 3
    assert not trap.exists()


def test_langsmith_runs(tmp_path: Path) -> None:
    root = RunTree(name="planner", run_type="chain", inputs={"q": 1}, extra={"metadata": {"session_id": "s1", "x": 1}})
    call = root.create_child(
        "ChatOpenAI",
        run_type="llm",
        inputs={"messages": [{"role": "user", "content": "hi"}]},
        extra={"metadata": {"ls_model_name": "m-1"}},
    )
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_token_details": {"cache_read": 4}}
    call.end(outputs={"choices": [{"message": {"role": "assistant", "content": "yo"}}], "usage_metadata": usage})
    root.create_child("search", run_type="tool", inputs={"input": "a"}).end(error="ValueError('boom')")
    root.end(outputs={"output": 2})
    runs = [root, *root.child_runs]
    hidden = {"ls_client", "client", "parent_run", "child_runs"}
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(one.model_dump_json(exclude=hidden) for one in runs))
    as_list = tmp_path / "runs.json"
    as_list.write_text("[" + ",\n".join(one.model_dump_json(exclude=hidden) for one in runs) + "]")
    for traces in (ftnb.read(path), ftnb.read(as_list)):
        model, tool = traces.events().to_dicts()
        assert (model["model"], model["total_tokens"], model["cache_read_tokens"]) == ("m-1", 15, 4)
        assert (tool["name"], tool["error"]) == ("search", "ValueError('boom')")
        assert traces.engagements(meta=["x"])["x"].to_list() == [1]


@pytest.mark.skipif(not CONVERSATIONS.exists(), reason=NOT_HERE)
def test_a_hundred_real_conversations() -> None:
    traces = ftnb.read(CONVERSATIONS)
    assert traces.report["guessed"] == {"(time)": 100}
    frame = traces.engagements(meta=["reward"])
    assert frame.height == 100
    assert set(frame["reward"]) == {0.0, 1.0}
    funnel = traces.funnel(["assistant", "get_reservation_details", "transfer_to_human_agents"]).frame()
    assert funnel["reached"].to_list()[0] == 100
    assert (
        traces.events().filter(kind="tool_call").height == traces.steps().filter(pl.col("name") != "assistant").height
    )


def test_chat_messages_in_their_forms(tmp_path: Path) -> None:
    talk = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yo"},
        {"role": "user", "content": "ok"},
    ]
    forms = {
        "lines.jsonl": "\n".join(json.dumps({"messages": talk, "label": n}) for n in range(3)),
        "one.json": json.dumps(talk),
        "loose.jsonl": "\n".join(map(json.dumps, talk)),
        "list.json": json.dumps([{"messages": talk}, {"messages": talk, "id": "talk-77"}], indent=1),
        "whole.json": json.dumps({"id": "talk-77", "messages": talk}, indent=1),
    }
    found = {}
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        found[name] = ftnb.read(tmp_path / name).engagements().height
    assert found == {"lines.jsonl": 3, "one.json": 1, "loose.jsonl": 1, "list.json": 2, "whole.json": 1}
    assert ftnb.read(tmp_path / "whole.json").engagement("talk-77").steps[0].name == "assistant"


def test_event_tables(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "session_id": ["aaaaaa", "aaaaaa", "bbbbbb"],
            "event": ["open", "buy", "open"],
            "timestamp": [dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in (1, 2, 3)],
            "country": ["de", "de", "fr"],
        }
    )
    frame.write_csv(tmp_path / "events.csv")
    frame.write_parquet(tmp_path / "events.parquet")
    frame.write_ndjson(tmp_path / "events.ndjson")
    for given in (frame, frame.lazy(), frame.to_pandas(), frame.to_arrow(), *(tmp_path.glob("events.*"))):
        traces = ftnb.read(given)
        assert traces.steps()["name"].to_list() == ["open", "buy", "open"]
        assert traces.engagements(meta=["country"])["country"].to_list() == ["de", "fr"]
        assert traces.directly_follows().frame().height > 0
    odd = frame.rename({"session_id": "who", "event": "what", "timestamp": "when"})
    with pytest.raises(NotOurFileError, match="no column for case and activity and time"):
        ftnb.read(odd)
    assert ftnb.read(odd, columns={"case": "who", "activity": "what", "time": "when"}).steps().height == 3
    with pytest.raises(InvalidArgumentError, match="no column 'x'"):
        ftnb.read(odd, columns={"case": "x"})


def test_a_report_is_a_table_and_html(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps([{"role": "user", "content": "<b>", "<script>": 1}] * 2))
    report = ftnb.read(tmp_path / "x.json").report
    assert report.frame().columns == ["field", "how", "to", "n"]
    html = report._repr_mimebundle_()["text/html"]
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_equal_conversations_are_two_and_stay_two(tmp_path: Path) -> None:
    line = json.dumps({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]})
    (tmp_path / "chat.jsonl").write_text(f"{line}\n{line}\n")
    for _ in range(2):
        traces = ftnb.read(tmp_path / "chat.jsonl", into=tmp_path / "store.db")
        assert traces.engagements().height == 2
        traces.close()
