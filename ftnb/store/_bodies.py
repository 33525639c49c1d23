"""The bodies of rows: canonical JSON, masked, with large parts by reference."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import orjson

from ..core import redact
from ..core.canonical import encode_json, to_json
from ._fields import key_of
from ._known import Known
from .blobs import PART_BYTES, Blob, Interner
from .draft import Draft

MAX_HEADER = 200
"""Characters of a name that go into a column; the whole name is in the body when it is longer."""
_MAX_INTERNERS = 64
Label = tuple[str, str, str]
"""Engagement id, metadata key, canonical JSON of the value."""


def clean_id(text: str) -> str:
    """An id as it is stored: lone surrogates and NUL escaped, everything else as given."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


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


class Bodies:
    """Makes the bodies of one writer, and knows which large parts its store has already. Not thread-safe."""

    def __init__(self, blob_ids: Callable[[str], dict[bytes, str]]) -> None:
        """`blob_ids` gives dedup hash to blob id of an engagement's blobs, as the store has them."""
        self._blob_ids = blob_ids
        self._interners: OrderedDict[str, Interner] = OrderedDict()
        self._known = Known()
        self._rules: redact.Redaction | None = None
        self._json: Callable[[Any, str], Any] = _unmasked

    def follow(self, rules: redact.Redaction | None) -> None:
        """Mask by these rules from now on."""
        self._rules = rules
        self._json = _unmasked if rules is None else rules.to_json
        self._known.forget()

    def of(self, draft: Draft, blobs: list[Blob], labels: list[Label], name: Any) -> tuple[bytes | None, int | None]:
        """The body, large parts interned, and the payload's size before interning; both None where there is nothing.

        What belongs into the store with it is added to `blobs` and `labels`. `name` is the draft's whole name, where
        its column says less, else None.
        """
        given = draft.body
        if not given and name is None:
            return None, None
        if len(given) == 1 and name is None and "@payload" in given:
            payload = self._json(given["@payload"], "@payload")
            data = encode_json(payload)
            n_bytes = len(data)
            if n_bytes > PART_BYTES:
                data = encode_json(self._interned(draft, payload, blobs, whole=False))
            encoded = b'{"@payload":%b}' % data
            return encoded if b"$" not in encoded else _checked(encoded), n_bytes
        body: dict[str, Any] = {}
        size: int | None = None
        for key, value in given.items():
            if key[0:1] == "@":
                data, n_bytes = self._data(draft, key, value, blobs)
                body[key] = orjson.Fragment(data)  # what is encoded already is taken as it is
                if key == "@payload":
                    size = n_bytes
            elif key in ("state", "update", "masked"):
                body[key] = value
            else:
                body[key] = self._label(draft, key, value, labels) if key in _INDEXED else self._json(value, key)
        if name is not None:
            body["name"] = name
        return _checked(encode_json(body)), size

    def _data(self, draft: Draft, key: str, value: Any, blobs: list[Blob]) -> tuple[bytes, int]:
        """A value as canonical JSON, large parts interned, and its size before interning."""
        if key in _STATES and (self._rules is None or self._rules.fn is None):
            engagement_id = clean_id(draft.stream.engagement_id)
            known = self._known.put_in(engagement_id, value, lambda part: self._json(part, key))
            if known is not value:
                return encode_json(self._interned(draft, self._json(known, key), blobs, whole=False)), 0
        encoded = self._json(value, key)
        data = encode_json(encoded)
        if len(data) <= PART_BYTES:
            return data, len(data)
        return encode_json(self._interned(draft, encoded, blobs, whole=key == "@topology")), len(data)

    def _label(self, draft: Draft, key: str, value: Any, labels: list[Label]) -> Any:
        """Metadata, or where a thread's latest checkpoint is, as JSON, and put into the index."""
        engagement_id = clean_id(draft.stream.engagement_id)
        if key == "metadata" and self._rules is not None:
            value = self._rules.value(value, key)  # its labels are masked, too
        if key == "metadata" and isinstance(value, dict):
            labels += [(engagement_id, label_key(k), label_value(v)) for k, v in value.items()]
        elif key == "head":
            # By this index a later run of the thread finds its engagement.
            lane, checkpoint_id = value
            for label, told in (("ftnb.thread", 1), ("ftnb.checkpoint", checkpoint_id)):
                labels.append((engagement_id, label_key((label, lane)), label_value(told)))
        return self._json(value, key)

    def _interned(self, draft: Draft, value: Any, blobs: list[Blob], *, whole: bool) -> Any:
        engagement_id = clean_id(draft.stream.engagement_id)
        interner = self._interners.get(engagement_id)
        if interner is None:
            # The first turn of an engagement cannot find blobs that somebody else wrote.
            known = self._blob_ids(engagement_id) if (draft.stream.turn or 1) > 1 else {}
            interner = self._interners[engagement_id] = Interner(engagement_id, known)
            while len(self._interners) > _MAX_INTERNERS:
                self._interners.popitem(last=False)
        small = interner.whole(value) if whole else interner.intern(value)
        blobs += interner.take_fresh()
        return small

    def forget(self, engagement_id: str) -> None:
        """Values of the engagement may be gone: what is written next must not take them for there."""
        self._interners.pop(engagement_id, None)
        self._known.forget(engagement_id)

    def take_back(self, blobs: list[Blob]) -> None:
        """These were not written and will not be: later values must not refer to them."""
        self._known.forget()
        for interner in self._interners.values():
            interner.forget([b for b in blobs if b.engagement_id == interner.engagement_id])


_COPIED = b'{"$ftnb":"withheld","sha256":'


def _checked(body: bytes) -> bytes:
    # The one character is found faster than the whole.
    if b"$" in body and _COPIED in body:
        return encode_json(_without_digests(orjson.loads(body)))
    return body


def _without_digests(value: Any) -> Any:
    """A copy of what was withheld elsewhere is no field that was closed here."""
    if isinstance(value, dict):
        if value.get("$ftnb") == "withheld":
            return {key: item for key, item in value.items() if key != "sha256"}
        return {key: _without_digests(item) for key, item in value.items()}
    return [_without_digests(item) for item in value] if isinstance(value, list) else value


def _unmasked(value: Any, part: str) -> Any:
    return to_json(value)


_INDEXED = frozenset(("metadata", "head"))
_STATES = frozenset(("@state", "@update"))
