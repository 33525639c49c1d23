"""What is not written down: secrets are taken out before anything is encoded, hashed or stored.

    ftnb.redact(keys=["patient_id"], patterns={"house number": r"\\bHN-\\d{6}\\b"})    beside the defaults
    ftnb.redact(fn=lambda path, value: "…" if path[-1] == "diary" else value)
    ftnb.redact()                                                                    what is active, and what it masked
    ftnb.redact("off")   ftnb.redact("defaults")

The writer applies it, so the agent does not wait for it. A masked value is `{"$ftnb": "redacted", "why": "<rule>"}`; a
masked part of a text is `[redacted: <rule>]`. Nothing is kept of the secret, and no hash of it: short secrets are found
by trying. The defaults know keys by name and values by shape (`_secrets`); what they cannot know, name yourself.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from ._mask import Mask
from ._secrets import DEFAULT_KEYS, DEFAULT_SHAPES, Shape, words_of
from .canonical import Json, from_json, to_json
from .errors import InvalidArgumentError

__all__ = ["Redaction", "active", "before_change", "redact"]

Path = tuple[str | int, ...]
"""Where a value is: `("state", "messages", 0, "content")`; the first part is what of the record it belongs to."""
Fn = Callable[[Path, Any], Any]
Patterns = Mapping[str, str | re.Pattern[str]] | Iterable[str | re.Pattern[str]]

logger = logging.getLogger("ftnb")


class Redaction:
    """A set of rules. It does not change, so any thread may use it; only its counts grow."""

    def __init__(
        self,
        *,
        patterns: Patterns = (),
        keys: Iterable[str] = (),
        fn: Fn | None = None,
        defaults: bool = True,
    ) -> None:
        """Rules, beside the default ones unless `defaults` is False.

        `keys` are names: what is kept under such a key is masked, whole. A name stands for the last words of a key in
        any spelling: `api_key` also means `OPENAI_API_KEY` and `x-api-key`. `patterns` are regular expressions, by
        name, searched in every text; with a group named `secret`, that group alone is masked. `fn(path, value)` is
        given every value as it is about to be written (JSON; what JSON has no word for as its `$ftnb` marker), must
        not change it in place, and returns it, or what to write instead. Where `fn` raises, the value is masked.
        Raises InvalidArgumentError.
        """
        self.keys = tuple(dict.fromkeys([*(DEFAULT_KEYS if defaults else ()), *_names(keys)]))
        """Names of keys whose values are masked."""
        own = tuple(_shapes(patterns))
        shapes = (*own, *(DEFAULT_SHAPES if defaults else ()))
        self.patterns = {shape.name: shape.regex.pattern for shape in shapes}
        """Regular expressions by the name of their rule."""
        if fn is not None and not callable(fn):
            raise InvalidArgumentError(f"fn must be a function of (path, value), got {fn!r}")
        self.fn = fn
        self.counts: Counter[str] = Counter()
        """How many values each rule masked in this process so far."""
        self.errors: Counter[str] = Counter()
        """How often a rule raised; the value was then masked."""
        self._mask = Mask(shapes, self.keys, fn, self.counts, self._failed)

    def __repr__(self) -> str:
        fn = f", fn={getattr(self.fn, '__qualname__', self.fn)}" if self.fn is not None else ""
        masked = ", ".join(f"{name} {n}" for name, n in self.counts.most_common()) or "nothing yet"
        failed = "".join(f"; {what} {n} times" for what, n in self.errors.items())
        rules = f"{len(self.keys)} names of keys, {len(self.patterns)} patterns{fn}"
        return f"<Redaction: {rules}; masked so far: {masked}{failed}>"

    def to_json(self, value: Any, part: str) -> Json:
        """`value` as canonical JSON, masked. Never raises.

        `part` is the entry of a record's body that it is: `@payload`, `@state`, `error` … Parts that hold names and
        messages stay text: in them a secret is replaced inside the text.
        """
        try:
            return self._mask.to_json(value, part)
        except Exception as error:  # losing a secret's mask is worse than losing the value
            return self._failed(error, "redaction")

    def text(self, text: str) -> str:
        """`text` with the secrets in it replaced. Never raises."""
        try:
            return str(self._mask.text(text))
        except Exception as error:
            return f"[redacted: {self._failed(error, 'redaction')['why']}]"

    def value(self, value: Any, part: str) -> Any:
        """`value` itself when nothing in it is to be masked, else a masked copy of it. Never raises."""
        plain = to_json(value)
        masked = self.to_json(value, part)
        return value if masked is plain or masked == plain else from_json(masked)

    def _failed(self, error: Exception, rule: str) -> Json:
        what = f"{rule} raised {type(error).__name__}"
        if not self.errors[what]:
            logger.warning("ftnb: %s; the values it was to judge are masked (said once, see ftnb.redact())", what)
        self.errors[what] += 1
        return {"$ftnb": "redacted", "why": what}


def redact(
    policy: Redaction | Literal["off", "defaults"] | None = None,
    /,
    *,
    patterns: Patterns | None = None,
    keys: Iterable[str] | None = None,
    fn: Fn | None = None,
    defaults: bool = True,
) -> Redaction | None:
    """Choose what this process masks before it writes; see `Redaction` for the arguments. Returns what is active now.

    Each call replaces what earlier calls chose; without arguments nothing changes. `"off"` masks nothing, and None is
    returned. It holds for records that are accepted from now on, by every recorder and store: what was accepted before
    is written first, for at most 2 seconds. Raises InvalidArgumentError.
    """
    global _active
    given = patterns is not None or keys is not None or fn is not None or not defaults
    if policy is None and not given:
        return _active
    if policy is not None and given:
        raise InvalidArgumentError(f"give either {policy!r} or rules, not both")
    chosen: Redaction | None
    if isinstance(policy, Redaction):
        chosen = policy
    elif policy is not None:
        if policy not in ("off", "defaults"):
            raise InvalidArgumentError(f"no redaction {policy!r}; there are 'off', 'defaults', or a Redaction")
        chosen = Redaction() if policy == "defaults" else None
    else:
        chosen = Redaction(patterns=patterns or (), keys=keys or (), fn=fn, defaults=defaults)
    for flush in list(_before_change):
        flush()
    _active = chosen
    return chosen


def active() -> Redaction | None:
    """The rules of this process; None: off."""
    return _active


def before_change(flush: Callable[[], None]) -> None:
    """Have `flush` called before the rules change: what waits to be written was accepted under the old ones."""
    _before_change.append(flush)


def _names(keys: Iterable[Any]) -> list[str]:
    if isinstance(keys, (str, bytes)):
        raise InvalidArgumentError(f"keys takes a list of names, got one text; write keys=[{keys!r}]")
    names = list(keys)
    for name in names:
        if not isinstance(name, str) or not words_of(name):
            raise InvalidArgumentError(f"keys takes names of keys as text, got {name!r}")
    return names


def _shapes(patterns: Patterns) -> Iterable[Shape]:
    if isinstance(patterns, (str, bytes, re.Pattern)):
        raise InvalidArgumentError(f"patterns takes a dict or a list, got one; write patterns=[{patterns!r}]")
    if isinstance(patterns, Mapping):
        named = list(patterns.items())
    else:
        named = [(f"pattern {place}", regex) for place, regex in enumerate(patterns, 1)]
    for name, given in named:
        try:
            regex = re.compile(given)
        except (re.error, TypeError) as error:
            raise InvalidArgumentError(f"{name!r} is no regular expression: {given!r}: {error}") from None
        if not isinstance(regex.pattern, str):
            raise InvalidArgumentError(f"{name!r} must be a pattern for text, not for bytes: {given!r}")
        if regex.search(""):
            raise InvalidArgumentError(f"{name!r} matches the empty text, so it would mask everything: {given!r}")
        yield Shape(str(name), regex)


_before_change: list[Callable[[], None]] = []
_active: Redaction | None = Redaction()
