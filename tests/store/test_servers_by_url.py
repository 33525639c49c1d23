"""Stores on servers, opened by URL: what `ftnb.open` and `ftnb.start` take."""

from __future__ import annotations

from urllib.parse import quote

import pytest

import ftnb
from ftnb.core.errors import StoreError
from ftnb.core.ids import new_id
from ftnb.recorder import Recorder
from ftnb.store._url import make_store, open_store


@pytest.fixture(params=["redis", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """URL of a place where nothing was recorded yet."""
    if request.param == "redis":
        return f"{request.getfixturevalue('redis_url')}#{new_id()}"
    folder = request.getfixturevalue("postgres_dsn").split()[0].partition("=")[2]
    return f"postgresql://postgres@/postgres?host={quote(folder)}#t_{new_id()[-12:]}"


def test_what_was_recorded_by_url_is_opened_by_url(url: str) -> None:
    store = make_store(url)
    recorder = Recorder(store)
    engagement_id = recorder.start_engagement("e", metadata={"user": "u"})
    recorder.end_step(recorder.start_step(engagement_id, "s"))
    recorder.close()
    tr = ftnb.open(url)
    assert tr.store.url == store.url
    assert tr.steps()["name"].to_list() == ["s"]
    assert [s.id for s in open_store(url).list_engagements({"user": "u"})] == [engagement_id]
    store.close()


def test_a_session_on_a_server(url: str) -> None:
    session = ftnb.start(url)
    try:
        assert ftnb.start(url) is session
        assert session.store.url.endswith(url.partition("#")[2])  # type: ignore[attr-defined]
        with ftnb.record("by hand"):
            pass
    finally:
        ftnb.stop()


def test_opening_creates_no_tables(postgres_dsn: str) -> None:
    folder = postgres_dsn.split()[0].partition("=")[2]
    url = f"postgresql://postgres@/postgres?host={quote(folder)}#never_there"
    for _ in range(2):
        with pytest.raises(StoreError, match="opening never creates them"):
            ftnb.open(url)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(StoreError, match=r"(?i)redis://localhost:1"):
        ftnb.open("redis://localhost:1")
    with pytest.raises(StoreError, match="PostgreSQL"):
        ftnb.open("postgresql://nobody@localhost:1/none")
