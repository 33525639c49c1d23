"""From drafts to rows: the part of writing that every backend shares.

One `LogWriter` serves one writer (a recorder's thread, or a store's own `append`). It gives each draft its place in its
stream, encodes and interns it, hashes it into the stream's tree, and hands over a `Batch` for one transaction.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import orjson

from ..core import redact
from ..core.canonical import encode_json, to_json
from ._fields import key_of
from ._known import Known
from ._leaves import audited, leaf_hashes
from .blobs import PART_BYTES, Blob, Interner
from .draft import Draft, Stream
from .leaf import INDEX, Profile, Row
from .records import SCHEMA_VERSION

MAX_HEADER = 200
"""Characters of a name that go into a column; the whole name is in the body when it is longer."""
_MAX_INTERNERS = 64
_MAX_CLEANED = 6_000


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
    labels: list[tuple[str, str, str]] = field(default_factory=list)
    """(engagement id, metadata key, canonical JSON of the value), for the metadata index."""
    counts: tuple[int, int, int] | None = None
    """What the recorders of this process had accepted, written and dropped when it was handed over."""


def clean_id(text: str) -> str:
    """An id as it is stored: lone surrogates and NUL escaped, everything else as given."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _header(text: str) -> str:
    return clean_id(text if len(text) <= MAX_HEADER else text[: MAX_HEADER - 1] + "…")


def label_key(key: Any) -> str:
    """The text under which a metadata key is indexed; different keys have different texts."""
    if not isinstance(key, str):
        return f"\\x00{label_value(key)}"
    text = clean_id(key)
    if len(text) <= MAX_HEADER:
        return text
    return f"{text[: MAX_HEADER - 33]}…{blake2b(text.encode(), digest_size=16).hexdigest()}"


def label_keys(paths: Iterable[str] = ()) -> list[str]:
    """The index texts of the metadata keys among paths of fields."""
    keys = (key_of(path, "metadata") for path in paths)
    return [label_key(key) for key in keys if key is not None]


def label_value(value: Any) -> str:
    """The text under which a metadata value is indexed: values that are equal in Python give equal texts."""
    return encode_json(_comparable(to_json(value))).decode()


