"""Many rows into the log of a SQLite store, quickly.

Three things cost most of an insert of 30 short columns, and none is SQLite's work:

- The standard library asks for adapters whenever it binds None or bytes, 0.3 µs each. A float or a bytearray it binds
  at once, and SQLite has no NaN: one that is bound is NULL (https://sqlite.org/floatingpoint.html, section 3).
- It lets go of the interpreter's lock for each statement that it runs, and may then wait for it, up to 5 ms while the
  agent computes. So rows go in by one statement for many.
- A statement for each row is reset, bound and stepped on its own.

A value that is bound costs its share too, so the columns of model calls and errors are left out of a statement whose
rows have nothing in them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from .leaf import COLUMNS, Row

_STORED = [column.name for column in COLUMNS[2:]]
_NULL = float("nan")
_SIZES = (32, 4, 1)
"""Rows of one statement, the most first: 960 values, and SQLite before 3.32 took 999."""
_OFTEN_EMPTY = slice(17, 26)
"""From `ttft_us` to `error_type`."""
_EMPTY = (None,) * 9


def _statement(n_rows: int, *, is_short: bool) -> str:
    names = [name for name in _STORED if not (is_short and name in _LEFT_OUT)]
    values = ", ".join([f"({', '.join('?' * (2 + len(names)))})"] * n_rows)
    return f"INSERT INTO log (eid, sid, {', '.join(names)}) VALUES {values} ON CONFLICT (sid, n) DO NOTHING"


_LEFT_OUT = frozenset([column.name for column in COLUMNS[_OFTEN_EMPTY]] + ["commitment"])
_STATEMENTS = {size: (_statement(size, is_short=False), _statement(size, is_short=True)) for size in _SIZES}


def insert(
    connection: sqlite3.Connection, rows: Sequence[Row], eids: Mapping[str, int], sids: Mapping[str, int]
) -> None:
    """Add `rows`, with local keys in place of the first two ids, except those whose place in their stream is taken."""
    cursor, done = connection.cursor(), 0
    for size in _SIZES:
        whole, short = _STATEMENTS[size]
        while len(rows) - done >= size:
            part = rows[done : done + size]
            if _is_short(part):
                cursor.execute(short, _short_values(part, eids, sids))
            else:
                cursor.execute(whole, _values(part, eids, sids))
            done += size


def _is_short(rows: Sequence[Row]) -> bool:
    """Whether the columns that are often empty are so in all of `rows`."""
    empty, place = _EMPTY, _OFTEN_EMPTY
    for row in rows:  # noqa: SIM110 - a generator costs more than the loop
        if row[place] != empty or row[-1] is not None:
            return False
    return True


def _short_values(rows: Sequence[Row], eids: Mapping[str, int], sids: Mapping[str, int]) -> list[Any]:
    """What to bind for `rows` without the columns that are empty."""
    no, values = _NULL, list[Any]()
    for row in rows:
        (
            engagement_id, stream_id, n, v, kind, at, turn, step, parent, event, name, ns, visit, attempt, event_kind,
            status, duration, _, _, _, _, _, _, _, _, _, n_bytes, salt, body, _,
        ) = row  # fmt: skip
        values += (
            eids[engagement_id], sids[stream_id], n, v, kind, at, turn,
            no if step is None else step, no if parent is None else parent, no if event is None else event,
            no if name is None else name, no if ns is None else ns,
            no if visit is None else visit, no if attempt is None else attempt,
            no if event_kind is None else event_kind, no if status is None else status,
            no if duration is None else duration, no if n_bytes is None else n_bytes,
            no if salt is None else bytearray(salt), no if body is None else bytearray(body),
        )  # fmt: skip
    return values


def _values(rows: Sequence[Row], eids: Mapping[str, int], sids: Mapping[str, int]) -> list[Any]:
    """What to bind for `rows`, one after the other."""
    no, values = _NULL, list[Any]()
    for row in rows:
        (
            engagement_id, stream_id, n, v, kind, at, turn, step, parent, event, name, ns, visit, attempt, event_kind,
            status, duration, ttft, model, prompt, completion, total, read, write, reasoning, error, n_bytes,
            salt, body, kept,
        ) = row  # fmt: skip
        values += (
            eids[engagement_id], sids[stream_id], n, v, kind, at, turn,
            no if step is None else step, no if parent is None else parent, no if event is None else event,
            no if name is None else name, no if ns is None else ns,
            no if visit is None else visit, no if attempt is None else attempt,
            no if event_kind is None else event_kind, no if status is None else status,
            no if duration is None else duration, no if ttft is None else ttft, no if model is None else model,
            no if prompt is None else prompt, no if completion is None else completion,
            no if total is None else total, no if read is None else read, no if write is None else write,
            no if reasoning is None else reasoning,
            no if error is None else error, no if n_bytes is None else n_bytes,
            no if salt is None else bytearray(salt), no if body is None else bytearray(body),
            no if kept is None else bytearray(kept),
        )  # fmt: skip
    return values


assert len(COLUMNS) == 30, "_values names the columns by position"
