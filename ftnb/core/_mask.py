"""Applying rules to values: a quick look at all of it, and a slow walk where something may have to be masked."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable
from re import Match
from typing import Any

from . import canonical
from ._key_text import KeyText
from ._lasting import Lasting
from ._secrets import Shape, key_matcher, words_of
from .canonical import MARK, MAX_DEPTH, Json

_TEXTS = frozenset(("@topology", "@extraction"))
"""Parts whose shape is fixed: names and messages stay text in them, as in all parts of a body without `@`."""
_PAIRS = frozenset(("writes", "entry"))
"""Parts that are lists of [name, value]."""
_PAIR_PARTS = _PAIRS | {f"@{name}" for name in _PAIRS}
_SHORTEST = 12
"""Characters of the shortest text that a default shape finds."""
_MAX_KNOWN = 10_000
_LONG = 256
"""Texts that are longer are looked at once: a conversation carries the same ones from step to step."""
_SMALL = 1_000
"""Characters of a few texts that are looked at again, rather than looked up."""
_INT64 = 1 << 63
_LEAVES = frozenset((bool, type(None), canonical.Made))
_OPEN = frozenset(("object", "cut", "set", "frozenset", "int", "float", "datetime", "date", "time", "decimal"))
"""Markers that hide no text, and no keys."""
_HUGE = 200_000
"""Characters past which a text is searched for all pieces at once, by polars, which takes 0.1 s to import."""
_ATOMS = frozenset(("int", "float", "datetime", "date", "time", "timedelta", "uuid", "decimal", "ref", "redacted"))


class Mask:
    """One set of rules, made quick. Any thread may use it: what it remembers is only ever added."""

    def __init__(
        self,
        shapes: Iterable[Shape],
        names: tuple[str, ...],
        fn: Callable[[Any, Any], Any] | None,
        counts: Counter[str],
        failed: Callable[[Exception, str], Json],
    ) -> None:
        self._shapes = tuple(shapes)
        self._key, self._fn, self._counts, self._failed = key_matcher(names), fn, counts, failed
        self._keys = KeyText(names, self._rule_of)
        gates: dict[str, list[str]] = {}
        for shape in self._shapes:
            if shape.gate:
                gates.setdefault(shape.gate, []).extend(shape.pieces)
        self._gates = tuple((gate, tuple(dict.fromkeys(pieces))) for gate, pieces in gates.items())
        self._pieces = [piece for _, pieces in self._gates for piece in pieces]
        self._ungated = tuple(shape.regex.search for shape in self._shapes if not shape.gate)
        self._shortest = 1 if self._ungated else _SHORTEST
        self._rules: dict[str, str | None] = {}
        """Keys that were seen: the name of the rule that masks what they hold, None for most."""
        self._harmless: set[str] = set()
        self._quiet: set[int] = set()
        """Hashes of long texts in which nothing was found."""

    def to_json(self, value: Any, part: str) -> Json:
        """`value` as canonical JSON, masked; itself where it is plain and there is nothing to mask."""
        try:
            if self._fn is None and part not in _PAIR_PARTS and self._is_flat_and_quiet(value):
                return value
        except RuntimeError:  # another thread changes it while we look; `canonical.to_json` copies first
            pass
        root = (part.removeprefix("@"),)
        is_quick = self._fn is None and not (root[0] in _PAIRS and self._names_secrets(value))
        if is_quick:
            try:
                if self._is_plain_and_quiet(value):
                    return value
            except RuntimeError:
                pass
        found = canonical.to_json(value)
        if is_quick and self._is_plain_and_quiet(found, markers=True):
            return found
        is_free = (part[0] == "@" and part not in _TEXTS) or part == "metadata"
        if is_free:
            return self._walk(found, root, True)
        if part == "@extraction" and isinstance(found, dict) and "values" in found:
            rest = {key: item for key, item in found.items() if key != "values"}
            return {**self._walk(rest, root, False), "values": self._walk(found["values"], root, True)}
        return self._walk(found, root, False)

    def _names_secrets(self, pairs: Any) -> bool:
        """Whether a name in a list of [name, value] is that of a secret."""
        named = [pair[0] for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2]
        return any(isinstance(name, str) and self._rule_of(name) is not None for name in named)

    # --- the quick look ---

    def _is_flat_and_quiet(self, value: Any) -> bool:
        """The commonest case of all, a dict of texts and small numbers, by half of the work."""
        if type(value) is not dict or not self._harmless.issuperset(value):
            return False
        texts: list[str] = []
        for item in value.values():
            kind = type(item)
            if kind is str:
                texts.append(item)
            elif kind is int:
                if not -_INT64 <= item < _INT64:
                    return False
            elif kind not in _LEAVES:
                return False
        return self._are_quiet(texts)

    def _is_plain_and_quiet(self, value: Any, *, markers: bool = False) -> bool:
        texts: list[str] = []
        lasting: list[Lasting] = []
        level: list[Any] = [value]
        harmless, shortest = self._harmless, self._shortest
        for _ in range(MAX_DEPTH):
            below: list[Any] = []
            for item in level:
                kind = type(item)
                if kind is str:
                    if len(item) >= shortest or not item.isascii():
                        texts.append(item)
                elif kind is dict:
                    if markers and MARK in item:
                        if item[MARK] not in _OPEN:
                            return False
                    elif not harmless.issuperset(item) and not self._are_harmless(item):
                        return False
                    below += item.values()
                elif kind is list:
                    below += item
                elif kind is int:
                    if not -_INT64 <= item < _INT64:
                        return False
                elif kind is float:
                    if item - item != 0.0:  # nan, inf
                        return False
                elif kind is Lasting:
                    if item.masked is None or item.masked[0] is not self:
                        lasting.append(item)
                        below.append(dict(item))
                    elif item.masked[1] is not item:
                        return False
                elif kind not in _LEAVES:
                    return False
            if not below:
                return self._are_quiet(texts) and self._know(lasting)
            if len(below) > canonical.MAX_QUICK_NODES:
                return False
            level = below
        return False

    def _know(self, quiet: list[Lasting]) -> bool:
        """They are plain JSON, and there is nothing to mask in them."""
        for item in quiet:
            item.is_json, item.masked = True, (self, item)
        return True

    def _are_quiet(self, texts: list[str]) -> bool:
        """Whether nothing in `texts` can be a secret, and JSON can hold them. All at once: each look costs."""
        known, new = self._quiet, texts
        is_small = sum(map(len, texts)) <= _SMALL
        if not is_small:
            new = [text for text in texts if len(text) <= _LONG or hash(text) not in known]
        joined = "\n".join(new)
        if not (joined.isascii() or canonical.is_clean(joined)) or self._may_match(joined):
            return False
        if is_small:
            return True
        if len(known) > _MAX_KNOWN:
            known.clear()
        known.update([hash(text) for text in new if len(text) > _LONG])
        return True

    def _are_harmless(self, keys: Iterable[Any]) -> bool:
        for key in keys:
            if type(key) is not str or key == MARK or not (key.isascii() or canonical.is_clean(key)):
                return False
            if self._rule_of(key) is not None or self._may_match(key):
                return False
            if len(key) <= 64:
                if len(self._harmless) > _MAX_KNOWN:
                    self._harmless.clear()
                self._harmless.add(key)
        return True

    def _may_match(self, text: str) -> bool:
        for gate, pieces in self._gates:
            if gate in text:
                if len(text) > _HUGE:
                    if _holds_any(text, self._pieces):
                        return True
                    break
                for piece in pieces:
                    if piece in text:
                        return True
        if (":" in text or "=" in text) and any(True for _ in self._keys.find(text)):
            return True
        return any(search(text) for search in self._ungated) if self._ungated else False

    def _rule_of(self, key: str) -> str | None:
        """The name of the rule that masks what is kept under `key`."""
        if key in self._rules:
            return self._rules[key]
        match = self._key.search(words_of(key)) if len(key) <= 200 else None
        rule = None if match is None else f"key {match[1]}"
        if len(self._rules) > _MAX_KNOWN:
            self._rules.clear()
        self._rules[key] = rule
        return rule

    # --- the walk ---

    def _walk(self, value: Json, path: tuple[Any, ...], whole: bool) -> Json:
        """`value` masked; itself where nothing was."""
        if self._fn is not None and (len(path) > 1 or not isinstance(value, (dict, list))):
            given, value = value, self._asked(value, path)
            if value is not given:
                return value if whole or isinstance(value, str) else "[redacted: fn]"
        kind = type(value)
        if kind is str:
            return self.text(value, whole)
        if kind is Lasting:
            return self._lasting(value, path, whole)
        if kind is dict:
            return self._marker(value, path, whole) if MARK in value else self._dict(value, path, whole)
        if kind is list:
            if len(path) == 2 and path[0] in _PAIRS and len(value) == 2 and isinstance(value[0], str):
                return [value[0], self._entry(value[0], value[1], path, whole)]
            masked = [self._walk(item, (*path, place), whole) for place, item in enumerate(value)]
            return masked if any(a is not b for a, b in zip(masked, value, strict=True)) else value
        return value

    def _lasting(self, value: Lasting, path: tuple[Any, ...], whole: bool) -> Json:
        """What an item of a list that is sent again and again is masked as: the same as last time."""
        if self._fn is not None or not whole:
            return self._dict(value, path, whole)
        if value.masked is None or value.masked[0] is not self:
            found = self._dict(value, path, whole)
            if found is not value:
                found = Lasting(found)
                found.is_json, found.masked = True, (self, found)
            value.masked = self, found
        return value.masked[1]

    def _dict(self, value: dict[str, Json], path: tuple[Any, ...], whole: bool) -> Json:
        masked: dict[str, Json] = {}
        changed = False
        for key, item in value.items():
            new_key = self._free(self.text(key, False), masked) if len(key) >= self._shortest else key
            new = self._entry(key, item, path, whole)
            changed = changed or new is not item or new_key is not key
            masked[new_key] = new
        return masked if changed else value

    def _free(self, key: str, taken: dict[str, Json]) -> str:
        """`key`, numbered where another masked key has its place."""
        free, n = key, 1
        while free in taken:
            n += 1
            free = f"{key} {n}"
        return free

    def _entry(self, key: Any, item: Json, path: tuple[Any, ...], whole: bool) -> Json:
        """What is kept under `key`."""
        rule = self._rule_of(key) if whole and isinstance(key, str) else None
        is_schema = path[-1] == "properties" and isinstance(item, dict) and not _SCHEMA.isdisjoint(item)
        if rule is not None and not is_schema and not _is_void(item):
            return self._masked(item, rule)
        return self._walk(item, (*path, key), whole)

    def _marker(self, value: dict[str, Json], path: tuple[Any, ...], whole: bool) -> Json:
        kind = value[MARK]
        if kind in _ATOMS:
            return value
        if kind == "dict" and isinstance(value.get("items"), list):
            pairs = [[self._walk(k, path, whole), self._entry(k, v, path, whole)] for k, v in value["items"]]
            return {**value, "items": pairs}
        if kind == "tuple" and len(value["items"]) == 2 and isinstance(value["items"][0], str):
            name, item = value["items"]  # a header, as HTTP libraries keep them
            masked = [self._walk(name, path, whole), self._entry(name, item, path, whole)]
            return value if masked[0] is name and masked[1] is item else {**value, "items": masked}
        if kind == "str":
            return self._walk_hidden(value, json.loads(f'"{value["ascii"]}"'), canonical.to_json, whole)
        if kind == "bytes":
            text = base64.b64decode(value["base64"]).decode("latin-1")
            return self._walk_hidden(value, text, lambda masked: {MARK: "redacted", "why": "secret in bytes"}, whole)
        kept = {key: item if key in (MARK, "type") else self._walk(item, path, whole) for key, item in value.items()}
        if kind == "object" and isinstance(value.get("data"), dict):
            kept["data"] = self._walk(value["data"], path, whole)
        return kept if any(kept[key] is not item for key, item in value.items()) else value

    def _walk_hidden(self, value: Json, text: str, replace: Callable[[Json], Json], whole: bool) -> Json:
        masked = self.text(text, whole)
        return value if masked is text else masked if isinstance(masked, dict) else replace(masked)

    def text(self, text: str, whole: bool = False) -> Json:
        """`text` masked. With `whole`, a text that is nothing but a secret becomes a marker."""
        if len(text) < self._shortest or not self._may_match(text):
            return text
        masked = self._by_key(text)
        for shape in self._shapes:
            if not shape.gate or any(piece in masked for piece in shape.pieces):
                masked = self._replaced(shape, masked)
                if whole and masked == f"[redacted: {shape.name}]" and masked != text:
                    return {MARK: "redacted", "why": shape.name}
        return text if masked == text else masked

    def _by_key(self, text: str) -> str:
        parts, done = [], 0
        for begin, end, rule in sorted(self._keys.find(text)):
            if begin >= done and not text.startswith("[redacted: ", begin):
                parts += [text[done:begin], f"[redacted: {rule}]"]
                done = end
                self._counts[rule] += 1
        return "".join(parts) + text[done:]

    def _replaced(self, shape: Shape, text: str) -> str:
        def put(match: Match[str]) -> str:
            if "secret" not in shape.regex.groupindex:
                begin, end = match.span()
            else:
                begin, end = match.span("secret")
            if begin < 0 or match.string[begin:end].startswith("[redacted: "):
                return match[0]
            self._counts[shape.name] += 1
            before, after = match.string[match.start() : begin], match.string[end : match.end()]
            return f"{before}[redacted: {shape.name}]{after}"

        return shape.regex.sub(put, text)

    def _masked(self, item: Json, rule: str) -> Json:
        if isinstance(item, dict) and item.get(MARK) == "redacted":
            return item
        self._counts[rule] += 1
        return {MARK: "redacted", "why": rule}

    def _asked(self, value: Json, path: tuple[Any, ...]) -> Json:
        """What `fn` says."""
        assert self._fn is not None
        try:
            said = self._fn(path, value)
        except Exception as error:
            return self._failed(error, "fn")
        if said is value:
            return value
        self._counts["fn"] += 1
        return canonical.to_json(said)


_SCHEMA = {"type", "$ref", "anyOf", "allOf", "oneOf", "enum"}
"""Entries of a JSON schema: under `properties`, a key names a field and holds no value of it."""


def _is_void(value: Json) -> bool:
    """Whether `value` is no secret, whatever it is kept under."""
    return value is None or isinstance(value, bool) or value in ("", [], {})


def _holds_any(text: str, pieces: list[str]) -> bool:
    import polars as pl

    return bool(pl.Series([text]).str.contains_any(pieces)[0])
