"""Where paused conversations wait: LangGraph's checkpointers, made fit for async runs.

A checkpointer holds what is needed to go on, by thread; the trace store holds what happened, by engagement. They are
separate things and may share a database: their tables have different names.

LangGraph's synchronous savers refuse async runs, and its async ones belong to the event loop in which they were made.
Those built here are its synchronous ones, called on threads of their own: they serve async and sync runs, of any loop
and thread, and can be made where no loop runs.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from os import PathLike
from typing import Any

from .core._optional import require
from .core.errors import InvalidArgumentError, StoreError

__all__ = ["build_checkpointer"]

_BACKENDS = ("memory", "sqlite", "postgres")
_SQLITE_PATH = "checkpoints.db"
_POSTGRES_CONNECTIONS = 2
_BUSY_S = 10.0
_CONNECT_S = 10.0


def build_checkpointer(
    backend: str = "memory",
    *,
    setup: bool = True,
    path: str | PathLike[str] | None = None,
    dsn: str | None = None,
) -> Any:
    """A LangGraph checkpointer: `memory` (this process only), `sqlite` (`path=`, default checkpoints.db) or `postgres`
    (`dsn=`). The last two let another process resume, and have a `close()`.

    `setup` creates their tables where they are missing; False leaves that to you. Raises ValueError for an unknown
    backend or a missing `dsn`, ImportError when the backend's package is not installed.
    """
    kind = (backend or "memory").lower()
    if kind not in _BACKENDS:
        raise InvalidArgumentError(f"no checkpointer {backend!r}; there are: {', '.join(_BACKENDS)}")
    if kind == "memory":
        return require("langgraph.checkpoint.memory", feature="build_checkpointer", extra="langgraph").InMemorySaver()
    feature = f"build_checkpointer({kind!r})"
    module = require(f"langgraph.checkpoint.{kind}", feature=feature, extra="checkpoint")
    if kind == "sqlite":
        return _enter_and_setup(_sqlite(module.SqliteSaver, str(path or _SQLITE_PATH)), setup=setup)
    if not dsn:
        raise InvalidArgumentError("build_checkpointer('postgres') needs dsn='postgresql://…'")
    return _enter_and_setup(_postgres(module.PostgresSaver, dsn, feature), setup=setup)


def _enter_and_setup(saver: Any, *, setup: bool) -> Any:
    """A saver, or what a context manager of one gives, with its tables."""
    entered = saver.__enter__() if hasattr(saver, "__enter__") else saver
    if setup and hasattr(entered, "setup"):
        entered.setup()
    return entered


def _sqlite(base: type, path: str) -> Any:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=_BUSY_S)
    saver = _threaded(base)(connection)
    saver._prepare(ThreadPoolExecutor(1, "ftnb-checkpoints"), connection.close)
    return saver


def _postgres(base: type, dsn: str, feature: str) -> Any:
    pools = require("psycopg_pool", feature=feature, extra="checkpoint")
    rows = require("psycopg.rows", feature=feature, extra="checkpoint")
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": rows.dict_row}
    pool = pools.ConnectionPool(dsn, kwargs=options, min_size=1, max_size=_POSTGRES_CONNECTIONS, open=True)
    try:
        pool.wait(timeout=_CONNECT_S)
    except pools.PoolTimeout as error:
        pool.close()
        raise StoreError(
            f"no connection to PostgreSQL within {_CONNECT_S:g} s; is the dsn right, does it run?"
        ) from error
    saver = _threaded(base)(pool)
    saver._prepare(ThreadPoolExecutor(_POSTGRES_CONNECTIONS, "ftnb-checkpoints"), pool.close)
    return saver


@cache
def _threaded(base: type) -> Any:
    """`base` with async methods that call its sync ones on threads of the saver's own."""
    return type(base.__name__, (_OnThreads, base), {"__doc__": base.__doc__})


class _OnThreads:
    """The async half of a saver."""

    _executor: ThreadPoolExecutor
    _release: Any

    def _prepare(self, executor: ThreadPoolExecutor, release: Any) -> None:
        self._executor, self._release = executor, release

    def close(self) -> None:
        """Close its connections; wait for what runs."""
        self._executor.shutdown()
        self._release()

    async def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        work = partial(getattr(self, name), *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def aget_tuple(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call("get_tuple", *args, **kwargs)

    async def alist(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        for item in await self._call("_listed", *args, **kwargs):
            yield item

    def _listed(self, *args: Any, **kwargs: Any) -> list[Any]:
        return list(self.list(*args, **kwargs))  # type: ignore[attr-defined]

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call("put", *args, **kwargs)

    async def aput_writes(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call("put_writes", *args, **kwargs)

    async def adelete_thread(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call("delete_thread", *args, **kwargs)

    async def aget_delta_channel_history(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call("get_delta_channel_history", *args, **kwargs)

    async def aprune(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call("prune", *args, **kwargs)
