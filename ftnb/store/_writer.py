"""From drafts to rows: the part of writing that every backend shares.

One `LogWriter` serves one writer (a recorder's thread, or a store's own `append`). It gives each draft its place in its
stream, encodes and interns it, hashes it into the stream's tree, and hands over a `Batch` for one transaction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..core import redact
from ..core.canonical import to_json
from . import _pace
from ._bodies import MAX_HEADER as MAX_HEADER
from ._bodies import Bodies, Label
from ._bodies import clean_id as clean_id
from ._bodies import label_key as label_key
from ._bodies import label_keys as label_keys
from ._bodies import label_value as label_value
from ._leaves import audited, leaf_hashes
from .blobs import Blob
from .draft import Draft, Stream
from .leaf import INDEX, Profile, Row
from .records import SCHEMA_VERSION

_MAX_CLEANED = 6_000
_SLICE_DRAFTS = 16
_SLICE = 64
"""Rows after which a writer may pause, in the two halves of its work."""


class Lookup(Protocol):
    """What a writer must ask of its store about engagements that it did not begin itself."""

    profile: Profile
    """How new rows are committed to."""

    def latest_turn(self, engagement_id: str) -> int:
        """The engagement's highest turn; 0 when it is unknown."""

    def blob_ids(self, engagement_id: str) -> dict[bytes, str]:
        """Dedup hash to blob id of the engagement's blobs."""


@dataclass(slots=True)
class StreamHead:
    """Where a stream's tree stands after a batch."""

    stream_id: str
    engagement_id: str
    turn: int
    size: int
    frontier: bytes


@dataclass(slots=True)
class Batch:
    """What one transaction writes: all of it or nothing."""

    rows: list[Row] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    """In the order of `rows`."""
    blobs: list[Blob] = field(default_factory=list)
    heads: list[StreamHead] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    """For the metadata index."""
    counts: tuple[int, int, int] | None = None
    """What the recorders of this process had accepted, written and dropped when it was handed over."""


def _header(text: str) -> str:
    return clean_id(text if len(text) <= MAX_HEADER else text[: MAX_HEADER - 1] + "…")


class _Cleaned(dict[str | None, str | None]):
    """What ids, or names, are as columns: the same ones come again and again."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        super().__init__({None: None})
        self._clean = clean

    def __missing__(self, text: str) -> str:
        if len(self) > _MAX_CLEANED:
            self.clear()
            self[None] = None
        self[text] = cleaned = self._clean(text)
        return cleaned


@dataclass(slots=True)
class _Part:
    """What a batch adds to one stream."""

    stream: Stream
    engagement_id: str
    next: int
    """The position of its next row."""
    places: list[int] = field(default_factory=list)
    """Where they are in the batch."""


class LogWriter:
    """Encodes the drafts of one writer. Not thread-safe; the caller holds the one writer's lock or thread."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._bodies = Bodies(lookup.blob_ids)
        self._ids, self._headers = _Cleaned(clean_id), _Cleaned(_header)
        self._names: set[str] = set()
        """Names that are columns as they are: short, clean, and nothing in them is to be masked by `_rules`."""
        self._rules: redact.Redaction | None = None

    def encode(self, drafts: Iterable[Draft]) -> Batch:
        """The batch that writes `drafts`, in their order. Where it raises, their streams are as they were."""
        batch = Batch(drafts=list(drafts))
        parts: dict[int, _Part] = {}
        if redact.active() is not self._rules:
            self._rules = redact.active()
            self._bodies.follow(self._rules)
            self._names.clear()
        try:
            self._add_rows(batch, parts)
        except BaseException:
            self.abandon(batch)
            raise
        leaves = self._leaves(batch.rows)
        for part in parts.values():
            stream, tree = part.stream, part.stream.tree
            tree.extend(leaves if len(parts) == 1 else [leaves[place] for place in part.places])
            turn = stream.turn or 1
            batch.heads.append(StreamHead(stream.stream_id, part.engagement_id, turn, tree.size, tree.to_bytes()))
        return batch

    def _leaves(self, rows: list[Row]) -> list[bytes]:
        """The leaf hash of each of `rows`; in profile `audit` they are given their salts."""
        leaves: list[bytes] = []
        for begin in range(0, len(rows), _SLICE):
            end = begin + _SLICE
            if self._lookup.profile == "hash":
                found = leaf_hashes(rows[begin:end])
            else:
                rows[begin:end], found = audited(rows[begin:end])
            leaves += found
            _pace.breathe()
        return leaves

    def _add_rows(self, batch: Batch, parts: dict[int, _Part]) -> None:
        ids, headers, names, rows = self._ids, self._headers, self._names, batch.rows
        body_of, blobs, labels = self._bodies.of, batch.blobs, batch.labels
        has_salts, salts = self._lookup.profile == "hash", os.urandom(16 * len(batch.drafts))
        stream = part = None
        for draft in batch.drafts:
            if draft.stream is not stream or part is None:
                stream = draft.stream
                part = parts.get(id(stream)) or self._part(stream, parts)
            name, whole = draft.name, None
            if name and name not in names:
                name, whole = self._name(name)
            body, n_bytes = body_of(draft, blobs, labels, whole)
            prompt, completion, total, read, write, reasoning = draft.tokens or _NO_TOKENS
            place = len(rows)
            if place % _SLICE_DRAFTS == 0:
                _pace.breathe()
            row = (
                part.engagement_id, stream.stream_id, part.next, SCHEMA_VERSION, draft.type,
                draft.at_us, stream.turn, ids[draft.step_id], ids[draft.parent_id], ids[draft.event_id], name,
                ids[draft.ns], draft.visit, draft.attempt, headers[draft.kind], draft.status,
                draft.duration_us, draft.ttft_us, headers[draft.model],
                prompt, completion, total, read, write, reasoning, headers[draft.error_type], n_bytes,
                salts[16 * place : 16 * place + 16] if has_salts and body is not None else None, body, None,
            )  # fmt: skip
            part.next += 1
            part.places.append(place)
            rows.append(row)

    def _part(self, stream: Stream, parts: dict[int, _Part]) -> _Part:
        if stream.turn is None:
            stream.turn = self._turn_of(stream)
        part = parts[id(stream)] = _Part(stream, clean_id(stream.engagement_id), stream.tree.size)
        return part

    def _name(self, name: str) -> tuple[str, Any]:
        """The column of a name, and the whole name as JSON where that says less."""
        masked = name if self._rules is None else self._rules.text(name)
        header = _header(masked)
        if header == name and len(self._names) <= _MAX_CLEANED:
            self._names.add(name)
        return header, None if header == masked else to_json(masked)

    def _turn_of(self, stream: Stream) -> int:
        before, stream.after = stream.after, None  # a long conversation must not keep every turn's stream alive
        latest = self._lookup.latest_turn(clean_id(stream.engagement_id))
        if before is not None:
            latest = max(latest, before.turn or 0)  # its turn may be in this very batch
        return latest + 1 if stream.new_turn else max(latest, 1)

    def forget(self, engagement_id: str) -> None:
        """Values of the engagement may be gone: what is written next must not take them for there."""
        self._bodies.forget(engagement_id)

    def abandon(self, batch: Batch) -> None:
        """The batch was not written and will not be: later values must not refer to its blobs."""
        self._bodies.take_back(batch.blobs)


_NO_TOKENS = (None,) * 6

assert len(INDEX) == 30, "LogWriter._add_rows writes the columns by position"
