"""What a funnel means, written to be read and not to be fast: every engine is compared with it.

It looks at one engagement after the other and tries every path. Nothing of the package is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Execution:
    """One row of the steps frame."""

    name: str
    at: int | None = None
    """Microseconds."""
    attempt: int = 1
    ns: str = ""
    parent: str | None = None
    duration_us: int | None = None
    tokens: int = 0
    turn: int = 1
    ended: int | None = None


@dataclass(frozen=True)
class Question:
    """A funnel as asked for: for each step its names, and whether it may be left out."""

    steps: list[tuple[tuple[str, ...], bool]]
    mode: str = "ordered"
    within: int | None = None
    step_within: dict[int, int] = field(default_factory=dict)
    """Place of a step to the longest time since the mandatory step before it."""
    exclude: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Name to the places of the two steps between which it must not come."""
    attempts: str = "best"
    nested: bool = True

    @property
    def mandatory(self) -> list[int]:
        return [k for k, (_, is_optional) in enumerate(self.steps) if not is_optional]


@dataclass(frozen=True)
class Attempt:
    """How far one attempt got: for each step the execution that reached it, and its place in time."""

    number: int
    is_last: bool
    reached: dict[int, Execution]
    at: dict[int, int | None]
    begun: dict[int, int | None]
    """For each step, when the time that counts for it began."""


