"""What is asked of a funnel: its steps, mode, windows and exclusions, checked once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Literal, get_args

from ..core.errors import InvalidArgumentError
from ._windows import micros_of

Mode = Literal["visited", "ordered", "strict", "any"]
Attempts = Literal["best", "first", "every"]


@dataclass(frozen=True)
class OptionalStep:
    """A step of a funnel that may be left out; made by `optional`."""

    names: tuple[str, ...]


Step = str | OptionalStep | Sequence[str]
Window = str | timedelta | float


def optional(*names: str) -> OptionalStep:
    """A step of a funnel that an engagement may leave out: `funnel(tr, ["intake", optional("refine"), "submitted"])`.

    It has a bar of its own, and never makes a later one smaller. Several names are alternatives.
    """
    if not names or not all(isinstance(name, str) for name in names):
        raise InvalidArgumentError(f"optional takes step names, as optional('refine'); got {names!r}")
    return OptionalStep(names)


@dataclass(frozen=True)
class Item:
    """One step of a funnel."""

    names: tuple[str, ...]
    """Any of these will do."""
    optional: bool
    within_us: int | None
    """The longest time since the step before it."""

    @property
    def label(self) -> str:
        return " | ".join(self.names)


@dataclass(frozen=True)
class Spec:
    """A funnel as asked for."""

    items: tuple[Item, ...]
    mode: Mode
    within_us: int | None
    blocked: tuple[frozenset[str], ...]
    """For each step but the last: the names that must not come between it and the one after it."""
    attempts: Attempts
    nested: bool

    @property
    def names(self) -> list[str]:
        """Every step name that is asked about, each once."""
        asked = [name for item in self.items for name in item.names]
        return list(dict.fromkeys([*asked, *sorted(frozenset().union(*self.blocked))]))

    @property
    def needs_clock(self) -> bool:
        return self.within_us is not None or any(item.within_us is not None for item in self.items)

    @property
    def is_plain(self) -> bool:
        """Whether an earlier execution of a step is never worse than a later one."""
        return not any(self.blocked) and all(item.within_us is None for item in self.items)

    @property
    def mandatory(self) -> list[int]:
        """Places of the steps that cannot be left out."""
        return [k for k, item in enumerate(self.items) if not item.optional]


def earlier_alike(spec: Spec, k: int) -> int:
    """How many steps like the k-th need an execution before it gets one; optional ones take none from others."""
    names = set(spec.items[k].names)
    return sum(set(other.names) == names and not other.optional for other in spec.items[:k])


def options_after(spec: Spec, i: int) -> list[int]:
    """Places of the optional steps between the i-th mandatory step and the next."""
    places = [*spec.mandatory, len(spec.items)]
    return list(range(places[i] + 1, places[i + 1]))


def stops_after(spec: Spec, i: int) -> frozenset[str]:
    """Names that must not come between the i-th mandatory step and the next; behind the last one, anywhere."""
    places = [*spec.mandatory, len(spec.items) - 1]
    empty: frozenset[str] = frozenset()
    return empty.union(*spec.blocked[places[i] : places[i + 1]])


WIDTH = 4
"""Integers with which an SQL engine tells of one execution: its row, its time, its duration, its turn."""


def width_of(spec: Spec, i: int) -> int:
    """Integers that tell of the i-th mandatory step, with the optional ones behind it and what stops these."""
    options = len(options_after(spec, i))
    return WIDTH * (1 + options) + (1 if options and stops_after(spec, i) else 0)


def candidates(spec: Spec, k: int) -> list[int]:
    """Places of the steps that may be the next after the k-th: the optional ones behind it, and one that is not."""
    after = next((m for m in spec.mandatory if m > k), len(spec.items) - 1)
    return list(range(k + 1, after + 1))


def spec_of(
    order: object,
    *,
    mode: str,
    within: Window | None,
    step_within: Mapping[str, Window] | None,
    exclude: Iterable[str] | Mapping[str, tuple[str, str]] | None,
    attempts: str,
    nested: bool,
) -> Spec:
    """The arguments of `funnel`, checked. Raises InvalidArgumentError."""
    _one_of("funnel mode", mode, Mode)
    _one_of("attempts", attempts, Attempts)
    steps = [_step(entry, order) for entry in _entries(order)]
    labels = [" | ".join(names) for names, _ in steps]
    windows = _step_windows(step_within, labels)
    items = tuple(
        Item(names, is_optional, windows.get(label)) for (names, is_optional), label in zip(steps, labels, strict=True)
    )
    if items[0].optional:
        raise InvalidArgumentError(f"a funnel begins with a step that cannot be left out; got optional {labels[0]!r}")
    blocked = _blocked(exclude, items, labels)
    spec = Spec(items, mode, _window(within, "within"), blocked, attempts, nested)  # type: ignore[arg-type]
    _check_together(spec, step_within, exclude)
    return spec


def _one_of(what: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        known = "modes" if choices is Mode else "known"
        raise InvalidArgumentError(f"no {what} {value!r}; {known}: {', '.join(get_args(choices))}")


def _entries(order: object) -> list[object]:
    if isinstance(order, str) or not isinstance(order, Iterable):
        raise InvalidArgumentError(f"the order of a funnel is a list of step names; got {order!r}")
    entries = list(order)
    if not entries:
        raise InvalidArgumentError("the order of a funnel is empty; give at least one step name")
    return entries


def _step(entry: object, order: object) -> tuple[tuple[str, ...], bool]:
    if isinstance(entry, OptionalStep):
        return entry.names, True
    if isinstance(entry, str):
        return (entry,), False
    if isinstance(entry, list | tuple) and entry and all(isinstance(name, str) for name in entry):
        return tuple(dict.fromkeys(entry)), False
    raise InvalidArgumentError(
        f"the order of a funnel is a list of step names; got {order!r}. An entry is a name, a tuple of alternatives as "
        "('search', 'browse'), or optional('refine')"
    )


def _window(value: Window | None, what: str) -> int | None:
    if isinstance(value, Mapping):
        raise InvalidArgumentError(f"within is one time for the whole funnel; for single steps: step_within={value!r}")
    return None if value is None else micros_of(value, what)


def _step_windows(given: Mapping[str, Window] | None, labels: list[str]) -> dict[str, int]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(f"step_within is a dict, as step_within={{'search': '5m'}}; got {given!r}")
    for label in given:
        if label not in labels[1:]:
            also = "; nothing comes before the first step" if label == labels[0] else ""
            raise InvalidArgumentError(f"step_within names {label!r}: {_no_step(label, labels[1:])}{also}")
    return {label: micros_of(value, f"step_within[{label!r}]") for label, value in given.items()}


def _no_step(name: object, labels: Sequence[str]) -> str:
    near = get_close_matches(str(name), labels, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near and near[0] != name else ""
    return f"no such step after another in this funnel; steps: {', '.join(labels) or 'none'}.{hint}"


def _blocked(exclude: object, items: tuple[Item, ...], labels: list[str]) -> tuple[frozenset[str], ...]:
    gaps: list[set[str]] = [set() for _ in labels[1:]]
    if exclude is None:
        return tuple(frozenset(gap) for gap in gaps)
    if isinstance(exclude, str) or not isinstance(exclude, Iterable):
        raise InvalidArgumentError(f"exclude is a list of step names, or a dict; got {exclude!r}")
    spans: dict[Any, Any] = dict(exclude) if isinstance(exclude, Mapping) else dict.fromkeys(exclude)
    for name, span in spans.items():
        if not isinstance(name, str):
            raise InvalidArgumentError(f"exclude names steps; got {name!r}")
        first, last = (0, len(labels) - 1) if span is None else _span(name, span, items, labels)
        for gap in gaps[first:last]:
            gap.add(name)
    return tuple(frozenset(gap) for gap in gaps)


def _span(name: str, span: object, items: tuple[Item, ...], labels: list[str]) -> tuple[int, int]:
    if not isinstance(span, tuple | list) or len(span) != 2:
        raise InvalidArgumentError(
            f"exclude[{name!r}] is a pair of steps between which it must not come, as ('search', 'submitted'); "
            f"got {span!r}"
        )
    for end in span:
        if labels.count(end) != 1 or items[labels.index(end)].optional:
            raise InvalidArgumentError(
                f"exclude[{name!r}] names {end!r}, which is not exactly one step of this funnel that cannot be left "
                f"out; steps: {', '.join(labels)}"
            )
    first, last = labels.index(span[0]), labels.index(span[1])
    if first >= last:
        raise InvalidArgumentError(f"exclude[{name!r}]: {span[0]!r} does not come before {span[1]!r} in this funnel")
    return first, last


def _check_together(spec: Spec, step_within: object, exclude: object) -> None:
    """What does not go together with what."""
    ordered = spec.mode in ("ordered", "strict")
    given = {"within": spec.within_us, "step_within": step_within, "exclude": exclude}
    allowed: dict[Mode, tuple[str, ...]] = {
        "visited": (),
        "any": ("within",),
        "strict": ("within", "step_within"),
        "ordered": tuple(given),
    }
    for name, value in given.items():
        if value is not None and name not in allowed[spec.mode]:
            having = ", ".join(repr(mode) for mode, names in allowed.items() if name in names)
            raise InvalidArgumentError(f"{name}= says nothing in mode {spec.mode!r}; modes that have it: {having}")
    if spec.attempts != "best" and not ordered:
        raise InvalidArgumentError(f"attempts={spec.attempts!r} needs mode 'ordered' or 'strict'; got {spec.mode!r}")
    if spec.attempts == "every" and set(spec.items[0].names) & {n for item in spec.items[1:] for n in item.names}:
        raise InvalidArgumentError(
            "attempts='every' needs a first step that does not come again: each execution of it begins an attempt"
        )
    if spec.mode == "any":
        _ensure_apart(spec.items, "in mode 'any'", same_allowed=True)
        _ensure_apart([item for item in spec.items if item.optional], "as both are optional")
    if spec.mode in ("ordered", "strict"):
        last = 0
        for k in [*spec.mandatory[1:], len(spec.items)]:
            between = spec.items[last + 1 : k]
            _ensure_apart(between, "as both are optional")
            if spec.mode == "strict":
                _ensure_apart(spec.items[last + 1 : k + 1], "after an optional step in mode 'strict'")
            last = k


def _ensure_apart(items: Sequence[Item], why: str, *, same_allowed: bool = False) -> None:
    """Raises when an execution could stand for either of two steps that are not the same."""
    for i, one in enumerate(items):
        for other in items[i + 1 :]:
            shared = set(one.names) & set(other.names)
            if shared and not (same_allowed and set(one.names) == set(other.names)):
                raise InvalidArgumentError(
                    f"the steps {one.label!r} and {other.label!r} share {sorted(shared)[0]!r}; {why}, it is "
                    "not certain which of them an execution reached"
                )
