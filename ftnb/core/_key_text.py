"""Keys and their values inside a text: JSON or Python literals, query parameters, lines of an environment file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ._secrets import words_of

Span = tuple[int, int, str]
"""Where a secret begins and ends, and the name of the rule that knows its key."""

_MAX_KEY = 80
_AFTER_KEY = re.compile(r"[\"']\s*:\s*(\\*[\"'])")
_VALUES = {quote: re.compile(rf"(?s)(?:(?!{re.escape(quote)})\\?.)+") for quote in ('"', "'", '\\"', "\\'", '\\\\\\"')}
_BEFORE = re.compile(r"(?:[?&]|(?:^|\n)(?:export )?(?=[A-Z0-9_]+$))([\w-]+)$")
_PLAIN_VALUE = re.compile(r"[^\s&#\"']+")
_COMMON = frozenset(("key", "token", "id"))
"""Last words that say little alone: they count right before a quote."""


class KeyText:
    """Finds values by their keys in texts."""

    def __init__(self, names: Iterable[str], rule_of: Callable[[str], str | None]) -> None:
        """`rule_of` names the rule that masks what is kept under a key; None: none does."""
        self._rule_of = rule_of
        last = {words_of(name).rpartition("_")[2] for name in names}
        self.pieces = tuple(word for word in last if word not in _COMMON)
        self.pieces += tuple(word + end for word in last & _COMMON for end in "\"'\\")
        self._tails = tuple(t + "=" for word in last for t in (word, word.upper(), word.title()))

    def find(self, text: str) -> Iterator[Span]:
        """What is to be masked in `text`, in no order."""
        if ":" in text and ('":' in text or "':" in text or '" :' in text):
            low = text.lower()
            if any(piece in low for piece in self.pieces):
                yield from self._quoted(text)
        if "=" in text:
            yield from self._plain(text)

    def _quoted(self, text: str) -> Iterator[Span]:
        for found in _AFTER_KEY.finditer(text):
            end = found.start()
            begin = text.rfind(text[end], max(0, end - _MAX_KEY), end) + 1
            rule = self._rule_of(text[begin:end].rstrip("\\")) if begin else None
            if rule is not None:
                value = _VALUES.get(found[1], _VALUES['"']).match(text, found.end())
                if value is not None:
                    yield value.start(), value.end(), rule

    def _plain(self, text: str) -> Iterator[Span]:
        at = text.find("=")
        while at >= 0:
            if text.endswith(self._tails, max(0, at - _MAX_KEY), at + 1):
                key = _BEFORE.search(text[max(0, at - _MAX_KEY) : at])
                rule = None if key is None else self._rule_of(key[1])
                value = _PLAIN_VALUE.match(text, at + 1) if rule is not None else None
                if value is not None and rule is not None:
                    yield value.start(), value.end(), rule
            at = text.find("=", at + 1)
