"""The graphs that engagements declared: their versions, in the order in which they came, and what each allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from ..core.canonical import MARK
from ..core.errors import InvalidArgumentError
from ..core.model import EdgeDef, NodeDef, Topology
from ..store.base import LogStore
from ..store.blobs import Resolver
from ._source import Opened, opened

Edge = tuple[str | None, str | None]
_TYPES = ("engagement_started", "engagement_labelled")


@dataclass(frozen=True)
class Shape:
    """What a declared graph says of its top: nodes, and moves between them. None is the start, or the end."""

    nodes: tuple[str, ...]
    edges: Mapping[Edge, str]
    """Declared moves, with their kind."""
    entry: frozenset[str]
    finish: frozenset[str]
    """Empty: nothing is known of where it ends."""
    anywhere: frozenset[str]
    """Global nodes: every step may lead to them."""

    @classmethod
    def of(cls, topology: Topology) -> Shape:
        """The top of a topology; what is inside subgraphs is left out."""
        inner = {node.name for node in topology.nodes if node.parent is not None}
        nodes = [node for node in topology.nodes if node.parent is None]
        names = [node.name for node in nodes]
        edges: dict[Edge, str] = {(None, name): "start" for name in topology.entry if name not in inner}
        for edge in topology.edges:
            if edge.source not in inner and edge.target not in inner:
                edges.setdefault((edge.source, edge.target), edge.kind)
                names += [name for name in (edge.source, edge.target) if name not in names]
        edges |= {(name, None): "end" for name in topology.finish if name not in inner}
        return cls(
            tuple(dict.fromkeys(names)),
            edges,
            frozenset(topology.entry) - inner,
            frozenset(topology.finish) - inner,
            frozenset(node.name for node in nodes if node.is_global),
        )

    def allows(self, a: str | None, b: str | None, *, is_new_turn: bool = False, is_cut: bool = False) -> bool:
        """Whether the move is declared. `is_new_turn`: the graph was started again between the two; `is_cut`: it did
        not end there by itself, as it failed."""
        if (a, b) in self.edges:
            return True
        if b is None:
            return is_cut or not self.finish
        if a is None:
            return not self.entry or b in self.anywhere
        return b in self.anywhere or (is_new_turn and (b in self.entry or not self.entry))


@dataclass(frozen=True)
class Declared:
    """The versions of the graph, and which engagement declared which."""

    shapes: list[Shape]
    of: pl.Series
    """For each engagement the place of its version in `shapes`; null: it declared none."""
    topologies: list[Topology] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """All declared nodes, those inside subgraphs too."""
        inner = {node.name for topology in self.topologies for node in topology.nodes}
        return inner | {name.rpartition("/")[2] for name in inner} | {n for shape in self.shapes for n in shape.nodes}


def declared_of(source: Any, engagements: pl.DataFrame, topology: Any) -> Declared:
    """The versions that `engagements` declared; with `topology` they are all held against that one.

    Raises InvalidArgumentError when there is neither.
    """
    if topology is not None:
        one = topology_of(topology)
        of = pl.repeat(0, engagements.height, dtype=pl.Int64, eager=True).alias("version")
        return Declared([Shape.of(one)], of, [one])
    source = opened(source)
    store = source.store if isinstance(source, Opened) else source
    if not isinstance(store, LogStore):
        raise InvalidArgumentError(
            "frames do not hold the declared graph; say it: conformance(…, topology={'greet': ['search'], …}), or give "
            "a store"
        )
    texts = _texts(store)
    order = engagements.select("engagement_id", *(["started_at"] if "started_at" in engagements.columns else []))
    known = order.join(texts, on="engagement_id", how="left", maintain_order="left")
    seen = known.drop_nulls("topology")
    if "started_at" in seen.columns:
        seen = seen.sort("started_at", maintain_order=True)
    topologies: list[Topology] = []
    places: dict[str, int | None] = {}
    by_shape: dict[Any, int] = {}
    for text in seen["topology"].unique(maintain_order=True):
        one = Topology.model_validate(orjson.loads(text))
        if not one.nodes and not one.edges:
            places[text] = None
            continue
        shape = Shape.of(one)
        key = (frozenset(shape.nodes), frozenset(shape.edges), shape.anywhere)
        if key not in by_shape:
            by_shape[key] = len(topologies)
            topologies.append(one)
        places[text] = by_shape[key]
    versions = [None if text is None else places[text] for text in known["topology"]]
    return Declared([Shape.of(one) for one in topologies], pl.Series("version", versions, pl.Int64), topologies)


def _texts(store: LogStore) -> pl.DataFrame:
    """`engagement_id` and `topology`: the last that each declared, as JSON text."""
    table = pl.DataFrame(store.scan(["seq", "engagement_id", "turn", "stream_id", "n", "body"], types=_TYPES,
                                    containing=[b'"@topology":']))  # fmt: skip
    rows = table.sort("seq").with_columns(pl.col("body").cast(pl.String))
    # Keys are sorted, and nothing of a topology can hold an unescaped key that follows it.
    cut = pl.col("body").str.extract(r'^\{"@topology":(\{.*?\}),"(?:goals|metadata|name)":')
    rows = rows.with_columns(cut.alias("topology"))
    odd = rows["topology"].is_null() | rows["topology"].str.contains(f'"{MARK}"', literal=True)
    if odd.any():
        read: dict[bytes, str | None] = {}
        referring = rows.filter(odd).select("engagement_id", "body").iter_rows()
        parsed = [_parsed(store, engagement_id, body, read) for engagement_id, body in referring]
        places = odd.arg_true()
        texts = rows["topology"].to_list()
        for place, text in zip(places, parsed, strict=True):
            texts[place] = text
        rows = rows.with_columns(pl.Series("topology", texts, pl.String))
    rows = rows.drop_nulls("topology")
    return rows.unique("engagement_id", keep="last", maintain_order=True).select("engagement_id", "topology")


def _parsed(store: LogStore, engagement_id: str, body: str, read: dict[bytes, str | None]) -> str | None:
    """The topology in a body, as JSON text; `read` keeps what large ones came to, as most engagements have the same."""
    found = orjson.loads(body).get("@topology")
    if not isinstance(found, dict) or found.get(MARK) != "ref":
        return _resolved(store, engagement_id, found)
    data = store.blob(engagement_id, found["id"])
    if data is None or _MARKED in data:
        return _resolved(store, engagement_id, found)
    if data not in read:
        read[data] = _resolved(store, engagement_id, found)
    return read[data]


_MARKED = f'"{MARK}"'.encode()


def _resolved(store: LogStore, engagement_id: str, value: Any) -> str | None:
    whole = Resolver(lambda blob_id: store.blob(engagement_id, blob_id))(value)
    return orjson.dumps(whole).decode() if isinstance(whole, dict) and "nodes" in whole else None


def topology_of(given: Any) -> Topology:
    """A topology as somebody has it: one, a dict of successors, or pairs of names; None is the start, or the end.

    Raises InvalidArgumentError.
    """
    if isinstance(given, Topology):
        return given
    pairs: list[Any] = []
    if isinstance(given, Mapping):
        for a, targets in given.items():
            # A node may be declared with nothing behind it.
            pairs += [(a, b) for b in ([targets] if isinstance(targets, str) or targets is None else targets)]
        singles = [a for a in given if a is not None]
    elif isinstance(given, Iterable) and not isinstance(given, str):
        pairs, singles = list(given), []
    else:
        raise _no_topology(given)
    for pair in pairs:
        if not isinstance(pair, Iterable) or isinstance(pair, str) or len(tuple(pair)) != 2:
            raise _no_topology(pair)
        if not all(side is None or isinstance(side, str) for side in pair) or tuple(pair) == (None, None):
            raise _no_topology(pair)
    names = dict.fromkeys([*singles, *(side for pair in pairs for side in pair if side is not None)])
    if not names:
        raise InvalidArgumentError("the topology declares no node")
    return Topology(
        nodes=[NodeDef(name=name) for name in names],
        edges=[EdgeDef(source=a, target=b) for a, b in pairs if a is not None and b is not None],
        entry=[b for a, b in pairs if a is None],
        finish=[a for a, b in pairs if b is None],
    )


def _no_topology(given: Any) -> InvalidArgumentError:
    return InvalidArgumentError(
        "a topology is a recorded one (eng.topology), a dict of successors as {'greet': ['search'], None: ['greet']}, "
        f"or pairs of names, None for the start and the end; got {given!r}"
    )


def first_seen(engagements: pl.DataFrame, of: pl.Series, version: int) -> tuple[int, datetime | None, datetime | None]:
    """How many engagements declared a version, and when the first and the last of them began."""
    rows = engagements.filter(of == version)
    if "started_at" not in rows.columns or rows.is_empty():
        return rows.height, None, None
    begun = rows["started_at"]
    return rows.height, begun.min(), begun.max()  # type: ignore[return-value]
