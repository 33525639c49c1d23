"""Several stores read as one, as the files of several people.

The log is made of streams, and a stream has one writer: a union of stores is a union of their streams. A stream that is
in several of them is taken once, from where it is longest; the shorter ones must be its beginning. One that differs
otherwise was altered somewhere, and nothing is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import InvalidArgumentError, StoreError, UnknownEngagementError
from ..core.model import Engagement
from ._masked import TYPE as MASKED
from ._masked import masks_in, masks_of, overlay
from ._read_only import ReadOnly
from ._tables import summarise
from ._writer import StreamHead, clean_id
from .base import EngagementSummary, LogStore, matches
from .blobs import Resolver
from .leaf import NAMES, Row, Tree, leaf_hash
from .reconstruct import fold
from .records import BaseRecord
from .rows import record_or_gap

if TYPE_CHECKING:
    import pyarrow as pa

_STREAM, _N = NAMES.index("stream_id"), NAMES.index("n")


class UnionStore(ReadOnly):
    """A read-only store over several; see `store.base` for what every store promises.

    Records are in the order of their times, and of each store's own order; positions (`seq`) are the union's own. What
    the stores record later is there with the next read.

    Raises StoreError where a stream is not the same in two of them, InvalidArgumentError where there is none.
    """

    has_proofs = False
    """Each of the stores proves what is in it, under a head of its own."""
    what_it_is = "several stores read as one"

    def __init__(self, stores: Sequence[LogStore], *, owned: Sequence[LogStore] = ()) -> None:
        """`owned` are closed with it."""
        self._stores = list({store.url: store for store in stores}.values())
        if not self._stores:
            raise InvalidArgumentError("no stores to open as one: give a list of paths or URLs")
        self._owned = list(owned)
        self.url = f"union:{' '.join(store.url for store in self._stores)}"
        self._seen: tuple[tuple[int, int], ...] = ()
        self._count = 0
        self._refresh()

    def __repr__(self) -> str:
        return f"UnionStore({', '.join(repr(store) for store in self._stores)})"

    # --- what belongs where ---

    def _refresh(self) -> _Order:
        """The order of all records, made anew where a store has changed."""
        seen = tuple(store.revision() for store in self._stores)
        if seen != self._seen:
            self._heads, losers = _streams(self._stores)
            self._order = _Order(self._stores, losers)
            self._seen, self._count = seen, self._count + 1
        return self._order

    def revision(self) -> tuple[int, int]:
        """(last seq, how often any of the stores was seen to have changed)."""
        return self._refresh().n, self._count

    # --- reading ---

    def get_engagement(self, engagement_id: str) -> Engagement:
        """The engagement's tree. Raises UnknownEngagementError."""
        records = self.read(engagement_id)
        if not records:
            newest = sorted(self._order.first, key=self._order.first.__getitem__, reverse=True)[:20]
            raise UnknownEngagementError.of(engagement_id, newest, repr(self))
        return fold(records)

    def read(self, engagement_id: str) -> list[BaseRecord]:
        """The engagement's records in order of seq; empty when there are none."""
        key = clean_id(engagement_id)
        rows = self._rows(key)
        masks = masks_in(rows)
        resolve = Resolver(lambda blob_id: self.blob(key, blob_id) or masks.data(blob_id))
        return [record_or_gap(row, seq, resolve) for seq, row in (masks.rows(rows) if masks else rows)]

    def _rows(self, engagement_id: str) -> list[tuple[int, Row]]:
        table = self.scan(["seq", *NAMES], engagement_id=engagement_id)
        columns = [column.to_pylist() for column in table.columns]
        return [(seq, tuple(row)) for seq, *row in zip(*columns, strict=True)]

    def list_engagements(
        self, where: Mapping[str, Any] | None = None, *, limit: int | None = None, newest: bool = False
    ) -> list[EngagementSummary]:
        """Summaries, oldest first (`newest=True`: newest first), of the engagements whose metadata equals `where`."""
        order = self._refresh()
        page = None if limit is None else max(limit, 0) + len(order.shared)
        found = [
            one
            for store in self._stores
            for one in store.list_engagements(where, limit=page, newest=newest)
            if one.id not in order.shared
        ]
        both = [summarise(key, self._rows(key)) for key in order.shared]
        found += [one for one in both if matches(one.metadata, where)]
        found.sort(key=lambda one: order.first.get(clean_id(one.id), 0), reverse=newest)
        return found if limit is None else found[: max(limit, 0)]

    def scan(
        self,
        columns: Sequence[str],
        *,
        types: Sequence[str] = (),
        engagement_id: str | None = None,
        after: int = 0,
        containing: Sequence[bytes] = (),
    ) -> pa.Table:
        """Columns of the log as Arrow, ordered by seq; see `LogStore.scan`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        order = self._refresh()
        wanted = list(dict.fromkeys([*columns, "seq"]))
        parts = []
        for place, store in enumerate(self._stores):
            losers = order.losers[place]
            needed = list(dict.fromkeys([*wanted, "stream_id"])) if losers else wanted
            part = store.scan(needed, types=types, engagement_id=engagement_id, containing=containing)
            if losers:
                mine = pc.invert(pc.is_in(part["stream_id"], value_set=pa.array(sorted(losers), pa.string())))
                part = part.filter(mine).select(wanted)
            parts.append(order.placed(place, part))
        table = pa.concat_tables(parts)
        if after:
            table = table.filter(pc.greater(table["seq"], pa.scalar(after)))
        return table.take(pc.sort_indices(table["seq"])).select(list(columns))

    def scan_blobs(self) -> pa.Table:
        """The blob table as Arrow, without `dedup`, ordered by engagement and id."""
        import polars as pl
        import pyarrow as pa

        tables = [store.scan_blobs() for store in self._stores]
        table = pa.concat_tables(tables)
        keys = pl.DataFrame(table.select(["engagement_id", "blob_id"])).with_row_index("at")
        first = keys.unique(["engagement_id", "blob_id"], keep="first").sort("engagement_id", "blob_id")["at"]
        return table.take(first.cast(pl.Int64).to_arrow())

    def scan_streams(self) -> pa.Table:
        """The stream table as Arrow: stream_id, engagement_id, turn, size, frontier."""
        from ._tables import STREAM_DTYPES, table_of

        self._refresh()
        heads = [head for _, head in sorted(self._heads.items())]
        return table_of(STREAM_DTYPES, [(h.stream_id, h.engagement_id, h.turn, h.size, h.frontier) for h in heads])

    def blob(self, engagement_id: str, blob_id: str) -> bytes | None:
        """The data of a blob; None when it is not there."""
        found = (store.blob(engagement_id, blob_id) for store in self._stores)
        return next((data for data in found if data is not None), None)

    def blobs_of(self, engagement_id: str) -> dict[str, bytes]:
        """Every blob of an engagement, by id."""
        blobs: dict[str, bytes] = {}
        for store in reversed(self._stores):
            blobs |= store.blobs_of(engagement_id)
        masked = self.scan(["body", "commitment"], types=(MASKED,), engagement_id=engagement_id)["body"].to_pylist()
        return overlay(blobs, masks_of(masked)) if masked else blobs

    def store_entries(self, *types: str) -> list[dict[str, Any]]:
        """The entries of the stores' own logs, by time; `store` says whose."""
        entries = [{**entry, "store": store.url} for store in self._stores for entry in store.store_entries(*types)]
        return sorted(entries, key=lambda entry: entry["at"])

    def close(self) -> None:
        """Close the stores that were opened for it."""
        for store in self._owned:
            store.close()