def executions_of(rows: list[Execution], question: Question) -> list[Execution]:
    """The rows that count: no retries (but for a visit whose first attempt is lost), nothing nested unless asked."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for row in rows:
        if not question.nested and (row.ns or row.parent is not None):
            continue
        if row.attempt == 1 or (row.ns, row.name) not in seen:
            kept.append(row)
        seen.add((row.ns, row.name))
    if question.mode == "strict":
        return kept
    names = {name for names, _ in question.steps for name in names} | set(question.exclude)
    return [row for row in kept if row.name in names]


def clock_of(rows: list[Execution], question: Question) -> list[int | None]:
    """The time of each row; where the clock went back between steps that are asked about, no time has passed."""
    names = {name for names, _ in question.steps for name in names} | set(question.exclude)
    latest: int | None = None
    clock: list[int | None] = []
    for row in rows:
        if row.at is None or row.name not in names:
            clock.append(row.at)
            continue
        latest = row.at if latest is None else max(latest, row.at)
        clock.append(latest)
    return clock


def attempts_of(rows: list[Execution], question: Question) -> list[Attempt]:
    """The attempts of an engagement that count; empty when it never entered."""
    rows = executions_of(rows, question)
    clock = clock_of(rows, question)
    if question.mode == "visited":
        found = {}
        for k, (names, _) in enumerate(question.steps):
            places = [i for i, row in enumerate(rows) if row.name in names]
            if places:
                found[k] = places[0]
        first = clock[found[0]] if 0 in found else None
        return [_attempt(1, True, found, rows, clock, dict.fromkeys(found, first))] if found else []
    if question.mode == "any":
        return _in_any_order(rows, clock, question)
    entries = [i for i, row in enumerate(rows) if row.name in question.steps[0][0]]
    if question.attempts == "first":
        entries = entries[:1]
    walked = []
    for number, entry in enumerate(entries, start=1):
        end = len(rows)
        if question.attempts == "every" and number < len(entries):
            end = entries[number]
        walk = _strict if question.mode == "strict" else _ordered
        found = walk(rows[:end], clock, question, entry)
        walked.append(_attempt(number, number == len(entries), found, rows, clock, dict.fromkeys(found, clock[entry])))
    if question.attempts == "best" and walked:
        best = max(walked, key=lambda attempt: sum(k in attempt.reached for k in question.mandatory))
        return [Attempt(1, True, best.reached, best.at, best.begun)]
    return walked


def _attempt(number: int, is_last: bool, found: dict[int, int], rows: Any, clock: Any, begun: Any) -> Attempt:
    return Attempt(number, is_last, {k: rows[i] for k, i in found.items()}, {k: clock[i] for k, i in found.items()},
                   begun)  # fmt: skip


def _blocked(rows: list[Execution], question: Question, first: int, second: int, p: int, q: int) -> bool:
    """Whether a name that must not come between two steps does: between rows p and q."""
    for name, (begin, end) in question.exclude.items():
        if begin <= first and second <= end and any(row.name == name for row in rows[p + 1 : q]):
            return True
    return False


def _ordered(rows: list[Execution], clock: list[Any], question: Question, entry: int) -> dict[int, int]:
    found = {0: entry}
    places = question.mandatory
    reachable = {entry}
    for before, k in pairwise(places):
        reachable = {
            q
            for p in reachable
            for q in range(p + 1, len(rows))
            if rows[q].name in question.steps[k][0]
            and (k not in question.step_within or clock[q] - clock[p] <= question.step_within[k])
            and (question.within is None or clock[q] - clock[entry] <= question.within)
            and not _blocked(rows, question, before, k, p, q)
        }
        if not reachable:
            break
        found[k] = min(reachable)
    for k, (names, is_optional) in enumerate(question.steps):
        before = max((m for m in places if m < k), default=0)
        after = next((m for m in places if m > k), None)
        if not is_optional or before not in found:
            continue
        p, end = found[before], found.get(after, len(rows)) if after is not None else len(rows)
        q = next((i for i in range(p + 1, end) if rows[i].name in names), None)
        reach_to = after if after is not None else len(question.steps) - 1
        if (
            q is not None
            and (k not in question.step_within or clock[q] - clock[p] <= question.step_within[k])
            and (question.within is None or clock[q] - clock[entry] <= question.within)
            and not any(
                begin <= before and reach_to <= last and any(row.name == name for row in rows[p + 1 : q])
                for name, (begin, last) in question.exclude.items()
            )
        ):
            found[k] = q
    return found


def _strict(rows: list[Execution], clock: list[Any], question: Question, entry: int) -> dict[int, int]:
    """Each step is the execution right behind the one before, optional ones left out as need be: all ways tried."""
    best: dict[int, int] = {0: entry}

    def go(found: dict[int, int], row: int, k: int, since: int) -> None:
        nonlocal best
        if _rank(found, question) > _rank(best, question):
            best = found
        if k == len(question.steps):
            return
        names, is_optional = question.steps[k]
        if is_optional:
            go(found, row, k + 1, since)
        q = row + 1
        if q >= len(rows) or rows[q].name not in names:
            return
        if k in question.step_within and clock[q] - clock[since] > question.step_within[k]:
            return
        if question.within is not None and clock[q] - clock[entry] > question.within:
            return
        go({**found, k: q}, q, k + 1, since if is_optional else q)

    go(best, entry, 1, entry)
    return best


def _rank(found: dict[int, int], question: Question) -> tuple[int, int]:
    return sum(k in found for k in question.mandatory), len(found)


def _in_any_order(rows: list[Execution], clock: list[Any], question: Question) -> list[Attempt]:
    found: dict[int, int] = {}
    begun: dict[int, int | None] = {}
    for k in range(len(question.steps)):
        needed = [*(m for m in question.mandatory if m < k), k]
        for last in range(len(rows)):
            first = _latest_set(rows[: last + 1], [question.steps[i][0] for i in needed])
            if first is None or (question.within is not None and clock[last] - clock[first] > question.within):
                continue
            found[k], begun[k] = last, clock[first]
            break
    return [_attempt(1, True, found, rows, clock, begun)] if found else []


def _latest_set(rows: list[Execution], needed: list[tuple[str, ...]]) -> int | None:
    """Where the latest executions begin that fill all of `needed`, one each; None when there are not enough."""
    free = list(range(len(rows)))
    begin = len(rows)
    for names in needed:
        place = next((i for i in reversed(free) if rows[i].name in names), None)
        if place is None:
            return None
        free.remove(place)
        begin = min(begin, place)
    return begin


def quantile(values: list[int], numerator: int, denominator: int) -> Fraction | None:
    """The quantile by linear interpolation between the two nearest ranks; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    place = Fraction((len(ordered) - 1) * numerator, denominator)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
