"""Graphs on a server: one step each, as a run of their own, as a node, and from inside a node."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import SyncRunsClient

import ftnb
from tests.capture.shapes import Seen, events, graph_of, named, tree
from tests.langgraph_server import RUN, FakeLangGraph, serving


@pytest.fixture
def server() -> Iterator[FakeLangGraph]:
    with serving() as fake:
        yield fake


@pytest.fixture
def remote(server: FakeLangGraph) -> Iterator[RemoteGraph]:
    client = get_sync_client(url=server.url, api_key=None)
    yield RemoteGraph("finder", client=get_client(url=server.url, api_key=None), sync_client=client)
    client.http.client.close()


FOUND = {"path": ["a flat"]}
PARTS = [
    ("values", {"path": []}),
    ("updates", {"search": FOUND}),
    ("updates|plan:1", {"look": FOUND}),
    ("values", FOUND),
]


OWN_PARTS = (3, 4)
"""What a stream without subgraphs gives; LangGraph 1.0 passes on what the server sends of them all the same."""


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_a_run_of_its_own_is_an_engagement_of_one_step(
    server: FakeLangGraph, remote: RemoteGraph, seen: Seen, way: str
) -> None:
    server.parts = PARTS

    async def streamed() -> list[Any]:
        return [chunk async for chunk in remote.astream({"path": []}, stream_mode=["values", "updates"])]

    if way == "invoke":
        assert remote.invoke({"path": []}) == FOUND
    elif way == "ainvoke":
        assert asyncio.run(remote.ainvoke({"path": []})) == FOUND
    elif way == "stream":
        assert len(list(remote.stream({"path": []}, stream_mode=["values", "updates"]))) in OWN_PARTS
    else:
        assert len(asyncio.run(streamed())) in OWN_PARTS
    engagement = seen.one()
    assert (engagement.name, engagement.status.value, tree(engagement)) == ("finder", "completed", ["finder"])
    (step,) = engagement.steps
    assert (seen.state(step), seen.update(step)) == ({"path": []}, FOUND)
    about, *chunks = step.events
    assert about.name == "remote run"
    assert (about.payload["run_id"], about.payload["assistant_id"]) == (RUN, "finder")
    assert about.payload["url"].startswith(server.url)
    assert [(chunk.subtype, chunk.name, chunk.payload["data"]) for chunk in chunks] == [
        ("stream", name.partition("|")[0], data) for name, data in PARTS
    ]
    assert chunks[2].payload["ns"] == ["plan:1"]


def test_the_request_and_the_chunks_are_what_they_are_without_us(server: FakeLangGraph, remote: RemoteGraph) -> None:
    server.parts = PARTS
    without = list(remote.stream({"path": []}, {"configurable": {"thread_id": "t"}}, subgraphs=True))
    ftnb.start(ftnb.SQLiteStore())
    inside = list(remote.stream({"path": []}, {"configurable": {"thread_id": "t"}}, subgraphs=True))
    ftnb.stop()
    assert inside == without
    assert server.requests[0] == server.requests[1]


def test_as_a_node_it_is_the_node_s_step(server: FakeLangGraph, remote: RemoteGraph, seen: Seen) -> None:
    server.parts = PARTS
    graph_of("^>a", "a>finder", "finder>b", finder=remote).compile().invoke({"path": []})
    engagement = seen.one()
    assert tree(engagement) == ["a", "finder < a:static", "b < finder:static"]
    step = named(engagement, "finder")
    assert [event.name for event in step.events] == ["remote run", "values", "updates", "updates", "values"]
    assert seen.update(step) == FOUND


def test_called_inside_a_node_it_is_a_step_inside_the_node(
    server: FakeLangGraph, remote: RemoteGraph, seen: Seen
) -> None:
    server.parts = PARTS

    async def ask(state: Any) -> Any:
        return await remote.ainvoke({"path": ["asked"]})

    asyncio.run(graph_of("^>ask", ask=ask).compile().ainvoke({"path": []}))
    assert tree(seen.one()) == ["ask", "ask/finder"]


def test_in_a_block_it_is_a_step_among_others(server: FakeLangGraph, remote: RemoteGraph, seen: Seen) -> None:
    with ftnb.record("office") as run:
        with run.step("greet"):
            pass
        with run.step("look"):
            remote.invoke({"path": []})
        remote.invoke({"path": []})
    assert tree(seen.one()) == ["greet", "look < greet:static", "look/finder", "finder < look:static"]


def test_what_goes_wrong_there_fails_the_step(server: FakeLangGraph, remote: RemoteGraph, seen: Seen) -> None:
    server.parts = [("error", {"error": "ValueError", "message": "no flats"})]
    with pytest.raises(RemoteException, match="no flats"):
        remote.invoke({"path": []})
    engagement = seen.one()
    assert (engagement.status.value, tree(engagement)) == ("failed", ["finder failed"])
    assert engagement.steps[0].error_type == "RemoteException"
    assert [event.name for event in events(engagement.steps[0], "error")] == ["node_error"]


def test_a_stream_that_is_left_is_cancelled(server: FakeLangGraph, remote: RemoteGraph, seen: Seen) -> None:
    server.parts = PARTS
    chunks = remote.stream({"path": []}, stream_mode="values")
    next(chunks)
    chunks.close()
    assert tree(seen.one()) == ["finder cancelled"]


def test_a_question_pauses_and_its_answer_goes_on(server: FakeLangGraph, remote: RemoteGraph, seen: Seen) -> None:
    config = {"configurable": {"thread_id": "ada"}}
    server.parts = [("updates", {"__interrupt__": [{"value": "Book it?", "id": "i1"}]})]
    list(remote.stream({"path": []}, config))
    paused = seen.one()
    assert (paused.status.value, tree(paused)) == ("paused", ["finder waiting"])
    server.parts = [("values", FOUND)]
    remote.invoke(Command(resume="yes"), config)
    engagement = seen.one()
    assert (engagement.id, engagement.status.value, engagement.n_turns) == (paused.id, "completed", 2)
    assert tree(engagement) == ["finder waiting", "finder@1.2 < finder:resume"]
    assert seen.state(engagement.steps[1]) == {"resume": "yes"}


def test_as_a_node_its_question_is_the_graph_s(server: FakeLangGraph, remote: RemoteGraph, seen: Seen) -> None:
    server.parts = [("updates", {"__interrupt__": [{"value": "Book it?", "id": "i1"}]})]
    graph_of("^>finder", finder=remote).compile().invoke({"path": []})
    engagement = seen.one()
    assert (engagement.status.value, tree(engagement)) == ("paused", ["finder waiting"])


# --- as events ---

_TRANSPORT: Any = getattr(sys.modules.get("langgraph_sdk.stream.transport"), "SyncProtocolSseTransport", RemoteGraph)
ENDED = ("lifecycle", {"event": "completed"})
by_events = pytest.mark.skipif("stream_events" not in vars(RemoteGraph), reason="LangGraph 1.0 streams no such events")


async def _all(remote: RemoteGraph, look: str) -> Any:
    async with await remote.astream_events({"path": []}, version="v3") as run:
        return await run.output() if look == "output" else [event async for event in run]


@by_events
@pytest.mark.parametrize("way", ["events", "async events"])
def test_events_of_a_run_are_recorded_once_each(
    server: FakeLangGraph, remote: RemoteGraph, seen: Seen, way: str
) -> None:
    server.parts = [("lifecycle", {"event": "started"}), *PARTS, ENDED]
    if way == "events":
        with remote.stream_events({"path": []}, version="v3") as run:
            got = list(run)
    else:
        got = asyncio.run(_all(remote, "events"))
    assert [(event["method"], event["params"]["data"]) for event in got if event["method"] != "lifecycle"] == [
        (name.partition("|")[0], data) for name, data in PARTS
    ]
    engagement = seen.one()
    assert (engagement.name, engagement.status.value, tree(engagement)) == ("finder", "completed", ["finder"])
    (step,) = engagement.steps
    assert (seen.state(step), seen.update(step)) == ({"path": []}, FOUND)
    about, *chunks = step.events
    assert (about.payload["run_id"], about.payload["url"].startswith(server.url)) == (RUN, True)
    assert [(chunk.name, chunk.payload["data"]) for chunk in chunks] == [
        (name.partition("|")[0], data) for name, data in PARTS
    ]


@by_events
@pytest.mark.parametrize("is_async", [False, True])
def test_of_a_run_of_which_only_the_end_is_asked_for_the_end_is_recorded(
    server: FakeLangGraph, remote: RemoteGraph, seen: Seen, is_async: bool
) -> None:
    server.parts = [*PARTS, ENDED]
    if is_async:
        assert asyncio.run(_all(remote, "output")) == FOUND
    else:
        with remote.stream_events({"path": []}, version="v3") as run:
            assert run.output == FOUND
    engagement = seen.one()
    assert (engagement.status.value, tree(engagement)) == ("completed", ["finder"])
    assert seen.update(engagement.steps[0]) == FOUND


@by_events
def test_events_tell_that_a_run_failed_waits_or_was_left(
    server: FakeLangGraph, remote: RemoteGraph, seen: Seen
) -> None:
    with ftnb.record("office"):
        server.parts = [("lifecycle", {"event": "failed", "error": "no flats"})]
        with remote.stream_events({"path": []}, version="v3") as run:
            list(run)
        server.parts = PARTS[:1]
        with pytest.raises(ZeroDivisionError), remote.stream_events({"path": []}, version="v3") as run:
            raise ZeroDivisionError
        with remote.stream_events({"path": []}, version="v3") as run:
            run.abort()
    engagement = seen.one()
    assert [step.status.value for step in engagement.steps] == ["failed", "failed", "cancelled"]
    assert (engagement.steps[0].error or "").endswith("no flats")


@by_events
def test_a_question_among_events_pauses(server: FakeLangGraph, remote: RemoteGraph, seen: Seen) -> None:
    config: Any = {"configurable": {"thread_id": "ada"}}
    server.parts = [("input.requested", {"interrupt_id": "i1", "value": "Book it?"})]
    with remote.stream_events({"path": []}, config, version="v3") as run:
        list(run)
    assert (seen.one().status.value, tree(seen.one())) == ("paused", ["finder waiting"])
    server.parts = [("values", FOUND), ENDED]
    with remote.stream_events(Command(resume="yes"), config, version="v3") as run:
        assert run.output == FOUND
    assert (seen.one().status.value, seen.one().n_turns) == ("completed", 2)


def test_nothing_stays_behind(remote: RemoteGraph) -> None:
    before = dict(vars(RemoteGraph)), dict(vars(SyncRunsClient)), dict(vars(_TRANSPORT))
    ftnb.start(ftnb.SQLiteStore())
    assert dict(vars(RemoteGraph)) != before[0]
    ftnb.stop()
    assert (dict(vars(RemoteGraph)), dict(vars(SyncRunsClient)), dict(vars(_TRANSPORT))) == before
