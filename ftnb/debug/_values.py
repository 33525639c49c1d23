"""Recorded values without putting them together: their keys, whether two are equal, and where two lists part.

A state is JSON with references to blobs. Inside one engagement equal parts have equal references, so most of two
states need not be looked at. Between engagements blob ids differ (they are salted), so equality is of *prints*: hashes
over the content, each blob read once.

What differs between any two runs and says nothing is left out of prints: ids of messages and of tool calls, what a
provider says beside the answer (timings, usage), and the keys that the caller names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from itertools import repeat
from typing import Any

import orjson

from ..core.canonical import MARK, Json
from ..store.base import LogStore
from ..store.blobs import Resolver, heights

_MESSAGE = ("Message", "MessageChunk")
_MESSAGE_NOISE = frozenset(("id", "tool_call_id", "response_metadata", "usage_metadata"))
_NESTED = (dict, list)
_REFERENCE = b'"$ftnb":'
_ABSENT = object()


class Values:
    """The values of one engagement."""

    def __init__(
        self, fetch: Callable[[str], bytes | None], *, ignore: Iterable[str] = (), exact: bool = False
    ) -> None:
        """`fetch` gives a blob by its id; `ignore` names keys that prints leave out, wherever they are; `exact` leaves
        nothing out."""
        self._fetch = fetch
        self.resolve: Callable[[Json], Any] = Resolver(fetch)
        self._ignore = frozenset(ignore)
        self._exact = exact
        self._prints: defaultdict[int, dict[str, str]] = defaultdict(dict)
        self._opened: dict[str, Json] = {}

    @classmethod
    def of(cls, store: LogStore, engagement_id: str, *, whole: bool = False, **options: Any) -> Values:
        """The values of an engagement; `whole` reads all of its blobs at once."""
        if whole:
            return cls(store.blobs_of(engagement_id).get, **options)
        return cls(lambda blob_id: store.blob(engagement_id, blob_id), **options)

    def open(self, value: Json) -> Json:
        """`value` with the reference that it is, if it is one, replaced by what that stands for."""
        for _ in range(100):
            if not (isinstance(value, dict) and value.get(MARK) == "ref"):
                return value
            opened = self._blob(value["id"])
            if opened is None:
                return {MARK: "withheld", "id": value["id"]}
            value = opened
        return value

    def _blob(self, blob_id: str) -> Json:
        if blob_id not in self._opened:
            data = self._fetch(blob_id)
            try:
                self._opened[blob_id] = None if data is None else orjson.loads(data)
            except ValueError:
                self._opened[blob_id] = {MARK: "damaged", "id": blob_id}
        return self._opened[blob_id]

    def entries(self, value: Json) -> dict[str, Json] | None:
        """The entries of a recorded state by key, as they were recorded; None when it is no mapping.

        Of an object (a dataclass, a pydantic model) these are its fields.
        """
        opened = self.open(value)
        if not isinstance(opened, dict):
            return None
        kind = opened.get(MARK)
        if kind is None:
            return opened
        if kind == "object":
            return self.entries(opened.get("data"))
        if kind == "dict":
            return {str(key): item for key, item in opened["items"]}
        return None

    # --- equality ---

    def print(self, value: Json) -> bytes:
        """A hash over the content of `value`."""
        # What is recorded is canonical: equal values have their keys in one order.
        return blake2b(orjson.dumps(self._content(value)), digest_size=16).digest()

    def is_same(self, value: Json, others: Values, other: Json) -> bool:
        """Whether `value` has the print of `other`, which is one of `others`; quicker than two prints."""
        if type(value) is not type(other):
            return False
        if type(value) is list:
            if len(value) != len(other):
                return False
            return all(map(self.is_same, value, repeat(others), other))
        if type(value) is not dict:
            return _is_equal(value, other)
        kind = value.get(MARK)
        if kind != other.get(MARK):
            return False
        if kind is None and not self._ignore:
            if len(value) != len(other):
                return False
            for key, item in value.items():
                one = other.get(key, _ABSENT)
                if not (self.is_same(item, others, one) if type(item) in _NESTED else _is_equal(item, one)):
                    return False
            return True
        if kind == "ref":
            return self._printed(value["id"], -1) == others._printed(other["id"], -1)
        if kind == "list" and value["n"] == other["n"]:
            pairs = zip(value["chunks"], other["chunks"], heights(value["n"]), strict=True)
            if any(self._printed(one, height) != others._printed(two, height) for one, two, height in pairs):
                return False
            return self.is_same(value["tail"], others, other["tail"])
        return orjson.dumps(self._content(value)) == orjson.dumps(others._content(other))

    def _content(self, value: Json) -> Json:
        """`value` with each reference replaced by the print of what it stands for, and without noise."""
        if type(value) is list:
            return [self._content(item) if type(item) in _NESTED else item for item in value]
        if type(value) is not dict:
            return value
        kind = value.get(MARK)
        if kind is None:
            return {
                key: self._content(item) if type(item) in _NESTED else item
                for key, item in value.items()
                if key not in self._ignore
            }
        if kind == "ref":
            return self._printed(value["id"], -1)
        if kind == "list":
            chunks = zip(value["chunks"], heights(value["n"]), strict=True)
            return [
                value["n"],
                [self._printed(chunk, height) for chunk, height in chunks],
                self._content(value["tail"]),
            ]
        if kind == "media":
            return ["media", value.get("media"), self._printed(value["id"], -2)]
        if not self._exact and is_message(value):
            return self._message(value)
        return {key: self._content(item) for key, item in value.items() if key not in self._ignore}

    def _printed(self, blob_id: str, height: int) -> str:
        """The print of a blob; `height` says what is in it: a chunk of that height, a value (-1), or bytes (-2).

        One blob may be two kinds of thing: a chunk of ids may equal a user's own list of text.
        """
        prints = self._prints[height]
        found = prints.get(blob_id)
        if found is None:
            found = prints[blob_id] = self._print_of_blob(blob_id, height)
        return found

    def _print_of_blob(self, blob_id: str, height: int) -> str:
        data = self._fetch(blob_id)
        if data is None:
            return f"withheld:{blob_id}"
        if height == -2 or (height == -1 and not self._ignore and _REFERENCE not in data):
            return blake2b(data, digest_size=16).hexdigest()
        try:
            content = orjson.loads(data)
        except ValueError:
            return blake2b(data, digest_size=16).hexdigest()
        if height > 1:
            content = [self._printed(child, height - 1) for child in content]
        else:
            content = self._content(content)
        return blake2b(orjson.dumps(content), digest_size=16).hexdigest()

    def _message(self, value: Mapping[str, Json]) -> Json:
        data = self.open(value.get("data"))
        if not isinstance(data, dict):
            return [value.get("type"), self._content(data)]
        kept = {
            key: self._without_ids(item)
            for key, item in data.items()
            if key not in _MESSAGE_NOISE and key not in self._ignore
        }
        return [value.get("type"), kept]

    def _without_ids(self, value: Json) -> Json:
        opened = self.open(value)
        if isinstance(opened, list):
            return [self._without_ids(item) for item in opened]
        if isinstance(opened, dict) and MARK not in opened:
            return {key: self._without_ids(item) for key, item in opened.items() if key not in ("id", "index")}
        return self._content(opened)

    def noise(self, *, in_message: bool) -> frozenset[str]:
        """Keys that say nothing about a difference of two engagements."""
        return self._ignore | _MESSAGE_NOISE if in_message and not self._exact else self._ignore

    # --- lists ---

    def items(self, value: Json) -> list[Json] | None:
        """The items of a recorded list, as they were recorded; None when it is no list."""
        opened = self.open(value)
        if isinstance(opened, list):
            return opened
        if isinstance(opened, dict) and opened.get(MARK) == "list":
            return [item for node in _nodes(opened) for item in self._leaves(*node)]
        return None

    def length(self, value: Json) -> int | None:
        """How many items a recorded list has; None when it is no list."""
        opened = self.open(value)
        if isinstance(opened, dict) and opened.get(MARK) == "list":
            return int(opened["n"])
        return len(opened) if isinstance(opened, list) else None

    def rest(self, one: Json, other: Json) -> tuple[int, list[Json], list[Json]]:
        """How many first items two recorded lists of one engagement share by reference, and the items after these."""
        left, right = (_nodes(self.open(value)) for value in (one, other))
        left.reverse()
        right.reverse()
        n_same = 0
        while left and right:
            (height_a, a), (height_b, b) = left[-1], right[-1]
            if height_a == height_b and a == b:
                n_same += 4**height_a
                left.pop()
                right.pop()
            elif height_a == height_b == 0:
                break
            else:
                if height_a >= height_b:
                    left[-1:] = reversed(self._children(*left[-1]))
                if height_b >= height_a:
                    right[-1:] = reversed(self._children(*right[-1]))
        return (
            n_same,
            [item for node in reversed(left) for item in self._leaves(*node)],
            [item for node in reversed(right) for item in self._leaves(*node)],
        )

    def _children(self, height: int, node: Json) -> list[tuple[int, Json]]:
        found = self._blob(node)
        if not isinstance(found, list):
            return [(0, {MARK: "withheld", "id": node, "n": 4**height})]
        return [(height - 1, child) for child in found]

    def _leaves(self, height: int, node: Json) -> list[Json]:
        if height == 0:
            return [node]
        return [leaf for child in self._children(height, node) for leaf in self._leaves(*child)]


def _is_equal(one: Json, other: Json) -> bool:
    return type(one) is type(other) and bool(one == other or (one != one and other != other))  # NaN


def is_message(value: Json) -> bool:
    """Whether a recorded value is a chat message."""
    return isinstance(value, dict) and value.get(MARK) == "object" and str(value.get("type", "")).endswith(_MESSAGE)


def _nodes(opened: Json) -> list[tuple[int, Json]]:
    """A recorded list as (height, chunk id) and (0, item), in order."""
    if isinstance(opened, list):
        return [(0, item) for item in opened]
    chunks = list(zip(heights(opened["n"]), opened["chunks"], strict=True))
    return [*chunks, *((0, item) for item in opened["tail"])]


def plain_values(*, exact: bool = True, ignore: Iterable[str] = ()) -> Values:
    """For values that hold no references."""
    return Values(lambda _: None, exact=exact, ignore=ignore)
