"""Loops in a single path: folded away, or taken apart. Pure; a path is a sequence of anything that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def without_repeats(path: Sequence[T]) -> list[T]:
    """A step that follows itself once: `a a a b` becomes `a b`."""
    return [step for place, step in enumerate(path) if place == 0 or path[place - 1] != step]


def without_loops(path: Sequence[T]) -> list[T]:
    """Any stretch that is at once repeated, once: `a b c b c d` becomes `a b c d`, shortest stretches first."""
    found = list(path)
    size = 1
    while size <= len(found) // 2:
        shorter = _folded(found, size)
        # What became shorter may repeat in shorter stretches than before.
        size = 1 if len(shorter) < len(found) else size + 1
        found = shorter
    return found


def _folded(path: list[T], size: int) -> list[T]:
    kept: list[T] = []
    for step in path:
        kept.append(step)
        if len(kept) >= 2 * size and kept[-size:] == kept[-2 * size : -size]:
            del kept[-size:]
    return kept


def cycles(path: Sequence[T]) -> list[tuple[int, tuple[T, ...], list[int]]]:
    """The loops that were run, one entry each time round: the place where it closed, its steps from where it began,
    and their places.

    A loop closes when a step comes again; it is taken out, so that what remains has no step twice (the loop erasure
    of a walk: Lawler, "A self-avoiding random walk", 1980). An inner loop is thereby no part of the outer one.
    """
    walk: list[T] = []
    places: list[int] = []
    at: dict[T, int] = {}
    found = []
    for place, step in enumerate(path):
        if step in at:
            begin = at[step]
            found.append((place, tuple(walk[begin:]), places[begin:]))
            for gone in walk[begin:]:
                del at[gone]
            del walk[begin:], places[begin:]
        at[step] = len(walk)
        walk.append(step)
        places.append(place)
    return found
