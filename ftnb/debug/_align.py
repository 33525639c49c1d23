"""Which steps of two engagements are the same step.

By namespace, node, visit and attempt. Steps that one step sent side by side are matched by what they were sent first:
their visits are numbered in the order in which they happened to begin. Rows stand in the order of the first engagement,
which is causal: what led to a step comes before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ._ran import Ran, Story

Side = Literal["both", "a", "b"]
Print = Callable[[Ran], Any]
"""Gives something that is equal for equal inputs."""


@dataclass(slots=True)
class Row:
    """A step of one engagement, of the other, or of both."""

    a: Ran | None
    b: Ran | None

    @property
    def side(self) -> Side:
        """Who ran it."""
        return "both" if self.a and self.b else "a" if self.a else "b"

    @property
    def step(self) -> Ran:
        """The step, of the first engagement where it is in both."""
        found = self.a or self.b
        assert found is not None
        return found


def align(a: Story, b: Story, print_a: Print, print_b: Print) -> list[Row]:
    """The steps of both, side by side."""
    others: dict[int, Ran] = {}
    buckets = _buckets(b)
    for key, steps in _buckets(a).items():
        for one, other in _matched(steps, buckets.get(key, ()), print_a, print_b):
            others[one.place] = other
    return _in_order(a, b, others)


def rejoined(rows: list[Row], origin: Story, replay: Story) -> list[Row]:
    """Rows in which a step that was replayed and its replay are one row: alone, it has lost who sent it, and what it
    lay in."""
    at = replay.branch_at if isinstance(replay.branch_at, dict) else {}
    then = origin.by_id.get(str(at.get("step_id")))
    again = [step for step in replay.steps if then and step.name == then.name and step.parent_id not in replay.by_id]
    if then is None or not again:
        return rows
    mine, now = next(row for row in rows if then in (row.a, row.b)), again[-1]
    if now in (mine.a, mine.b):
        return rows
    own = next(row for row in rows if now in (row.a, row.b))
    if mine.a is then:
        mine.b, own.b = now, mine.b
    else:
        mine.a, own.a = now, mine.a
    return [row for row in rows if row.a or row.b]


def _buckets(story: Story) -> dict[tuple[Any, ...], list[Ran]]:
    found: dict[tuple[Any, ...], list[Ran]] = defaultdict(list)
    for step in story.steps:
        cause = story.by_id.get(step.triggers[0]) if step.is_sent and step.triggers else None
        if cause is None:
            found[step.ns, step.name, step.visit, step.attempt].append(step)
        else:
            found[step.ns, step.name, "sent", cause.full, cause.visit, step.attempt].append(step)
    return found


def _matched(steps: list[Ran], others: Iterable[Ran], print_a: Print, print_b: Print) -> Iterable[tuple[Ran, Ran]]:
    left = list(others)
    if len(steps) <= 1 and len(left) <= 1:
        yield from zip(steps, left, strict=False)
        return
    by_input: dict[Any, list[Ran]] = defaultdict(list)
    for other in left:
        by_input[print_b(other)].append(other)
    unmatched = []
    for step in steps:
        same = by_input.get(print_a(step))
        if same:
            other = same.pop(0)
            left.remove(other)
            yield step, other
        else:
            unmatched.append(step)
    yield from zip(unmatched, left, strict=False)


def _in_order(a: Story, b: Story, others: dict[int, Ran]) -> list[Row]:
    """Rows in the order of `a`; a step that only `b` has stands after the one that `b` ran before it."""
    place_of = {id(other): place for place, other in others.items()}
    after: dict[int, list[Row]] = defaultdict(list)
    anchor = -1
    for step in b.steps:
        found = place_of.get(id(step))
        if found is None:
            after[anchor].append(Row(None, step))
        else:
            anchor = found
    rows = list(after[-1])
    for step in a.steps:
        rows.append(Row(step, others.get(step.place)))
        rows += after.get(step.place, [])
    return rows
