from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from fastapi.testclient import TestClient
from websockets.sync.client import connect

from ftnb.core.model import EngagementStatus
from ftnb.recorder import Recorder
from ftnb.server import create_app
from ftnb.server._viewer import MAX_WAITING, Viewer
from ftnb.store.sqlite import SQLiteStore
from tests.server.conftest import record
from tests.server.serving import serving


@pytest.fixture
def client(store: SQLiteStore) -> TestClient:
    for number in range(25):
        record(store, f"run {number % 3}", user=f"u-{number % 5}", number=number, end=number % 2 == 0)
    return TestClient(create_app(store))


def numbers(answer: object) -> list[int]:
    return [one["metadata"]["number"] for one in answer.json()]  # type: ignore[attr-defined]


def test_the_list_is_an_array_the_oldest_first(client: TestClient) -> None:
    answer = client.get("/api/engagements")
    assert numbers(answer) == list(range(25))
    assert "link" not in answer.headers


def test_pages_follow_each_other_without_gap_or_repeat(client: TestClient) -> None:
    for order, every in (("", range(25)), ("&newest=true", range(24, -1, -1))):
        found, path = [], f"/api/engagements?limit=7{order}"
        while path:
            answer = client.get(path)
            found += numbers(answer)
            link = answer.headers.get("link")
            path = f"/api/{link[1 : link.index('>')]}" if link else ""
        assert found == list(every)
    assert numbers(client.get("/api/engagements?limit=3&offset=20")) == [20, 21, 22]


def test_filters_and_search(client: TestClient) -> None:
    assert numbers(client.get("/api/engagements?where.user=u-2")) == [2, 7, 12, 17, 22]
    assert numbers(client.get("/api/engagements?where.number=7")) == [7]
    assert numbers(client.get("/api/engagements?where.number=7&q=RUN")) == [7]
    assert numbers(client.get("/api/engagements?where.user=u-2&where.number=7")) == [7]
    assert numbers(client.get("/api/engagements?where.nobody=1")) == []
    assert numbers(client.get("/api/engagements?where.nobody=null&limit=1")) == [0]
    assert numbers(client.get("/api/engagements?status=active&name=run 0")) == [3, 9, 15, 21]
    assert len(numbers(client.get("/api/engagements?status=active&status=completed"))) == 25
    assert numbers(client.get("/api/engagements?q=U-4&newest=1")) == [24, 19, 14, 9, 4]
    assert numbers(client.get("/api/engagements?q=.*")) == []


def test_what_cannot_be_asked_is_told(client: TestClient) -> None:
    assert "known: abandoned, active" in client.get("/api/engagements?status=odd").json()["detail"]
    assert client.get("/api/engagements?after=nobody").status_code == 404
    assert client.get("/api/engagements?limit=0").status_code == 422
    assert client.get("/api/engagements?limit=1001").status_code == 422


def test_a_page_knows_what_was_recorded_since(client: TestClient, store: SQLiteStore) -> None:
    assert numbers(client.get("/api/engagements?q=u-9")) == []
    record(store, user="u-9", number=99)
    assert numbers(client.get("/api/engagements?q=u-9")) == [99]


