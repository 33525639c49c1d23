"""Which blobs the bodies of an engagement refer to, directly or through other blobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from ..core.canonical import MARK
from ..store.blobs import heights


def needed(bodies: Iterable[bytes], blobs: Mapping[str, bytes]) -> set[str]:
    """Ids of every blob that `bodies` need; `blobs` are those that are there, and are followed."""
    found: set[str] = set()
    todo: list[tuple[str, int]] = []
    seen: set[tuple[str, int]] = set()
    for body in bodies:
        if b'"$ftnb"' in body:
            todo += _refers(_read(body))
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        blob_id, height = one
        found.add(blob_id)
        data = blobs.get(blob_id)
        if data is None or height < 0:
            continue
        if height > 1:
            todo += [(part, height - 1) for part in _read(data) or () if isinstance(part, str)]
        elif b'"$ftnb"' in data:
            todo += _refers(_read(data))
    return found


def _read(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        return None


def _refers(value: Any) -> Iterator[tuple[str, int]]:
    """(blob, height) of every marker in `value`: height of a chunk of a list, 0 of JSON, -1 of other bytes."""
    if isinstance(value, dict):
        kind = value.get(MARK)
        if kind == "ref" and isinstance(value.get("id"), str):
            yield value["id"], 0
        elif kind == "media" and isinstance(value.get("id"), str):
            yield value["id"], -1
        elif kind == "list" and isinstance(value.get("n"), int) and isinstance(value.get("chunks"), list):
            yield from zip(map(str, value["chunks"]), heights(value["n"]), strict=False)
        for item in value.values():
            yield from _refers(item)
    elif isinstance(value, list):
        for item in value:
            yield from _refers(item)
