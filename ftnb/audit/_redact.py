"""Redaction after the fact: content goes for good, its commitments stay, and the store's own log says who and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import orjson

from ..core.canonical import MARK
from ..core.errors import InvalidArgumentError, StoreError
from ..core.ids import new_id, now_us
from ..store import _masked
from ..store._fields import fields_of
from ..store._masked import Masks
from ..store.draft import Draft, Stream
from ..store.leaf import INDEX, NAMES, Row, is_audit
from ._holds import holds_of
from ._select import Item, Selection, select, with_children

REDACTED = "[redacted]"
"""What stands in the place of text that a pattern found."""
_TYPE, _STREAM, _N, _SALT, _BODY = (INDEX[name] for name in ("type", "stream_id", "n", "salt", "body"))
_HEADER = tuple(INDEX[name] for name in ("name", "ns", "model", "error_type", "step_id", "parent_id", "event_id"))
_CHUNK_ID = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True, slots=True)
class Redacted:
    """What a redaction took out."""

    n: int
    """Bodies, fields and values that are gone."""
    engagement_ids: tuple[str, ...]
    """Of those that something was in."""
    n_left: int = 0
    """Short names in clear columns that the pattern finds, too: these cannot be taken out, only purged."""

    def __repr__(self) -> str:
        left = f"; {self.n_left} names in clear columns are left" if self.n_left else ""
        return f"<redacted: {self.n} in {len(self.engagement_ids)} engagements{left}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


def redact(
    store: Any,
    engagement_ids: Iterable[str],
    *,
    fields: Sequence[Item] = (),
    pattern: str | re.Pattern[str] | None = None,
    all: bool = False,
    reason: str,
    by: str | None = None,
    override: str | None = None,
) -> Redacted:
    """Take content out of engagements; see `Trail.redact`."""
    what = [name for name, given in (("fields", fields), ("pattern", pattern is not None), ("all", all)) if given]
    if len(what) != 1:
        raise InvalidArgumentError("redact what? Give one of fields=[…], pattern=r'…' and all=True")
    if not reason:
        raise InvalidArgumentError("a redaction needs a reason: whoever finds it later must know why")
    if not hasattr(store, "redact") or getattr(store, "read_only", False):
        raise StoreError(f"{store!r} can only be read, so nothing is taken out of it; redact the store itself")
    found = _compiled(pattern)
    ids = tuple(engagement_ids)
    seen = store.log_head().size if getattr(store, "has_proofs", False) else 0
    held = holds_of(store.store_entries("hold", "release"))
    kept = [f"{one} ({'; '.join(held[one])})" for one in ids if one in held]
    if kept and not override:
        more = f" and {len(kept) - 1} more" if kept[1:] else ""
        raise InvalidArgumentError(
            f"a legal hold is on {kept[0]}{more}: release it, or say why it does not count: override='…'"
        )
    why = {"reason": reason, "by": by, "how": what[0]}
    plans = [_planned(store, one, fields, found, all) for one in ids]
    done, n = [], 0
    try:
        for one, (selection, masks, old) in zip(ids, plans, strict=True):
            why_here = {**why, "override": override} if one in held else why
            taken = _carried_out(store, one, selection, masks, old, why_here, None if override else seen)
            n += taken
            done += [one] if taken else []
    finally:
        if n and hasattr(store, "vacuum"):
            store.vacuum()  # what was erased is still in free pages and the write-ahead log until then
    left = 0 if found is None else sum(_in_header(store, one, found) for one in ids)
    return Redacted(n, tuple(done), left)


def _compiled(pattern: str | re.Pattern[str] | None) -> re.Pattern[str] | None:
    if pattern is None or isinstance(pattern, re.Pattern):
        return pattern
    try:
        found = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise InvalidArgumentError(f"pattern= is a regular expression; {pattern!r}: {error}") from error
    if found.search("") is not None:
        raise InvalidArgumentError(f"the pattern {pattern!r} finds nothing at all, too, so it would mask everything")
    return found


def _planned(
    store: Any, engagement_id: str, fields: Sequence[Item], found: re.Pattern[str] | None, all: bool
) -> tuple[Selection, Masks, list[tuple[str, int]]]:
    """What goes, the masked copies after it, and the places of those that there are before it."""
    table = store.scan(list(NAMES), engagement_id=engagement_id)
    raw = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    before = [(row[_STREAM], row[_N]) for row in raw if row[_TYPE] == _masked.TYPE and row[_BODY] is not None]
    masks = _masked.masks_in(enumerate(raw))
    rows: list[Row] = [row for _, row in masks.rows(enumerate(raw))]
    blobs: Mapping[str, bytes] = store.blobs_of(engagement_id)
    if found is not None:
        selection = _matching(rows, blobs, masks, found)
        return selection, masks, before
    if all:
        selection = Selection({(row[_STREAM], row[_N]) for row in rows if row[_BODY] is not None}, blobs=set(blobs))
    else:
        selection = with_children(select(fields, rows, blobs), rows, blobs)
    for place in selection.records:
        masks.records.pop(place, None)
    for place, paths in selection.fields.items():
        for path in paths:
            masks.records.get(place, {}).pop(path, None)
    for blob_id in selection.blobs:
        masks.blobs.pop(blob_id, None)
    masks.records = {place: paths for place, paths in masks.records.items() if paths}
    return selection, masks, before


def _matching(rows: Sequence[Row], blobs: Mapping[str, bytes], masks: Masks, found: re.Pattern[str]) -> Selection:
    """What holds text that the pattern finds; its masked copies are added to `masks`."""
    selection = Selection()
    for row in rows:
        if row[_BODY] is not None:
            _match_row(row, selection, masks, found)
    for blob_id, data in blobs.items():
        try:
            value = orjson.loads(data)
        except ValueError:
            if found.search(data.decode("utf-8", "replace")):  # an image, a file: there is no masked copy of these
                selection.blobs.add(blob_id)
            continue
        if _is_chunk_of_chunks(value, blobs):
            continue
        masked = mask(value, found)
        if masked != value:
            selection.blobs.add(blob_id)
            masks.blobs[blob_id] = masked
    return selection


def _match_row(row: Row, selection: Selection, masks: Masks, found: re.Pattern[str]) -> None:
    place = (row[_STREAM], row[_N])
    body = orjson.loads(row[_BODY])
    masked = mask(body, found)
    if masked == body:
        return
    if not is_audit(row[_SALT]):
        selection.records.add(place)
        masks.records[place] = {"": masked}
        return
    for path, value in fields_of(row[_BODY]):
        if found.search(path):  # a key of the metadata: it stands in the body as long as there is one
            selection.records.add(place)
            masks.records[place] = {"": masked}
            selection.fields.pop(place, None)
            return
        field = orjson.loads(value)
        if (after := mask(field, found)) != field:
            selection.fields.setdefault(place, set()).add(path)
            masks.records.setdefault(place, {})[path] = after


def _is_chunk_of_chunks(value: Any, blobs: Mapping[str, bytes]) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, str) and _CHUNK_ID.match(one) and one in blobs for one in value)
    )


def mask(value: Any, found: re.Pattern[str]) -> Any:
    """JSON with every text that the pattern finds replaced; references to values stay as they are."""
    if isinstance(value, str):
        return found.sub(REDACTED, value)
    if isinstance(value, list):
        return [mask(item, found) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(MARK)
    if kind in ("ref", "media", "bytes", "withheld"):
        return value
    if kind == "list":
        return {**value, "tail": mask(value.get("tail", []), found)}
    return {key if key == MARK else found.sub(REDACTED, key): _part(key, item, found) for key, item in value.items()}


def _part(key: str, item: Any, found: re.Pattern[str]) -> Any:
    return item if key == MARK else mask(item, found)


def _carried_out(
    store: Any,
    engagement_id: str,
    selection: Selection,
    masks: Masks,
    old: list[tuple[str, int]],
    why: dict[str, Any],
    seen: int | None,
) -> int:
    """The copies first: whoever reads in between sees the content as it was. How many pieces of content went.

    `seen` entries of the log are known not to hold it; None: no hold counts. Raises InvalidArgumentError for a new one.
    """
    if not selection:
        return 0
    if masks:
        # The copies that there are go with it: the new one holds what is left of them.
        body = {"masked": masks.said()}
        draft = Draft(Stream(new_id(), engagement_id), _masked.TYPE, now_us(), body=body)
        store.append_drafts([draft])
    selection.records |= set(old)
    was_held = False

    def held(size: int) -> bool:
        nonlocal was_held
        rows = store.entry_rows(wait=False, after=seen) if seen is not None and size > seen else ()
        was_held = any(kind == "hold" and engagement_id in orjson.loads(body)["engagements"] for *_, kind, body in rows)
        return was_held

    n = int(store.redact(engagement_id, selection.tuples(), sorted(selection.blobs), unless=held, **why))
    if was_held:
        raise InvalidArgumentError(
            f"a legal hold was put on {engagement_id} meanwhile, so nothing was taken out of it: release it, or say "
            "why it does not count: override='…'"
        )
    return n - len(old)


def _in_header(store: Any, engagement_id: str, found: re.Pattern[str]) -> int:
    table = store.scan([NAMES[place] for place in _HEADER], engagement_id=engagement_id)
    return sum(
        value is not None and found.search(value) is not None
        for column in table.columns
        for value in column.to_pylist()
    )