def _comparable(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer() and abs(value) < 2**53):
        return int(value)
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items()}
    return value


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
        self._interners: OrderedDict[str, Interner] = OrderedDict()
        self._known = Known()
        self._ids, self._headers = _Cleaned(clean_id), _Cleaned(_header)
        self._names: set[str] = set()
        """Names that are columns as they are: short, clean, and nothing in them is to be masked by `_rules`."""
        self._rules: redact.Redaction | None = None
        self._json: Callable[[Any, str], Any] = _unmasked

    def encode(self, drafts: Iterable[Draft]) -> Batch:
        """The batch that writes `drafts`, in their order. Where it raises, their streams are as they were."""
        batch = Batch(drafts=list(drafts))
        parts: dict[int, _Part] = {}
        if redact.active() is not self._rules:
            self._rules = redact.active()
            self._json = _unmasked if self._rules is None else self._rules.to_json
            self._names.clear()
            self._known.forget()
        try:
            self._add_rows(batch, parts)
        except BaseException:
            self.abandon(batch)
            raise
        if self._lookup.profile == "hash":
            leaves = leaf_hashes(batch.rows)
        else:
            batch.rows, leaves = audited(batch.rows)
        for part in parts.values():
            stream, tree = part.stream, part.stream.tree
            tree.extend(leaves if len(parts) == 1 else [leaves[place] for place in part.places])
            turn = stream.turn or 1
            batch.heads.append(StreamHead(stream.stream_id, part.engagement_id, turn, tree.size, tree.to_bytes()))
        return batch

    def _add_rows(self, batch: Batch, parts: dict[int, _Part]) -> None:
        ids, headers, names, rows = self._ids, self._headers, self._names, batch.rows
        has_salts, salts = self._lookup.profile == "hash", os.urandom(16 * len(batch.drafts))
        stream = part = None
        for draft in batch.drafts:
            if draft.stream is not stream or part is None:
                stream = draft.stream
                part = parts.get(id(stream)) or self._part(stream, parts)
            name, whole = draft.name, None
            if name and name not in names:
                name, whole = self._name(name)
            body, n_bytes = self._body(draft, batch, whole)
            place = len(rows)
            row = (
                part.engagement_id, stream.stream_id, part.next, SCHEMA_VERSION, draft.type,
                draft.at_us, stream.turn, ids[draft.step_id], ids[draft.parent_id], ids[draft.event_id], name,
                ids[draft.ns], draft.visit, draft.attempt, headers[draft.kind], draft.status,
                draft.duration_us, draft.ttft_us, headers[draft.model],
                *(draft.tokens or _NO_TOKENS), headers[draft.error_type], n_bytes,
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

    def _body(self, draft: Draft, batch: Batch, name: Any) -> tuple[bytes | None, int | None]:
        """The body as canonical JSON, large parts interned, and the payload's size before interning."""
        given = draft.body
        if not given and name is None:
            return None, None
        if len(given) == 1 and name is None and "@payload" in given:
            data, n_bytes = self._data(draft, "@payload", given["@payload"], batch)
            return self._checked(b'{"@payload":%b}' % data), n_bytes
        body: dict[str, Any] = {}
        size: int | None = None
        for key, value in given.items():
            if key[0:1] == "@":
                body[key], n_bytes = self._data(draft, key, value, batch)
                if key == "@payload":
                    size = n_bytes
            elif key in ("state", "update", "masked"):
                body[key] = value
            else:
                body[key] = self._label(draft, key, value, batch) if key in _INDEXED else self._json(value, key)
        if name is not None:
            body["name"] = name
        # What is encoded already is taken as it is.
        encoded = encode_json({k: orjson.Fragment(v) if k[0:1] == "@" else v for k, v in body.items()})
        return self._checked(encoded), size

    def _checked(self, body: bytes) -> bytes:
        return encode_json(_without_digests(orjson.loads(body))) if _COPIED in body else body

    def _data(self, draft: Draft, key: str, value: Any, batch: Batch) -> tuple[bytes, int]:
        """A value as canonical JSON, large parts interned, and its size before interning."""
        if key in _STATES and (self._rules is None or self._rules.fn is None):
            engagement_id = clean_id(draft.stream.engagement_id)
            known = self._known.put_in(engagement_id, value, lambda part: self._json(part, key))
            if known is not value:
                return encode_json(self._interned(draft, self._json(known, key), batch, whole=False)), 0
        encoded = self._json(value, key)
        data = encode_json(encoded)
        if len(data) <= PART_BYTES:
            return data, len(data)
        return encode_json(self._interned(draft, encoded, batch, whole=key == "@topology")), len(data)

    def _label(self, draft: Draft, key: str, value: Any, batch: Batch) -> Any:
        """Metadata, or where a thread's latest checkpoint is, as JSON, and put into the index."""
        engagement_id = clean_id(draft.stream.engagement_id)
        if key == "metadata" and self._rules is not None:
            value = self._rules.value(value, key)  # its labels are masked, too
        if key == "metadata" and isinstance(value, dict):
            batch.labels += [(engagement_id, label_key(k), label_value(v)) for k, v in value.items()]
        elif key == "head":
            # By this index a later run of the thread finds its engagement.
            lane, checkpoint_id = value
            for label, told in (("ftnb.thread", 1), ("ftnb.checkpoint", checkpoint_id)):
                batch.labels.append((engagement_id, label_key((label, lane)), label_value(told)))
        return self._json(value, key)

    def _interned(self, draft: Draft, value: Any, batch: Batch, *, whole: bool) -> Any:
        engagement_id = clean_id(draft.stream.engagement_id)
        interner = self._interners.get(engagement_id)
        if interner is None:
            # The first turn of an engagement cannot find blobs that somebody else wrote.
            known = self._lookup.blob_ids(engagement_id) if (draft.stream.turn or 1) > 1 else {}
            interner = self._interners[engagement_id] = Interner(engagement_id, known)
            while len(self._interners) > _MAX_INTERNERS:
                self._interners.popitem(last=False)
        small = interner.whole(value) if whole else interner.intern(value)
        batch.blobs += interner.take_fresh()
        return small

    def forget(self, engagement_id: str) -> None:
        """Values of the engagement may be gone: what is written next must not take them for there."""
        self._interners.pop(engagement_id, None)
        self._known.forget(engagement_id)

    def abandon(self, batch: Batch) -> None:
        """The batch was not written and will not be: later values must not refer to its blobs."""
        self._known.forget()
        for interner in self._interners.values():
            interner.forget([b for b in batch.blobs if b.engagement_id == interner.engagement_id])


_COPIED = b'{"$ftnb":"withheld","sha256":'


def _without_digests(value: Any) -> Any:
    """A copy of what was withheld elsewhere is no field that was closed here."""
    if isinstance(value, dict):
        if value.get("$ftnb") == "withheld":
            return {key: item for key, item in value.items() if key != "sha256"}
        return {key: _without_digests(item) for key, item in value.items()}
    return [_without_digests(item) for item in value] if isinstance(value, list) else value


def _unmasked(value: Any, part: str) -> Any:
    return to_json(value)


_NO_TOKENS = (None,) * 6
_INDEXED = frozenset(("metadata", "head"))
_STATES = frozenset(("@state", "@update"))

assert len(INDEX) == 30, "LogWriter._add_rows writes the columns by position"