def test_odd_values_and_ids_are_told(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement = recorder.start_engagement(
        "odd", metadata={"x": float("nan"), "b": b"\xff", "s": {1, 2}, "\ud800": "\udfff"}
    )
    recorder.close()
    client = TestClient(create_app(store))
    assert client.get("/api/engagements").json()[0]["id"] == engagement
    assert client.get(f"/api/engagements/{engagement}").json()["name"] == "odd"
    for odd in ("a/b", "a%2Fb", "%00", "..%2f..%2fetc", "'; DROP TABLE log; --", "\u2028"):
        assert client.get(f"/api/engagements/{odd}").status_code == 404


# --- live ---


def test_a_page_sees_a_run_as_it_goes_on(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("live")
    with serving(store) as served:
        url = f"ws://127.0.0.1:{served.port}/api/live"
        with connect(url, additional_headers=served.bearer, proxy=None) as page:
            page.send(json.dumps({"op": "list"}))
            page.send(json.dumps({"op": "watch", "engagement": engagement}))
            rows = json.loads(page.recv(timeout=5))
            assert (rows["op"], rows["rows"][0]["status"]) == ("rows", "active")
            payload = json.loads(page.recv(timeout=5))
            assert payload["payload"]["engagement"]["name"] == "live"
            step = recorder.start_step(engagement, "find", state={"words": "y" * 50_000})
            said = wait_for(page, "patch", lambda one: "find" in json.dumps(one["changes"]))
            assert said["engagement"] == engagement
            page.send(json.dumps({"op": "fetch", "part": "state", "step": step, "event": None, "seq": 7}))
            whole = wait_for(page, "value", lambda one: one["seq"] == 7)
            assert whole["preview"]["value"]["words"] == "y" * 50_000
            recorder.end_engagement(engagement, EngagementStatus.COMPLETED)
            wait_for(page, "rows", lambda one: one["rows"][0]["status"] == "completed")
            # The next turn of it, after its end.
            recorder.set_engagement_status(engagement, EngagementStatus.ACTIVE)
            recorder.start_step(engagement, "again")
            wait_for(page, "patch", lambda one: "again" in json.dumps(one["changes"]))
    recorder.close()


def test_a_page_is_told_why_a_step_ran_and_of_its_family(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("first")
    found = recorder.start_step(engagement, "find", state={"n": 1})
    recorder.end_step(found, update={"n": 2})
    recorder.end_engagement(engagement)
    branch = recorder.start_engagement("first", parent_id=engagement, metadata={"ftnb.branch": "replay"})
    recorder.end_engagement(branch)
    recorder.close()
    with (
        serving(store) as served,
        connect(f"ws://127.0.0.1:{served.port}/api/live", additional_headers=served.bearer, proxy=None) as page,
    ):
        page.send(json.dumps({"op": "watch", "engagement": engagement}))
        asked: list[dict[str, object]] = [
            {"op": "inspect", "step": found, "what": what} for what in ("why", "changes", "odd")
        ]
        answers = []
        for seq, one in enumerate([*asked, {"op": "family", "show": None}]):
            page.send(json.dumps({**one, "seq": seq}))
            answers.append(wait_for(page, "answer", lambda said, seq=seq: said["seq"] == seq))
        *insights, odd, family = answers
        assert [one["error"] for one in insights] == [None, None]
        assert "odd" in str(odd["error"])
        assert {one["id"] for one in family["value"]} >= {engagement, branch}  # type: ignore[attr-defined]


def wait_for(page: object, op: str, fits: object) -> dict[str, object]:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        said = json.loads(page.recv(timeout=10))  # type: ignore[attr-defined]
        if said["op"] == op and fits(said):  # type: ignore[operator]
            return dict(said)
    raise AssertionError(f"no such {op}")


def test_records_are_streamed_in_order(store: SQLiteStore) -> None:
    with TestClient(create_app(store)).websocket_connect("/api/stream") as stream:
        engagement = record(store)
        seen = [stream.receive_json() for _ in range(6)]
    assert [one["seq"] for one in seen] == sorted(one["seq"] for one in seen)
    assert {one["engagement_id"] for one in seen} == {engagement}


async def test_a_slow_viewer_loses_messages_and_not_the_recorder() -> None:
    viewer = Viewer()
    began = time.monotonic()
    thread = threading.Thread(target=lambda: [viewer.post("x" * 1_000) for _ in range(20_000)])
    thread.start()
    await asyncio.to_thread(thread.join)
    assert time.monotonic() - began < 5
    lost = await viewer.take()
    assert lost == viewer.n_dropped == 20_000
    for number in range(MAX_WAITING):
        viewer.post(str(number))
    assert [await viewer.take() for _ in range(MAX_WAITING)] == [str(number) for number in range(MAX_WAITING)]


def test_a_viewer_that_stops_reading_holds_up_nobody(store: SQLiteStore) -> None:
    recorder = Recorder(store)
    engagement = recorder.start_engagement("live")
    with serving(store) as served:
        url = f"ws://127.0.0.1:{served.port}/api/live"
        with (
            connect(url, additional_headers=served.bearer, proxy=None, max_queue=1, close_timeout=0.1) as stuck,
            connect(url, additional_headers=served.bearer, proxy=None) as page,
        ):
            for one in (stuck, page):
                one.send(json.dumps({"op": "watch", "engagement": engagement}))
            wait_for(page, "payload", lambda one: True)
            for number in range(60):
                step = recorder.start_step(engagement, f"step {number}", state={"words": str(number) * 3_000})
                recorder.end_step(step)
            recorder.flush()
            wait_for(page, "patch", lambda one: "step 59" in json.dumps(one["changes"]))
    recorder.close()