class _Order:
    """Where the records of each store are among all of them."""

    def __init__(self, stores: Sequence[LogStore], losers: Sequence[frozenset[str]]) -> None:
        import polars as pl

        self.losers = losers
        parts = []
        for place, store in enumerate(stores):
            rows = pl.DataFrame(store.scan(["seq", "at_us", "engagement_id", "stream_id"]))
            rows = rows.filter(~pl.col("stream_id").is_in(list(losers[place]))) if losers[place] else rows
            # Clocks go back, a store's order does not.
            parts.append(rows.select(pl.col("at_us").cum_max(), pl.lit(place).alias("place"), "seq", "engagement_id"))
        whole = pl.concat(parts).sort("at_us", "place", "seq").with_row_index("now", offset=1)
        self.n = whole.height
        by_store = whole.with_columns(pl.col("now").cast(pl.Int64)).partition_by("place", as_dict=True)
        self._maps = {key[0]: part.sort("seq").select("seq", "now") for key, part in by_store.items()}
        firsts = whole.group_by("engagement_id").agg(pl.col("now").min(), pl.col("place").n_unique().alias("in"))
        self.first: dict[str, int] = dict(firsts.select("engagement_id", "now").iter_rows())
        held: dict[str, int] = {}
        for store in stores:
            for key in set(store.scan_streams()["engagement_id"].to_pylist()):
                held[str(key)] = held.get(str(key), 0) + 1
        self.shared = frozenset(key for key, n in held.items() if n > 1)
        """Engagements that are in more than one of the stores."""

    def placed(self, place: int, table: pa.Table) -> pa.Table:
        """Rows of one store with the seq that they have here; those that came after it was made are left out."""
        import polars as pl

        known = self._maps.get(place)
        if known is None:
            return table.slice(0, 0)
        at = table.schema.get_field_index("seq")
        seqs = pl.DataFrame(table.select(["seq"])).join(known, on="seq", how="left", maintain_order="left")["now"]
        table = table.set_column(at, table.schema.field(at), seqs.to_arrow())
        return table if seqs.null_count() == 0 else table.filter(seqs.is_not_null().to_arrow())


