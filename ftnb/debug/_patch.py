"""What changed from one value to another, as an RFC 6902 JSON patch and in words.

A patch is about the canonical JSON of a value (`core.canonical`): a message is an object
`{"$ftnb": "object", "type": "AIMessage", "data": {"content": …}}`, so its text is at `/messages/3/data/content`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from ..core.canonical import MARK, Json, from_json, to_json
from ..core.errors import InvalidArgumentError
from ._values import Values, is_message, plain_values

_MAX_MATCHED = 400
"""Items between the first and the last difference of two lists up to which they are matched with each other."""

Op = dict[str, Any]
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Change:
    """One operation of a patch, with what was there before."""

    op: str
    """add, remove or replace."""
    path: Path
    before: Any = None
    """Canonical JSON; None for add."""
    after: Any = None
    """Canonical JSON; None for remove."""

    def as_op(self) -> Op:
        """The RFC 6902 operation."""
        made: Op = {"op": self.op, "path": pointer(self.path)}
        if self.op != "remove":
            made["value"] = self.after
        return made


def pointer(path: Sequence[str | int]) -> str:
    """An RFC 6901 JSON pointer."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def changes(before: Json, after: Json, *, a: Values, b: Values | None = None) -> list[Change]:
    """What leads from `before` to `after`, recorded JSON of the engagements whose values `a` and `b` know.

    Without `b` both are of one engagement. An absent value is given as None: that of a key is told by its mapping.
    """
    walk = _Walk(a, b or a)
    walk.value(before, after, ())
    return walk.found


def patch(before: Any, after: Any) -> list[Op]:
    """The RFC 6902 patch that makes the canonical JSON of `after` out of that of `before`; any Python values."""
    found = changes(to_json(before), to_json(after), a=plain_values())
    return [change.as_op() for change in found]


class _Walk:
    """One comparison in progress."""

    def __init__(self, a: Values, b: Values) -> None:
        self.a, self.b = a, b
        self.found: list[Change] = []
        self._in_message = False

    def value(self, before: Json, after: Json, path: Path) -> None:
        if before == after and self.a is self.b:
            return
        left, right = self.a.open(before), self.b.open(after)
        if self.a is self.b and left == right:
            return
        if _is_list(left) and _is_list(right):
            self._lists(left, right, path)
        elif _is_mapping(left) and _is_mapping(right) and left.get("type") == right.get("type"):
            self._mappings(left, right, path)
        elif not self._same(left, right):
            self._add("replace", path, left, right)

    def _same(self, left: Json, right: Json) -> bool:
        return self.a.print(left) == self.b.print(right)

    def _mappings(self, left: Mapping[str, Json], right: Mapping[str, Json], path: Path) -> None:
        if self.a is not self.b and self._same(left, right):
            return
        if self.a is not self.b and is_message(left) and not self._in_message:
            self._in_message = True
            self.value(left["data"], right["data"], (*path, "data"))
            self._in_message = False
            return
        skipped = self.a.noise(in_message=self._in_message) if self.a is not self.b else frozenset()
        for key in left:
            if key not in right and key not in skipped:
                self._add("remove", (*path, key), left[key], None)
        for key, item in right.items():
            if key in skipped:
                continue
            if key not in left:
                self._add("add", (*path, key), None, item)
            else:
                self.value(left[key], item, (*path, key))

    def _lists(self, left: Json, right: Json, path: Path) -> None:
        if self.a is self.b:
            start, one, other = self.a.rest(left, right)
        else:
            start, one, other = 0, self.a.items(left) or [], self.b.items(right) or []
        if not one or not other:
            self._replaced(start, one, other, path)
            return
        prints_a, prints_b = [self.a.print(item) for item in one], [self.b.print(item) for item in other]
        head = 0
        while head < min(len(one), len(other)) and prints_a[head] == prints_b[head]:
            head += 1
        tail = 0
        while tail < min(len(one), len(other)) - head and prints_a[-1 - tail] == prints_b[-1 - tail]:
            tail += 1
        end_a, end_b = len(one) - tail, len(other) - tail
        blocks: list[tuple[int, int, int, int]] = [(head, end_a, head, end_b)]
        if max(end_a, end_b) - head <= _MAX_MATCHED and end_a - head != end_b - head:
            matcher = SequenceMatcher(None, prints_a[head:end_a], prints_b[head:end_b], autojunk=False)
            codes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
            blocks = [(head + i, head + j, head + k, head + m) for _, i, j, k, m in codes]
        shift = start
        for i, j, k, m in blocks:
            self._replaced(i + shift, one[i:j], other[k:m], path)
            shift += (m - k) - (j - i)

    def _replaced(self, at: int, one: Sequence[Json], other: Sequence[Json], path: Path) -> None:
        """`one`, which begins at index `at`, became `other`."""
        shared = min(len(one), len(other))
        for offset in range(shared):
            self.value(one[offset], other[offset], (*path, at + offset))
        for item in reversed(range(shared, len(one))):
            self._add("remove", (*path, at + item), one[item], None)
        for item in range(shared, len(other)):
            self._add("add", (*path, at + item), None, other[item])

    def _add(self, op: str, path: Path, before: Json, after: Json) -> None:
        whole_before = None if op == "add" else to_json(self.a.resolve(before))
        whole_after = None if op == "remove" else to_json(self.b.resolve(after))
        self.found.append(Change(op, path, whole_before, whole_after))


def _is_list(value: Json) -> bool:
    return isinstance(value, list) or (isinstance(value, dict) and value.get(MARK) == "list")


def _is_mapping(value: Json) -> bool:
    return isinstance(value, dict) and (MARK not in value or (value[MARK] == "object" and "data" in value))


def apply_patch(document: Json, ops: Sequence[Mapping[str, Any]]) -> Json:
    """`document` (canonical JSON) after the add, remove and replace operations `ops`.

    Raises InvalidArgumentError for an operation of another kind, or one whose place is not there.
    """
    for op in ops:
        document = _applied(document, _parts(op["path"]), op)
    return document


def _parts(text: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _applied(document: Json, parts: list[str], op: Mapping[str, Any]) -> Json:
    if not parts:
        return op.get("value")
    key, rest = parts[0], parts[1:]
    try:
        if isinstance(document, list):
            return _applied_to_list(document, key, rest, op)
        if rest:
            return {**document, key: _applied(document[key], rest, op)}
        if op["op"] == "remove":
            if key not in document:
                raise KeyError(key)
            return {name: item for name, item in document.items() if name != key}
        if op["op"] == "replace" and key not in document:
            raise KeyError(key)
        return {**document, key: op["value"]}
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise InvalidArgumentError(f"the patch does not fit: {op['op']} {op['path']!r} has no place there") from error


def _applied_to_list(document: list[Json], key: str, rest: list[str], op: Mapping[str, Any]) -> list[Json]:
    at = len(document) if key == "-" else int(key)
    if rest:
        return [*document[:at], _applied(document[at], rest, op), *document[at + 1 :]]
    if op["op"] == "add":
        if at > len(document):
            raise IndexError(at)
        return [*document[:at], op["value"], *document[at:]]
    document[at]  # IndexError where there is none
    return [*document[:at], *([op["value"]] if op["op"] == "replace" else []), *document[at + 1 :]]


def shown_path(path: Sequence[str | int]) -> str:
    """`messages[3].content`: a path as people write it; `(all)` for the whole value."""
    text = ""
    for part in path:
        if part == "data" and text:
            continue  # the fields of an object are its own
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(all)"


def python_value(value: Json) -> Any:
    """A value of a patch as Python shows it: a message as a message."""
    return from_json(value)
