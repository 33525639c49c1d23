"""Rules that engagements should keep, as objects; `rule` reads them from words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.errors import InvalidArgumentError
from ._windows import micros_of

Names = str | Iterable[str]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _names(value: Any, what: str) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidArgumentError(f"{what} is the name of a step, or several of them; got {value!r}")
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True, init=False)
class Rule:
    """Something that each engagement keeps or breaks. Several names mean any of them."""

    steps: tuple[str, ...]

    def __init__(self, steps: Names) -> None:
        object.__setattr__(self, "steps", _names(steps, "the step of a rule"))

    @property
    def names(self) -> tuple[str, ...]:
        """All steps that it speaks of."""
        return self.steps

    @property
    def is_timed(self) -> bool:
        """Whether it needs to know when steps began."""
        return False

    def _with(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, init=False)
class Times(Rule):
    """How often a step is visited in an engagement: `Times("refine", at_most=3)`. Retries of a visit do not count."""

    at_least: int
    at_most: int | None

    def __init__(self, steps: Names, *, at_least: int = 0, at_most: int | None = None) -> None:
        super().__init__(steps)
        for name, value in (("at_least", at_least), ("at_most", 0 if at_most is None else at_most)):
            if not _is_count(value):
                raise InvalidArgumentError(f"{name} is a whole number, 0 or more; got {value!r}")
        if at_most is None and at_least == 0:
            raise InvalidArgumentError("a rule of times needs at_least, at_most or both, as Times('refine', at_most=3)")
        if at_most is not None and at_most < at_least:
            raise InvalidArgumentError(f"no number is at least {at_least} and at most {at_most}")
        self._with(at_least=at_least, at_most=at_most)

    def __str__(self) -> str:
        steps = _said(self.steps)
        if self.at_most == 0:
            return f"never {steps}"
        if self.at_most is None:
            return f"always {steps}" if self.at_least == 1 else f"at least {self.at_least} {steps}"
        if self.at_least == self.at_most:
            return f"exactly {self.at_least} {steps}"
        least = f"at least {self.at_least} and " if self.at_least else ""
        return f"{least}at most {self.at_most} {steps}"


@dataclass(frozen=True, init=False)
class _After(Rule):
    """Steps, and those that they do or do not come after."""

    after: tuple[str, ...]
    directly: bool
    _how: ClassVar[str]

    def __init__(self, steps: Names, after: Names, *, directly: bool = False) -> None:
        super().__init__(steps)
        self._with(after=_names(after, "after"), directly=bool(directly))

    @property
    def names(self) -> tuple[str, ...]:
        """All steps that it speaks of."""
        return (*self.steps, *self.after)

    def __str__(self) -> str:
        return f"{_said(self.steps)} {self._how} {'right ' if self.directly else ''}after {_said(self.after)}"


class OnlyAfter(_After):
    """A step only comes after another: `OnlyAfter("pay", "consent")`; `directly`: as what that one led to."""

    _how = "only"


class NeverAfter(_After):
    """A step does not come after another: `NeverAfter("submit", "abandon")`; `directly`: not as what that led to."""

    _how = "never"


@dataclass(frozen=True, init=False)
class Within(Rule):
    """A step begins at most so long after another last began: `Within("search", "5m", of="intake")`, inclusive.

    One that comes with none of the others before it breaks the rule too. Waits for a human count: the clock runs on.
    """

    of: tuple[str, ...]
    within_us: int
    within: str

    def __init__(self, steps: Names, within: Any, *, of: Names) -> None:
        super().__init__(steps)
        self._with(of=_names(of, "of"), within_us=micros_of(within, "within"), within=str(within))

    @property
    def names(self) -> tuple[str, ...]:
        """All steps that it speaks of."""
        return (*self.steps, *self.of)

    @property
    def is_timed(self) -> bool:
        """Whether it needs to know when steps began."""
        return True

    def __str__(self) -> str:
        return f"{_said(self.steps)} within {self.within} of {_said(self.of)}"


@dataclass(frozen=True, init=False)
class FollowedBy(Rule):
    """After a step another comes: `FollowedBy("refund", "notify")`, and with `within` soon enough (inclusive).

    While an engagement goes on it may still come, so that nothing is broken yet.
    """

    by: tuple[str, ...]
    within_us: int | None
    within: str | None

    def __init__(self, steps: Names, by: Names, *, within: Any = None) -> None:
        super().__init__(steps)
        micros = None if within is None else micros_of(within, "within")
        self._with(by=_names(by, "by"), within_us=micros, within=None if within is None else str(within))

    @property
    def names(self) -> tuple[str, ...]:
        """All steps that it speaks of."""
        return (*self.steps, *self.by)

    @property
    def is_timed(self) -> bool:
        """Whether it needs to know when steps began."""
        return self.within_us is not None

    def __str__(self) -> str:
        soon = "" if self.within is None else f" within {self.within}"
        return f"{_said(self.steps)} followed by {_said(self.by)}{soon}"


@dataclass(frozen=True, init=False)
class StartsWith(Rule):
    """The first step of each engagement that has any."""

    def __str__(self) -> str:
        return f"starts with {_said(self.steps)}"


@dataclass(frozen=True, init=False)
class EndsWith(Rule):
    """The last step of each engagement that is over and has any."""

    def __str__(self) -> str:
        return f"ends with {_said(self.steps)}"


WORDS = ("never", "always", "at", "exactly", "starts", "ends", "only", "within", "followed", "after", "right", "or",
         "of", "by", "least", "most", "with", "and")  # fmt: skip


def _said(names: tuple[str, ...]) -> str:
    """Names in the form that `rule` reads."""
    return " or ".join(_quoted(name) for name in names)


def _quoted(name: str) -> str:
    plain = name.lower() not in WORDS and not any(char.isspace() or char in "\"'" for char in name)
    if plain and not name.isdigit():
        return name
    return f"'{name}'" if "'" not in name else f'"{name}"'
