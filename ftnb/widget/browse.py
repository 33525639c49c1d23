"""Many engagements as pages: what is chosen, sorted and counted, of a frame of engagements. Pure.

Only a page travels to the browser, so a hundred thousand engagements weigh what fifty do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from .protocol import PROTOCOL_VERSION, BrowseQuery, BrowseRow, BrowserPayload, Facet, FacetValue, Picked, Spread

if TYPE_CHECKING:
    import polars as pl

PAGE = 50
SORTS = ("started_at", "name", "status", "duration_ms", "n_steps", "total_tokens", "n_errors", "dropped_at")
SPREADS = ("duration_ms", "n_steps", "total_tokens")
META = "meta:"
_FACETS = ("status", "name", "dropped_at")
_BINS = 24
_VALUES = 12
_MAX_VALUES = 1_000
"""A metadata key with more values than this tells engagements apart, and does not group them."""
_MAX_KEYS = 8
_MAX_TEXT = 200
_MAX_CELL = 60
_WORDS = frozenset((str, int, float, bool))


def first_query(**fields: Any) -> BrowseQuery:
    """The newest engagements, all of them, but for what is given."""
    query = BrowseQuery(text="", within="about", picked=[], sort="started_at", descending=True, page=0)
    return checked_query({**query, **fields})


def checked_query(asked: Mapping[str, Any]) -> BrowseQuery:
    """`asked` as a query, whatever a browser sent: what is not understood is as if nothing were asked."""
    picked = asked.get("picked")
    kept = [_picked(one) for one in picked[:50]] if isinstance(picked, list) else []
    sort, page = asked.get("sort"), asked.get("page")
    return BrowseQuery(
        text=str(asked.get("text") or "")[:_MAX_TEXT],
        within="values" if asked.get("within") == "values" else "about",
        picked=[one for one in kept if one is not None],
        sort=sort if isinstance(sort, str) and sort in SORTS else "started_at",
        descending=asked.get("descending") is not False,
        page=page if isinstance(page, int) and 0 <= page < 10_000_000 else 0,
    )


def _picked(value: Any) -> Picked | None:
    if not isinstance(value, dict) or not isinstance(value.get("field"), str):
        return None
    values = value.get("values")
    chosen = [one for one in values if isinstance(one, str)][:200] if isinstance(values, list) else []
    return Picked(field=value["field"], values=chosen) if chosen else None


class Catalogue:
    """A frame of engagements, ready to be asked. Columns as `Traces.engagements` has them."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    @cached_property
    def keys(self) -> list[str]:
        """Metadata keys that group engagements: those with few values come first."""
        counts = []
        for key in sorted(set().union(*self._metadata)):
            values = {value for one in self._metadata if type(value := one.get(key)) in _WORDS}
            if values and len(values) <= _MAX_VALUES:
                counts.append((len({_word(value) for value in values}), key))
        few = [key for n, key in sorted(counts) if n < self.frame.height or self.frame.height < 3]
        return [key for key in few if not key.startswith("$")][:_MAX_KEYS]

    @cached_property
    def _metadata(self) -> list[dict[str, Any]]:
        texts = self.frame["metadata"].to_list()
        try:
            found = orjson.loads(f"[{','.join(texts)}]")
        except (ValueError, TypeError):
            found = []
        # One broken text breaks the whole, and could stand for several.
        return (
            [one if isinstance(one, dict) else {} for one in found]
            if len(found) == len(texts)
            else [*map(_entries, texts)]
        )

    @cached_property
    def _columns(self) -> dict[str, pl.Series]:
        """Fields that can be chosen by, as categories; null: the engagement has none."""
        import polars as pl

        columns = {name: self.frame[name].cast(pl.String) for name in _FACETS}
        for key in self.keys:
            words = (_word(value) if type(value := one.get(key)) in _WORDS else None for one in self._metadata)
            columns[META + key] = pl.Series(list(words), dtype=pl.String)
        return {field: column.cast(pl.Categorical) for field, column in columns.items()}

    @cached_property
    def _text(self) -> pl.Series:
        import polars as pl

        names = ("engagement_id", "name", "metadata", "error", "dropped_at")
        parts = [pl.col(name).fill_null("") for name in names]
        return self.frame.select(pl.concat_str(parts, separator="\n").str.to_lowercase().alias("text"))["text"]

    def page(self, query: BrowseQuery, *, title: str, size: int = PAGE) -> BrowserPayload:
        """What the browser shows of `query`."""
        import polars as pl

        masks = [(one["field"], self._mask(one)) for one in query["picked"]]
        base = self._text.str.contains(query["text"].lower(), literal=True) if query["text"] else None
        chosen = self._all([base, *(mask for _, mask in masks)])
        rows = self.frame.filter(chosen)
        last = max((rows.height - 1) // size, 0)
        query = {**query, "page": min(query["page"], last)}
        by = pl.col(query["sort"])
        order = [by.is_null(), by, pl.col("started_at")]
        found = rows.sort(order, descending=[False, query["descending"], True], maintain_order=True)
        facets = [
            self._facet(field, column, self._all([base, *(mask for name, mask in masks if name != field)]), query)
            for field, column in self._columns.items()
        ]
        return BrowserPayload(
            v=PROTOCOL_VERSION,
            kind="browser",
            title=title,
            note="",
            searches=True,
            n=self.frame.height,
            n_found=rows.height,
            page_size=size,
            query=query,
            rows=[_row(row, self.keys) for row in found.slice(query["page"] * size, size).iter_rows(named=True)],
            hits=None,
            facets=[facet for facet in facets if _is_choice(facet)],
            spreads=[spread for field in SPREADS if (spread := _spread(field, rows[field])) is not None],
        )

    def _mask(self, picked: Picked) -> pl.Series:
        import polars as pl

        column = self._columns.get(picked["field"])
        if column is None:
            return pl.repeat(True, self.frame.height, dtype=pl.Boolean, eager=True)
        return column.cast(pl.String).is_in(picked["values"]).fill_null(False)

    def _all(self, masks: Iterable[pl.Series | None]) -> pl.Series:
        import polars as pl

        whole = pl.repeat(True, self.frame.height, dtype=pl.Boolean, eager=True)
        for mask in masks:
            whole = whole if mask is None else whole & mask
        return whole

    def _facet(self, field: str, column: pl.Series, mask: pl.Series, query: BrowseQuery) -> Facet:
        counts = column.filter(mask).drop_nulls().value_counts(sort=True).rows()
        chosen = next((one["values"] for one in query["picked"] if one["field"] == field), [])
        # A value that was chosen is listed, however rare, so that it can be let go.
        listed = [(str(value), n) for value, n in counts[:_VALUES]]
        listed += [(value, dict(counts).get(value, 0)) for value in chosen if value not in dict(listed)]
        return Facet(
            field=field,
            label=field.removeprefix(META).replace("dropped_at", "dropped at"),
            values=[FacetValue(value=value, n=n, picked=value in chosen) for value, n in listed],
            n_more=max(len(counts) - len(listed), 0),
        )


def _is_choice(facet: Facet) -> bool:
    """Whether there is anything to choose."""
    values = facet["values"]
    return len(values) > 1 or any(one["picked"] for one in values) or (facet["field"] == "dropped_at" and bool(values))


def _entries(text: str | None) -> dict[str, Any]:
    try:
        found = orjson.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _plain(text: str | None) -> dict[str, str]:
    """Entries of metadata that are one word each, as text."""
    return {key: _word(value) for key, value in _entries(text).items() if type(value) in _WORDS and key[:1] != "$"}


def _word(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _row(row: dict[str, Any], keys: Sequence[str]) -> BrowseRow:
    # What groups engagements says more than what tells each from all others.
    metadata = sorted(_plain(row["metadata"]).items(), key=lambda entry: (entry[0] not in keys, entry[0]))
    return BrowseRow(
        id=row["engagement_id"],
        name=row["name"],
        status=row["status"],
        started_at=row["started_at"].isoformat(),
        duration_ms=row["duration_ms"],
        n_turns=row["n_turns"],
        n_steps=row["n_steps"],
        n_errors=row["n_errors"],
        total_tokens=row["total_tokens"],
        dropped_at=row["dropped_at"],
        parent_id=row["parent_id"],
        error=None if row["error"] is None else row["error"][:_MAX_TEXT],
        metadata=[[key[:_MAX_CELL], value[:_MAX_CELL]] for key, value in metadata[:_VALUES]],
        audit=None,
    )


def _spread(field: str, values: pl.Series) -> Spread | None:
    """None where nothing is spread."""
    known = values.drop_nulls().cast(float)
    known = known.filter(known.is_finite() & (known >= 0))
    low, high = known.min(), known.max()
    if known.len() < 2 or not isinstance(low, float) or not isinstance(high, float) or low == high:
        return None
    scale: Callable[[float], float] = math.log1p
    width = (scale(high) - scale(low)) / _BINS
    at = ((known.log1p() - scale(low)) / width).floor().clip(0, _BINS - 1).cast(int)
    counts = [0] * _BINS
    for place, n in at.value_counts().rows():
        counts[place] = n
    return Spread(field=field, low=low, high=high, counts=counts)
