"""Checkpointers that async runs of any loop can use."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ftnb
from ftnb.checkpoint import build_checkpointer
from ftnb.recorder import Recorder
from ftnb.store.sqlite import SQLiteStore
from tests.orchestration.models import Scripted, asking
from tests.orchestration.test_turns import check_turns, run_turns
from tests.servers import postgres_server


def test_an_unknown_backend_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="no checkpointer 'redis'; there are: memory, sqlite, postgres"):
        build_checkpointer("redis")
    with pytest.raises(ftnb.InvalidArgumentError, match="needs dsn="):
        build_checkpointer("postgres")


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setitem(sys.modules, f"langgraph.checkpoint.{backend}", None)
    with pytest.raises(ImportError, match="checkpoint"):
        build_checkpointer(backend, dsn="postgresql://nowhere")


def config(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id}}


async def test_sqlite_serves_async_and_sync(tmp_path: Path) -> None:
    saver = build_checkpointer("sqlite", path=tmp_path / "c.db")
    wf = asking(checkpointer=saver)
    recorder = Recorder(SQLiteStore())
    await wf.start({"messages": []}, recorder, thread_id="t")
    listed = [one async for one in saver.alist(config("t"))]
    assert [one.checkpoint["id"] for one in listed] == [one.checkpoint["id"] for one in saver.list(config("t"))]
    assert len(listed) >= 2
    await saver.adelete_thread("t")
    assert saver.get_tuple(config("t")) is None
    saver.close()
    recorder.close()


def test_setup_can_be_left_to_others(tmp_path: Path) -> None:
    import sqlite3

    def tables(path: Path) -> set[str]:
        with sqlite3.connect(path) as connection:
            found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        connection.close()
        return found

    build_checkpointer("sqlite", path=tmp_path / "with.db").close()
    build_checkpointer("sqlite", path=tmp_path / "without.db", setup=False).close()
    assert "checkpoints" in tables(tmp_path / "with.db")
    assert tables(tmp_path / "without.db") == set()
    build_checkpointer("sqlite", path=tmp_path / "with.db").close()


async def test_many_conversations_share_one_file_with_their_trace(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "c.db")
    saver = build_checkpointer("sqlite", path=tmp_path / "c.db")
    recorder = Recorder(store)
    wf = asking(checkpointer=saver)

    async def talk(n: int) -> str:
        await wf.start({"messages": []}, recorder, thread_id=f"t{n}", llm=Scripted("x"))
        return (await wf.resume(f"t{n}", recorder, input=n, llm=Scripted("x"))).status

    assert await asyncio.gather(*(talk(n) for n in range(20))) == ["completed"] * 20
    saver.close()
    recorder.close()
    store.close()


# --- PostgreSQL, a real one ---


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with postgres_server() as server:
        yield server.dsn


def test_another_process_resumes_through_postgres(dsn: str, tmp_path: Path) -> None:
    check_turns(run_turns("postgres", {"dsn": dsn}, tmp_path / "traces.db"), tmp_path / "traces.db")


async def test_postgres_serves_many_conversations(dsn: str) -> None:
    saver = build_checkpointer("postgres", dsn=dsn)
    recorder = Recorder(SQLiteStore())
    wf = asking(checkpointer=saver)

    async def talk(n: int) -> str:
        await wf.start({"messages": []}, recorder, thread_id=f"p{n}", llm=Scripted("x"))
        return (await wf.resume(f"p{n}", recorder, input=n, llm=Scripted("x"))).status

    assert await asyncio.gather(*(talk(n) for n in range(20))) == ["completed"] * 20
    build_checkpointer("postgres", dsn=dsn, setup=False).close()
    saver.close()
    recorder.close()


def test_a_server_that_is_not_there_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg_pool")
    monkeypatch.setattr("ftnb.checkpoint._CONNECT_S", 0.5)
    with pytest.raises(ftnb.StoreError, match="no connection to PostgreSQL"):
        build_checkpointer("postgres", dsn="postgresql://ftnb@127.0.0.1:1/postgres")
