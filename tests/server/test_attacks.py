"""What other sites, other programs and other names may do to the viewer's server: nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ftnb import InvalidArgumentError
from ftnb.server import create_app, serve
from ftnb.store.sqlite import SQLiteStore
from tests.server.conftest import record
from tests.server.serving import Served, serving

PATHS = ["/", "/api/engagements", "/api/engagements/x", "/api/openapi.json", "/static/runtime.js", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_told_without_the_token(served: Served, path: str) -> None:
    with served.client() as client:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Cookie": f"ftnb-{served.port}=wrong"},
            {"Authorization": served.token},
        ):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401
            assert "secret_plan" not in answer.text
        assert client.get(f"{path}?token={served.token}").status_code == 401


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "evil.example:{port}",
        "0.0.0.0",
        "[::1",
        "",
        "127.0.0.1@evil.example",
    ],
)
def test_a_rebound_name_is_refused(served: Served, host: str) -> None:
    with served.client() as client:
        name = host.format(port=served.port)
        answer = client.get("/api/engagements", headers={**served.bearer, "Host": name})
        assert answer.status_code in (400, 421)
        assert "secret_plan" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "LOCALHOST"])
def test_its_own_names_are_served(served: Served, host: str) -> None:
    with served.client() as client:
        name = host.format(port=served.port)
        assert client.get("/api/engagements", headers={**served.bearer, "Host": name}).status_code == 200


def test_two_hosts_are_none(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as raw:
        hosts = "Host: localhost\r\nHost: evil.example"
        text = f"GET /api/engagements HTTP/1.1\r\n{hosts}\r\nAuthorization: Bearer {served.token}\r\n\r\n"
        raw.sendall(text.encode())
        assert raw.recv(200).split(b" ")[1] in (b"400", b"421")


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1",
        "http://localhost:{other}",
        "file://",
        "http://127.0.0.1:{port}.evil.example",
        "",
    ],
)
def test_another_origin_is_refused(served: Served, origin: str) -> None:
    said = origin.format(port=served.port, other=served.port + 1)
    with served.client() as client:
        assert client.get("/api/engagements", headers={**served.bearer, "Origin": said}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_requests_that_another_site_makes_are_refused(served: Served, site: str) -> None:
    with served.client() as client:
        cookie = {"Cookie": served.log_in(client)}
        script = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
        framed = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert client.get("/static/runtime.js", headers=cookie | script).status_code == 403
        assert client.get("/", headers=cookie | framed).status_code == 403
        assert client.get("/", headers=cookie | link).status_code == 200


@pytest.fixture
def fresh(store: SQLiteStore) -> Iterator[Served]:
    """A server whose link was not used yet."""
    record(store, "secret_plan")
    with serving(store) as found:
        yield found


def test_the_link_works_once_and_its_cookie_is_strict(fresh: Served) -> None:
    served = fresh
    with served.client() as client:
        answer = client.get(served.link)
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        said = answer.headers["set-cookie"]
        assert said.startswith(f"ftnb-{served.port}=")
        assert "HttpOnly" in said
        assert "SameSite=Strict" in said
        assert served.token not in said
        assert client.get("/api/engagements").json()[0]["name"] == "secret_plan"
    with served.client() as client:
        again = client.get(served.link)
        assert again.status_code == 401
        assert "set-cookie" not in again.headers
        assert client.post("/login", data={"token": served.token}).status_code == 303
        assert client.get("/api/engagements").status_code == 200


def test_a_link_that_another_site_shows_leads_on_by_a_page(fresh: Served) -> None:
    served = fresh
    with served.client() as client:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        answer = client.get(served.link, headers=headers)
        assert answer.status_code == 200
        assert 'http-equiv="refresh"' in answer.text


def test_a_huge_form_is_no_token(served: Served) -> None:
    with served.client() as client:
        body = "x=" + "a" * 1_000_000 + f"&token={served.token}"
        assert client.post("/login", content=body).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/api/engagements", "/api/engagements/x", "/"])
def test_nothing_can_be_written(served: Served, method: str, path: str) -> None:
    with served.client() as client:
        assert client.request(method, path, headers=served.bearer).status_code == 405


@pytest.mark.parametrize("path", ["/", "/api/engagements", "/api/engagements/none", "/login?token=x", "/nothing"])
def test_every_answer_says_what_browsers_must_not_do(served: Served, path: str) -> None:
    with served.client() as client:
        for headers in (served.bearer, {}):
            said = client.get(path, headers=headers).headers
            policy = said["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self';")
            assert "frame-ancestors 'none'" in policy
            assert (said["x-content-type-options"], said["cache-control"]) == ("nosniff", "no-store")
            assert said["cross-origin-resource-policy"] == "same-origin"
            assert "access-control-allow-origin" not in said
            assert "server" not in said


def test_the_page_loads_nothing_from_elsewhere(served: Served) -> None:
    with served.client() as client:
        page = client.get("/", headers=served.bearer).text
    assert "http://" not in page
    assert "https://" not in page
    assert "secret_plan" not in page


# --- WebSockets ---


@pytest.mark.parametrize("path", ["/api/stream", "/api/live"])
def test_a_socket_asks_for_what_requests_do(served: Served, path: str) -> None:
    url = f"ws://127.0.0.1:{served.port}{path}"
    with served.client() as client:
        cookie = served.log_in(client)
    refused = [
        ({}, None, 401),
        ({"Cookie": cookie}, None, 403),  # a session must say its Origin
        ({"Cookie": cookie}, "http://evil.example", 403),
        ({"Cookie": cookie}, "null", 403),
        ({"Authorization": "Bearer wrong"}, None, 401),
        ({**served.bearer, "Host": "evil.example"}, None, 421),
    ]
    for headers, origin, status in refused:
        with pytest.raises(InvalidStatus) as told, connect(url, additional_headers=headers, origin=origin, proxy=None):  # type: ignore[arg-type]
            pass
        # A Host of one's own comes twice with this client, which is refused as well.
        assert told.value.response.status_code in (status, 400 if status == 421 else status)
    for headers, origin in (({"Cookie": cookie}, served.origin), (served.bearer, None)):
        with connect(url, additional_headers=headers, origin=origin, proxy=None):  # type: ignore[arg-type]
            pass


FRAMES = [
    "",
    "null",
    "[]",
    "{",
    '"text"',
    "1e999",
    '{"op":1}',
    '{"op":"watch","engagement":[]}',
    '{"op":"fetch"}',
    "[" * 20_000,
    '{"op":"detail","step":{}}',
    '{"op":"fetch","part":"event","step":"s","event":-1}',
    '{"op":"annotate","label":"x","value":1,"step":null,"seq":1}',
    '{"op":"search","text":"\\ud800"}',
]


def test_malformed_frames_do_not_end_a_socket(served: Served) -> None:
    url = f"ws://127.0.0.1:{served.port}/api/live"
    with connect(url, additional_headers=served.bearer, proxy=None) as live:
        for text in FRAMES:
            live.send(text)
        live.send(b"\x00\xff")
        live.send(json.dumps({"op": "watch", "engagement": "nobody"}))
        said = [json.loads(live.recv(timeout=5))]
        while said[-1]["op"] != "problem":
            said.append(json.loads(live.recv(timeout=5)))
    assert "no engagement 'nobody'" in said[-1]["error"]
    assert all(one["error"] for one in said)


def test_a_frame_that_is_too_long_ends_its_socket_only(served: Served) -> None:
    url = f"ws://127.0.0.1:{served.port}/api/live"
    with connect(url, additional_headers=served.bearer, proxy=None) as live:
        live.send("x" * 1_000_000)
        with pytest.raises(ConnectionClosed):
            live.recv(timeout=5)
    with served.client() as client:
        assert client.get("/api/engagements", headers=served.bearer).status_code == 200


# --- how it is started ---


def test_without_a_token_it_listens_on_this_machine_only(store: SQLiteStore) -> None:
    with pytest.raises(InvalidArgumentError, match="without a token"):
        serve(store, host="0.0.0.0", token=None)
    record(store)
    with serving(store, token=None) as served, served.client() as client:
        assert "asks for no token" in served.printed
        assert client.get("/api/engagements").status_code == 200
        assert client.get("/api/engagements", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/api/engagements", headers={"Origin": "http://evil.example"}).status_code == 403


def test_a_weak_token_is_refused(store: SQLiteStore) -> None:
    for token in ("", "short", "with space in the middle"):
        with pytest.raises(InvalidArgumentError, match="a token is at least"):
            create_app(store, token=token)


def test_each_start_has_a_token_of_its_own(store: SQLiteStore) -> None:
    with serving(store) as one, serving(store) as other:
        assert one.token != other.token
        assert len(one.token) >= 43
        with other.client() as client:
            assert client.get("/api/engagements", headers=one.bearer).status_code == 401