def _streams(stores: Sequence[LogStore]) -> tuple[dict[str, StreamHead], list[frozenset[str]]]:
    """The head of each stream where it is longest, and for each store the streams that are taken from another one.

    Raises StoreError for a stream that is not the beginning of the longest of its name."""
    best: dict[str, tuple[int, StreamHead]] = {}
    losers: list[set[str]] = [set() for _ in stores]
    for place, store in enumerate(stores):
        for row in store.scan_streams().to_pylist():
            head = StreamHead(*(row[name] for name in ("stream_id", "engagement_id", "turn", "size", "frontier")))
            if head.stream_id not in best:
                best[head.stream_id] = (place, head)
                continue
            other_place, other = best[head.stream_id]
            longer, shorter = ((place, head), (other_place, other)) if head.size > other.size else (
                (other_place, other), (place, head)
            )  # fmt: skip
            _ensure_begins(stores, longer, shorter)
            best[head.stream_id] = longer
            losers[shorter[0]].add(head.stream_id)
    return {key: head for key, (_, head) in best.items()}, [frozenset(one) for one in losers]


def _ensure_begins(stores: Sequence[LogStore], longer: tuple[int, StreamHead], shorter: tuple[int, StreamHead]) -> None:
    (place, long), (other, short) = longer, shorter
    frontier, engagement_id = long.frontier, long.engagement_id
    if long.size != short.size:
        table = stores[place].scan(list(NAMES), engagement_id=engagement_id)
        rows: Any = zip(*(column.to_pylist() for column in table.columns), strict=True)
        tree = Tree()
        for row in sorted((row for row in rows if row[_STREAM] == long.stream_id), key=_position):
            if row[_N] < short.size:
                tree.append(leaf_hash(row))
        frontier = tree.to_bytes()
    if frontier != short.frontier or engagement_id != short.engagement_id:
        raise StoreError(
            f"engagement {engagement_id} has other records in {stores[place]!r} than in {stores[other]!r} (stream "
            f"{long.stream_id}): one of the two was altered. Verify both, and open the one that is right"
        )


def _position(row: Row) -> int:
    return int(row[_N])


def open_union(sources: Sequence[Any], open_one: Callable[[Any], LogStore]) -> LogStore:
    """The store over all of `sources`, paths and URLs or stores; what is opened for it is closed with it."""
    opened: list[LogStore] = []
    try:
        stores = []
        for source in sources:
            store = source if isinstance(source, LogStore) else open_one(source)
            stores.append(store)
            if store is not source:
                opened.append(store)
        union = UnionStore(stores, owned=opened)
    except BaseException:
        for store in opened:
            store.close()
        raise
    return union
