"""Rules in words: "pay only after consent", "at most 3 refine". A fixed form, read word by word; nothing is run."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from ..core.errors import InvalidArgumentError
from ._rules import WORDS, EndsWith, FollowedBy, NeverAfter, OnlyAfter, Rule, StartsWith, Times, Within
from ._windows import micros_of

FORMS = (
    "never A", "always A", "at most 3 A", "at least 2 A", "exactly 1 A", "starts with A", "ends with A",
    "A only after B", "A only right after B", "A never after B", "A never right after B", "A within 5m of B",
    "A followed by B", "A followed by B within 5m",
)  # fmt: skip
_TOKEN = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))""")
_MAX = 1_000


def rule(text: Any) -> Rule:
    """A rule from words; a rule object as it is.

    The forms are those of `FORMS`: `A` and `B` are names of steps, in quotes where they hold blanks or are words of
    the language; `A or B` means any of them. Raises InvalidArgumentError, saying where it stopped to understand.
    """
    if isinstance(text, Rule):
        return text
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgumentError(
            f"a rule is words, as 'pay only after consent', or an object, as OnlyAfter; got {text!r}"
        )
    if len(text) > _MAX:
        raise InvalidArgumentError(f"a rule has at most {_MAX} characters; this one has {len(text)}")
    return _Reading(text).rule()


class _Reading:
    """One rule being read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, bool]] = []
        at = 0
        rest = text.rstrip()
        while at < len(rest):
            found = _TOKEN.match(rest, at)
            if found is None:
                raise self.wrong(f"a quote is not closed at {rest[at:].strip()[:20]!r}")
            quoted = found.group(1) if found.group(1) is not None else found.group(2)
            self.tokens.append((found.group(3), False) if quoted is None else (quoted, True))
            at = found.end()
        self.at = 0

    def wrong(self, why: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"cannot read the rule {self.text!r}: {why}. Forms: {'; '.join(FORMS)}")

    def said(self, *words: str) -> bool:
        """Whether these words come next; if so they are passed."""
        ahead = self.tokens[self.at : self.at + len(words)]
        if [word.lower() for word, is_quoted in ahead if not is_quoted] != list(words):
            return False
        self.at += len(words)
        return True

    def rule(self) -> Rule:
        found = self._read()
        if self.at < len(self.tokens):
            raise self.wrong(f"{self.tokens[self.at][0]!r} is one word too many")
        return found

    def _read(self) -> Rule:
        if self.said("never"):
            return Times(self.names(), at_most=0)
        if self.said("always"):
            return Times(self.names(), at_least=1)
        for words in (("at", "most"), ("at", "least"), ("exactly",)):
            if self.said(*words):
                return self._times(words[-1])
        if self.said("starts", "with"):
            return StartsWith(self.names())
        if self.said("ends", "with"):
            return EndsWith(self.names())
        return self._of_two(self.names())

    def _times(self, how: str) -> Rule:
        if how == "least":
            least = self.number()
            most = self.number() if self.said("and", "at", "most") else None
            if least == 0 and most is None:
                raise self.wrong("'at least 0' asks for nothing")
            return Times(self.names(), at_least=least, at_most=most)
        number = self.number()
        return Times(self.names(), at_least=number if how == "exactly" else 0, at_most=number)

    def _of_two(self, steps: list[str]) -> Rule:
        for words, kind, directly in (
            (("only", "after"), OnlyAfter, False),
            (("only", "right", "after"), OnlyAfter, True),
            (("never", "after"), NeverAfter, False),
            (("never", "right", "after"), NeverAfter, True),
        ):
            if self.said(*words):
                return kind(steps, self.names(), directly=directly)
        if self.said("within"):
            length = self.length()
            if not self.said("of"):
                raise self.wrong(f"after {length!r} comes 'of' and the step from which the time counts")
            return Within(steps, length, of=self.names())
        if self.said("followed", "by"):
            by = self.names()
            return FollowedBy(steps, by, within=self.length() if self.said("within") else None)
        if self.at >= len(self.tokens):
            raise self.wrong("it says nothing about the step")
        word = self.tokens[self.at][0]
        near = get_close_matches(word.lower(), ("only", "never", "within", "followed"), n=1)
        raise self.wrong(f"{word!r} does not go on a rule" + (f"; did you mean {near[0]!r}?" if near else ""))

    def names(self) -> list[str]:
        found = [self.name()]
        while self.said("or"):
            found.append(self.name())
        return found

    def name(self) -> str:
        if self.at >= len(self.tokens):
            raise self.wrong("the name of a step is missing at its end")
        word, is_quoted = self.tokens[self.at]
        if not word:
            raise self.wrong("a step has an empty name")
        if not is_quoted and word.lower() in WORDS:
            raise self.wrong(f"{word!r} is a word of rules; put it in quotes if it is a step, as '{word}'")
        self.at += 1
        return word

    def number(self) -> int:
        if self.at >= len(self.tokens) or not self.tokens[self.at][0].isdecimal() or len(self.tokens[self.at][0]) > 9:
            word = self.tokens[self.at][0] if self.at < len(self.tokens) else "nothing"
            raise self.wrong(f"a number should come where {word!r} is")
        self.at += 1
        return int(self.tokens[self.at - 1][0])

    def length(self) -> str:
        """A length of time; `5 m` is `5m`."""
        parts = []
        while self.at < len(self.tokens) and not self.tokens[self.at][1] and self.tokens[self.at][0].lower() != "of":
            parts.append(self.tokens[self.at][0])
            self.at += 1
        length = "".join(parts)
        try:
            micros_of(length, "the time of a rule")
        except InvalidArgumentError as error:
            raise self.wrong(str(error)) from error
        return length
