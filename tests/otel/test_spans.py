"""Spans by hand: inside steps, as whole traces, late, orphaned, failed, and seen by others too."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, Tracer

import ftnb
import ftnb.otel
from ftnb.store.sqlite import SQLiteStore
from tests.capture.models import parrot
from tests.capture.shapes import Seen, graph_of, named, tree

KIND = "openinference.span.kind"
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 3}
TOOL = {KIND: "TOOL", "tool.name": "portal", "input.value": '{"rooms": 2}', "output.value": "a flat"}


def kinds(step: Any) -> list[tuple[str, str]]:
    return [(event.kind.value, event.name) for event in step.events]


def test_spans_in_a_step_are_its_events(seen: Seen, tracer: Tracer) -> None:
    with ftnb.record("e") as run, run.step("a"):
        with tracer.start_as_current_span("chat m", attributes=CHAT):
            time.sleep(0.002)
        with tracer.start_as_current_span("t", attributes=TOOL):
            pass
        with tracer.start_as_current_span("r", attributes={KIND: "RETRIEVER", "input.value": "flats"}):
            pass
        with tracer.start_as_current_span("g", attributes={KIND: "GUARDRAIL", "output.value": "fine"}):
            pass
        with tracer.start_as_current_span("GET", attributes={"http.method": "GET"}):
            pass
    (step,) = seen.one().steps
    assert kinds(step) == [("llm_call", "m"), ("tool_call", "portal"), ("tool_call", "r"), ("log", "g")]
    chat, tool, found, _ = step.events
    assert chat.tokens is not None
    assert (chat.tokens.prompt, chat.model) == (3, "m")
    assert chat.duration_ms is not None
    assert chat.duration_ms >= 2
    assert (tool.payload, found.subtype) == ({"args": {"rooms": 2}, "result": "a flat"}, "retriever")
    assert step.started_at <= chat.ts <= tool.ts


def test_spans_in_a_node_and_in_a_block(seen: Seen, tracer: Tracer) -> None:
    def node(state: Any) -> Any:
        with tracer.start_as_current_span("chat m", attributes=CHAT):
            return {"path": ["a"]}

    graph_of("^>a", a=node).compile().invoke({"path": []})
    assert kinds(named(seen.one(), "a")) == [("llm_call", "m")]
    with ftnb.record("block"), tracer.start_as_current_span("chat m", attributes=CHAT):
        pass
    assert [(step.name, kinds(step)) for step in seen.all()[1].steps] == [("m", [("llm_call", "m")])]


def test_an_agent_in_a_step_is_a_step_inside_it(seen: Seen, tracer: Tracer) -> None:
    with ftnb.record("e") as run, run.step("ask"):
        for name in ("one", "two"):
            with tracer.start_as_current_span("run", attributes={KIND: "AGENT", "agent.name": name}):
                with tracer.start_as_current_span("chat", attributes=CHAT):
                    pass
    engagement = seen.one()
    assert tree(engagement) == ["ask", "ask/one", "ask/two < one:static"]
    assert kinds(engagement.steps[1]) == [("llm_call", "m")]


def test_a_whole_trace_is_an_engagement(seen: Seen, tracer: Tracer) -> None:
    about = {KIND: "AGENT", "session.id": "s1", "user.id": "u1", "input.value": "find a flat"}
    with tracer.start_as_current_span("house_search", attributes=about):
        with tracer.start_as_current_span("plan", attributes={KIND: "CHAIN"}):
            with tracer.start_as_current_span("chat", attributes=CHAT):
                pass
        with tracer.start_as_current_span("search", attributes={KIND: "CHAIN"}):
            with tracer.start_as_current_span("agent", attributes={KIND: "AGENT", "agent.name": "helper"}):
                with tracer.start_as_current_span("t", attributes=TOOL):
                    pass
    engagement = seen.one()
    assert (engagement.name, engagement.status.value) == ("house_search", "completed")
    assert tree(engagement) == ["plan", "search < plan:static", "search/helper"]
    assert engagement.metadata["user_id"] == "u1"
    assert len(engagement.metadata["trace_id"]) == 32
    assert kinds(engagement.steps[2]) == [("tool_call", "portal")]
    assert [node.name for node in engagement.topology.nodes] == ["plan", "search", "search/helper"]
    assert ftnb.last().id == engagement.id


def test_it_can_be_watched_while_it_runs(seen: Seen, tracer: Tracer) -> None:
    with tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}):
        with tracer.start_as_current_span("plan", attributes={KIND: "CHAIN"}):
            running = seen.one()
    assert (running.status.value, tree(running)) == ("active", ["plan running"])
    assert (seen.one().status.value, tree(seen.one())) == ("completed", ["plan"])


def test_kinds_told_at_the_end_only(seen: Seen, tracer: Tracer) -> None:
    with tracer.start_as_current_span("flow") as flow:
        with tracer.start_as_current_span("search") as search:
            with tracer.start_as_current_span("chat") as chat:
                chat.set_attributes(CHAT)
            search.set_attribute(KIND, "CHAIN")
        with tracer.start_as_current_span("answer") as answer:
            answer.set_attribute(KIND, "CHAIN")
        assert seen.all() == []
        flow.set_attribute(KIND, "CHAIN")
    engagement = seen.one()
    assert (engagement.name, tree(engagement)) == ("flow", ["search", "answer < search:static"])
    assert kinds(engagement.steps[0]) == [("llm_call", "m")]


def test_nodes_and_their_order_by_graph_attributes(seen: Seen, tracer: Tracer) -> None:
    with tracer.start_as_current_span("crew", attributes={KIND: "CHAIN"}):
        for node, before in (("research", None), ("write", "research"), ("check", "research")):
            about = {KIND: "AGENT", "graph.node.id": node} | ({"graph.node.parent_id": before} if before else {})
            with tracer.start_as_current_span("Agent.run", attributes=about):
                pass
    engagement = seen.one()
    assert tree(engagement) == ["research", "write < research:static", "check < research:static"]
    assert [(edge.source, edge.target) for edge in engagement.topology.edges] == [
        ("research", "write"),
        ("research", "check"),
    ]


def test_steps_side_by_side_are_not_a_chain(seen: Seen, tracer: Tracer) -> None:
    with tracer.start_as_current_span("flow", attributes={KIND: "CHAIN"}):
        one = tracer.start_span("a", attributes={KIND: "CHAIN"})
        two = tracer.start_span("b", attributes={KIND: "CHAIN"})
        one.end()
        two.end()
        with tracer.start_as_current_span("c", attributes={KIND: "CHAIN"}):
            pass
    assert tree(seen.one()) == ["a", "b", "c < a:join, b:join"]


def test_failures(seen: Seen, tracer: Tracer) -> None:
    def agent() -> None:
        with tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}):
            with tracer.start_as_current_span("search", attributes={KIND: "CHAIN"}):
                with tracer.start_as_current_span("t", attributes=TOOL):
                    raise KeyError("flat")

    with pytest.raises(KeyError):
        agent()
    engagement = seen.one()
    assert (engagement.status.value, tree(engagement)) == ("failed", ["search failed"])
    tool, error = engagement.steps[0].events
    assert (tool.error, tool.error_type) == ("'flat'", "KeyError")
    assert (error.kind.value, error.error_type) == ("error", "KeyError")


def test_a_failure_that_is_only_a_status(seen: Seen, tracer: Tracer) -> None:
    with tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}):
        with tracer.start_as_current_span("chat", attributes={**CHAT, "error.type": "RateLimit"}) as span:
            span.set_status(Status(StatusCode.ERROR, "too fast"))
    (step,) = seen.one().steps
    assert (step.events[0].error, step.events[0].error_type) == ("too fast", "RateLimit")


def test_the_turns_of_a_conversation_are_one_engagement(seen: Seen, tracer: Tracer) -> None:
    for conversation in ("c1", "c2", "c1"):
        about = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "chat"}
        with tracer.start_as_current_span("run", attributes={**about, "gen_ai.conversation.id": conversation}):
            with tracer.start_as_current_span("chat", attributes=CHAT):
                pass
    first, second = seen.all()
    assert (first.n_turns, [(step.name, step.visit, step.turn) for step in first.steps]) == (
        2,
        [("chat", 1, 1), ("chat", 2, 2)],
    )
    assert second.n_turns == 1


# --- late, orphaned, half seen ---


def test_a_span_that_ends_after_its_root_is_in_its_engagement(seen: Seen, tracer: Tracer) -> None:
    with tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}):
        late = tracer.start_span("chat", attributes=CHAT)
    assert seen.one().status.value == "active"
    late.end()
    engagement = seen.one()
    assert (engagement.status.value, kinds(engagement.steps[0])) == ("completed", [("llm_call", "m")])


def test_what_begins_after_the_end_is_another_turn(seen: Seen, tracer: Tracer) -> None:
    with tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}) as root:
        with tracer.start_as_current_span("plan", attributes={KIND: "CHAIN"}):
            pass
    with trace.use_span(root), tracer.start_as_current_span("tidy", attributes={KIND: "CHAIN"}):
        pass
    engagement = seen.one()
    assert (engagement.status.value, [(step.name, step.turn) for step in engagement.steps]) == (
        "completed",
        [("plan", 1), ("tidy", 2)],
    )


def test_an_orphan_is_an_engagement_and_says_so(seen: Seen, tracer: Tracer) -> None:
    lost = NonRecordingSpan(SpanContext(7, 9, False, TraceFlags(TraceFlags.SAMPLED)))
    with trace.use_span(lost), tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}):
        with tracer.start_as_current_span("plan", attributes={KIND: "CHAIN"}):
            pass
    engagement = seen.one()
    assert engagement.metadata["orphan_of"] == f"{9:016x}"
    assert tree(engagement) == ["plan"]


def test_a_call_of_a_model_alone_is_kept_out_of_funnels(seen: Seen, tracer: Tracer) -> None:
    with tracer.start_as_current_span("chat m", attributes=CHAT):
        pass
    engagement = seen.one()
    assert engagement.metadata["standalone"] is True
    assert [kinds(step) for step in engagement.steps] == [[("llm_call", "m")]]
    assert ftnb.funnel(seen.store, ["chat m"]).total == 0


def test_a_span_whose_start_nobody_saw(provider: TracerProvider) -> None:
    span = provider.get_tracer("x").start_span("agent", attributes={KIND: "AGENT"})
    store = SQLiteStore()
    ftnb.start(store)
    span.end()
    ftnb.stop()
    assert [one.name for one in store.list_engagements()] == ["agent"]
    store.close()


def test_what_is_under_way_when_recording_stops(provider: TracerProvider) -> None:
    store, tracer = SQLiteStore(), provider.get_tracer("x")
    ftnb.start(store)
    with tracer.start_as_current_span("flow"), tracer.start_as_current_span("chat", attributes=CHAT):
        pass
    with tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}):
        with tracer.start_as_current_span("plan", attributes={KIND: "CHAIN"}):
            ftnb.stop()
    found = {one.name: one.status.value for one in store.list_engagements()}
    assert found == {"chat": "completed", "agent": "abandoned"}
    store.close()


def test_spans_of_many_threads(seen: Seen, tracer: Tracer) -> None:
    def agent(name: str) -> None:
        with tracer.start_as_current_span(name, attributes={KIND: "AGENT"}):
            for step in ("plan", "search"):
                with tracer.start_as_current_span(step, attributes={KIND: "CHAIN"}):
                    with tracer.start_as_current_span("chat", attributes=CHAT):
                        pass

    threads = [threading.Thread(target=agent, args=(f"agent-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((one.name, tree(one)) for one in seen.all()) == [
        (f"agent-{n}", ["plan", "search < plan:static"]) for n in range(8)
    ]


# --- one call, one event ---


def test_a_model_of_langchain_with_spans_of_its_own_is_recorded_once(seen: Seen, provider: TracerProvider) -> None:
    from openinference.instrumentation.langchain import LangChainInstrumentor

    instrumentor = LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        graph_of("^>a", a=lambda state: {"path": [parrot("hello").invoke("hi").content]}).compile().invoke({"path": []})
    finally:
        instrumentor.uninstrument()
    engagement = seen.one()
    assert tree(engagement) == ["a"]
    assert kinds(engagement.steps[0]) == [("llm_call", "parrot-1")]


def test_a_span_inside_the_same_call_as_another_layer_tells_it(seen: Seen, tracer: Tracer) -> None:
    with ftnb.record("e") as run, run.step("a") as s:
        with s.llm_call("mine") as call:
            with tracer.start_as_current_span("chat", attributes=CHAT):
                pass
            call.answered("hello")
        with tracer.start_as_current_span("outer", attributes=CHAT):
            with tracer.start_as_current_span("inner", attributes={KIND: "LLM", "llm.token_count.prompt": 9}):
                pass
    (step,) = seen.one().steps
    assert kinds(step) == [("llm_call", "mine"), ("llm_call", "m")]


def test_a_captured_sdk_inside_a_span_is_recorded_once(seen: Seen, tracer: Tracer) -> None:
    openai = pytest.importorskip("openai")
    from tests.openai_server import serving

    with serving() as server:
        ftnb.capture("openai")
        try:
            client = openai.OpenAI(base_url=server.url, api_key="k", max_retries=0)
            with ftnb.record("e") as run, run.step("a"):
                with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
                    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
                with tracer.start_as_current_span("told late") as late:
                    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
                    late.set_attributes(CHAT)
            client.close()
        finally:
            ftnb.uncapture("openai")
    (step,) = seen.one().steps
    assert [event.tokens and event.tokens.total for event in step.events] == [16, 16]


def test_an_open_span_claims_no_other_call(seen: Seen, tracer: Tracer) -> None:
    openai = pytest.importorskip("openai")
    from tests.openai_server import serving

    with serving() as server:
        ftnb.capture("openai")
        try:
            client = openai.OpenAI(base_url=server.url, api_key="k", max_retries=0)
            with ftnb.record("e") as run, run.step("a"):
                stream = tracer.start_span("chat", attributes=CHAT)
                with trace.use_span(stream):
                    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
                client.chat.completions.create(model="other", messages=[{"role": "user", "content": "hi"}])
                stream.end()
            client.close()
        finally:
            ftnb.uncapture("openai")
    (step,) = seen.one().steps
    assert sorted(str(event.payload["parameters"].get("model", event.model)) for event in step.events) == ["m", "other"]


def test_two_processors_record_once(seen: Seen, provider: TracerProvider) -> None:
    provider.add_span_processor(ftnb.otel.SpanProcessor())
    tracer = provider.get_tracer("x")
    with tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}):
        with tracer.start_as_current_span("chat", attributes=CHAT):
            pass
    assert [kinds(step) for step in seen.one().steps] == [[("llm_call", "m")]]


# --- a guest ---


def test_nothing_is_recorded_without_a_session(tracer: Tracer) -> None:
    with tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}):
        pass


def test_a_span_is_what_it_was(seen: Seen, tracer: Tracer) -> None:
    with tracer.start_as_current_span("agent", attributes={KIND: "AGENT"}) as span:
        pass
    assert dict(span.attributes) == {KIND: "AGENT"}  # type: ignore[attr-defined]
    assert not span.events  # type: ignore[attr-defined]


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(ftnb.otel.__dict__, "SpanProcessor", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ftnb.MissingPackageError, match=r"pip install 'ftnb\[otel\]'"):
        ftnb.otel.SpanProcessor  # noqa: B018
    with pytest.raises(AttributeError, match="SpanProcessor"):
        ftnb.otel.Processor  # noqa: B018
