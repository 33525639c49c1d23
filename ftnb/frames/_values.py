"""Values inside bodies, as JSON text: whole, exact, and with what was stored by reference put back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
import polars as pl

from ..core.canonical import dumps, encode_json
from ..store.blobs import Resolver
from ._log import Log

_REFERENCE = '"$ftnb":'


def part_of_bodies(log: Log, record_type: str, key: str) -> pl.DataFrame:
    """`seq` and `part`: the entry `key` of every body that has it, as JSON text.

    Bodies are canonical JSON with sorted keys, so an entry with nothing behind it is cut out as text: exact, and
    without a parse. Other bodies are parsed, and values that are references are resolved, one by one.
    """
    return part_of(log, log.bodies(record_type, having=[key]), key)


def part_of(log: Log, bodies: pl.DataFrame, key: str) -> pl.DataFrame:
    """The same of bodies that have been read."""
    # Nothing before the entry can hold an unescaped `"key":`: what sorts before it are lists of text and topologies.
    rest = pl.col("body").str.extract(f'"{re.escape(key)}":(.*)\\}}$')
    cut = bodies.with_columns(pl.when(~rest.str.contains(_LATER_KEYS)).then(rest).alias("part"))
    # Text with another entry behind it, of a name not listed here, is no JSON: it is parsed too.
    whole = pl.col("part").str.json_path_match("$").is_not_null()
    frame = cut.with_columns(pl.when(whole).then("part").alias("part"))
    parsed = frame.filter(pl.col("part").is_null()).with_columns(entry(pl.col("body"), key).alias("part"))
    parts = pl.concat([frame.filter(pl.col("part").is_not_null()), parsed]).select("seq", "part")
    return _resolved(log, parts.filter(pl.col("part").is_not_null()))


_LATER_KEYS = r',"(discarded|error|late_bound|name|subtype|thread_id)":'
"""Entries that may come later. The pattern also finds them inside the entry itself: then it is parsed for nothing."""


def entry(objects: pl.Expr, key: str) -> pl.Expr:
    """The entry `key` of JSON objects, as JSON text; null when absent. Exact, where `path` may change floats."""
    return objects.map_elements(lambda text: _entry(text, key), pl.String)


def _entry(text: str, key: str) -> str | None:
    try:
        body = orjson.loads(text)
    except ValueError:
        return None
    return encode_json(body[key]).decode() if isinstance(body, dict) and key in body else None


def _resolved(log: Log, parts: pl.DataFrame) -> pl.DataFrame:
    """`parts` with references put back; only parts that hold a marker are looked at."""
    marked = parts.filter(pl.col("part").str.contains(_REFERENCE, literal=True))
    if marked.is_empty():
        return parts
    seqs = pl.concat(table.select("seq", "number") for table in log.tables.values())
    owners = log.with_ids(marked.join(seqs, on="seq", how="left", maintain_order="left"))
    resolvers: dict[str, Resolver] = {}
    fetch = _fetcher(log, owners.height)
    texts = []
    for engagement_id, text in zip(owners["engagement_id"], owners["part"], strict=True):
        resolve = resolvers.get(engagement_id)
        if resolve is None:
            resolve = resolvers[engagement_id] = Resolver(fetch(engagement_id))
        texts.append(dumps(resolve(orjson.loads(text))).decode())
    whole = owners.select("seq", pl.Series("_whole", texts, pl.String))
    joined = parts.join(whole, on="seq", how="left", maintain_order="left")
    return joined.select("seq", pl.coalesce("_whole", "part").alias("part"))


def _fetcher(log: Log, n: int) -> Callable[[str], Callable[[str], bytes | None]]:
    """How blobs are read: one by one for a few values, all at once for many."""
    if n < 2_000 or log.engagement_id is not None:
        return lambda engagement_id: lambda blob_id: log.source.blob(engagement_id, blob_id)
    table: Any = log.source.scan_blobs()
    keys = zip(table["engagement_id"].to_pylist(), table["blob_id"].to_pylist(), strict=True)
    places = {key: place for place, key in enumerate(keys)}
    data = table["data"]

    def read(engagement_id: str, blob_id: str) -> bytes | None:
        place = places.get((engagement_id, blob_id))
        return None if place is None else data[place].as_py()

    return lambda engagement_id: lambda blob_id: read(engagement_id, blob_id)
