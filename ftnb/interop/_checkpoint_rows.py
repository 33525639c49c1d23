"""Threads, checkpoints and tasks from the tables of LangGraph's savers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import orjson

from ..core._optional import require
from ..core.errors import StoreError
from . import _msgpack
from ._database import open_database, rows
from ._forms import BadItem, micros_of
from ._source import Source

_OWN = (
    "__start__",
    "__input__",
    "__interrupt__",
    "__resume__",
    "__error__",
    "__no_writes__",
    "__pregel_tasks",
    "__return__",
    "__previous__",
    "__scheduled__",
    "__end__",
)
_INNER = ("branch:to:", "__pregel", "start:", "join:")
_NULL_TASK = "00000000-0000-0000-0000-000000000000"


@dataclass(slots=True)
class Task:
    """What one node did in one superstep."""

    id: str
    node: str
    update: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    is_paused: bool = False
    is_resumed: bool = False


@dataclass(slots=True)
class Checkpoint:
    """The state before a superstep, and the tasks of it."""

    ns: str
    id: str
    parent: str | None
    at_us: int
    source: str
    metadata: dict[str, Any]
    values: dict[str, Any]
    seen: dict[str, Any]
    place: int = 0
    tasks: list[Task] = field(default_factory=list)


def threads(source: Source) -> Iterator[tuple[str, list[Checkpoint]]]:
    """Each thread with its checkpoints, in the order of time."""
    return _postgres(source) if source.dsn is not None else _sqlite(source)


def _sqlite(source: Source) -> Iterator[tuple[str, list[Checkpoint]]]:
    with closing(open_database(source)) as connection:
        columns = {row[1] for row in rows(connection, source, "PRAGMA table_info(writes)")}
        path = "task_path" if "task_path" in columns else "''"
        names = [row[0] for row in rows(connection, source, "SELECT DISTINCT thread_id FROM checkpoints ORDER BY 1")]
        for thread in names:
            query = (
                "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata FROM checkpoints"
                " WHERE thread_id = ? ORDER BY checkpoint_id"
            )
            found = [
                one
                for row in rows(connection, source, query, (thread,))
                if (one := source.guarded(None, row[:3], lambda row=row: _checkpoint(*row))) is not None  # type: ignore[misc]
            ]
            query = (
                f"SELECT checkpoint_ns, checkpoint_id, task_id, {path}, channel, type, value FROM writes"
                " WHERE thread_id = ? ORDER BY checkpoint_ns, checkpoint_id, task_id, idx"
            )
            _add_tasks(found, rows(connection, source, query, (thread,)), source)
            if found:
                yield str(thread), _linked(found)


def _postgres(source: Source) -> Iterator[tuple[str, list[Checkpoint]]]:
    psycopg = require("psycopg", feature="reading checkpoints from PostgreSQL", extra="checkpoint")
    try:
        with psycopg.connect(source.dsn, autocommit=False) as connection:
            connection.read_only = True
            for (thread,) in connection.execute("SELECT DISTINCT thread_id FROM checkpoints ORDER BY 1").fetchall():
                yield thread, _linked(_postgres_thread(connection, thread, source))
    except psycopg.Error as error:
        raise StoreError(f"{source.where}: {error}") from error


def _postgres_thread(connection: Any, thread: str, source: Source) -> list[Checkpoint]:
    blobs = {
        (ns, channel, version): (kind, data)
        for ns, channel, version, kind, data in connection.execute(
            "SELECT checkpoint_ns, channel, version, type, blob FROM checkpoint_blobs WHERE thread_id = %s", (thread,)
        )
    }
    found = []
    query = (
        "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata FROM checkpoints"
        " WHERE thread_id = %s ORDER BY checkpoint_id"
    )
    for ns, key, parent, held, metadata in connection.execute(query, (thread,)):
        values = dict(held.get("channel_values") or {})
        for channel, version in (held.get("channel_versions") or {}).items():
            kind, data = blobs.get((ns, channel, str(version)), ("empty", None))
            value = source.guarded(None, channel, lambda kind=kind, data=data: _msgpack.loads(kind, data))  # type: ignore[misc]
            if value is not None:
                values[channel] = value
        one = source.guarded(
            None,
            key,
            lambda: _made(ns, key, parent, {**held, "channel_values": values}, metadata),  # noqa: B023
        )
        if one is not None:
            found.append(one)
    query = (
        "SELECT checkpoint_ns, checkpoint_id, task_id, task_path, channel, type, blob FROM checkpoint_writes"
        " WHERE thread_id = %s ORDER BY checkpoint_ns, checkpoint_id, task_id, idx"
    )
    _add_tasks(found, connection.execute(query, (thread,)), source)
    return found


def _checkpoint(ns: Any, key: Any, parent: Any, kind: Any, held: Any, metadata: Any) -> Checkpoint:
    about = orjson.loads(metadata) if metadata else {}
    return _made(ns, key, parent, _msgpack.loads(kind, held), about)


def _made(ns: Any, key: Any, parent: Any, held: Any, about: Any) -> Checkpoint:
    if not isinstance(held, dict) or not isinstance(about, dict):
        raise BadItem("a checkpoint is no object")
    at = micros_of(held.get("ts"))
    if at is None:
        raise BadItem("a checkpoint has no time")
    values = held.get("channel_values")
    seen = held.get("versions_seen")
    return Checkpoint(
        str(ns or ""),
        str(key),
        None if parent in (None, "") else str(parent),
        at,
        str(about.get("source") or ""),
        about,
        {k: v for k, v in (values if isinstance(values, dict) else {}).items() if not _is_inner(k)},
        seen if isinstance(seen, dict) else {},
    )


def _is_inner(channel: Any) -> bool:
    return channel in _OWN or str(channel).startswith(_INNER)


def _add_tasks(found: list[Checkpoint], writes: Any, source: Source) -> None:
    by_key = {(one.ns, one.id): one for one in found}
    for (ns, key, task_id), many in groupby(writes, key=lambda row: (str(row[0] or ""), str(row[1]), str(row[2]))):
        checkpoint, kept = by_key.get((ns, key)), list(many)
        if checkpoint is None or task_id == _NULL_TASK:
            continue
        task = source.guarded(None, key, lambda: _task(task_id, kept, checkpoint))  # noqa: B023
        if task is not None and task.node not in ("__start__", "__input__", ""):
            checkpoint.tasks.append(task)


def _task(task_id: str, writes: list[Any], checkpoint: Checkpoint) -> Task:
    task = Task(task_id, _node(writes[0][3]))
    for _, _, _, _, channel, kind, data in writes:
        if channel == "__interrupt__":
            task.is_paused = True
        elif channel == "__resume__":
            task.is_resumed = True
        elif channel == "__error__":
            told = _msgpack.loads(kind, data) if kind in ("msgpack", "json", "null") else None
            task.error = str(told)[:2_000] if told else "failed"
        elif not _is_inner(channel):
            value = _msgpack.loads(kind, data)
            held = task.update.get(channel)
            if isinstance(held, list) and isinstance(value, list):
                value = held + value
            task.update[channel] = value
    return task


def _node(path: Any) -> str:
    """The node that a task's path names: `~__pregel_pull, node`; empty where it does not."""
    parts = [part.strip() for part in str(path or "").lstrip("~").split(",")]
    return parts[1] if len(parts) > 1 and parts[0] == "__pregel_pull" else ""


def _linked(found: list[Checkpoint]) -> list[Checkpoint]:
    """In the order of time, with the tasks that left no write or no name, by what the next checkpoint saw."""
    found.sort(key=lambda one: (one.at_us, one.id))
    by_key = {(one.ns, one.id): one for one in found}
    for place, one in enumerate(found):
        one.place = place
        before = by_key.get((one.ns, one.parent or ""))
        if before is None or one.source not in ("loop", ""):
            continue
        ran = [n for n, seen in one.seen.items() if seen != before.seen.get(n) and not str(n).startswith("__")]
        named = {task.node for task in before.tasks}
        missing = [node for node in ran if node not in named]
        unnamed = [task for task in before.tasks if not task.node]
        for task, node in zip(unnamed, missing, strict=False):
            task.node = str(node)
        for node in missing[len(unnamed) :]:
            before.tasks.append(Task(f"{before.id}:{node}", str(node)))
    for one in found:
        for task in one.tasks:
            task.node = task.node or "(sent)"
    return found
