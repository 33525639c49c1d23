"""Which plain step caused which: what ended before it in its own thread of work, and what other threads of work that
were forked off there have brought.

Nothing is guessed from times: two chains of tasks that run side by side stay two chains, and whoever goes on after them
is caused by the last steps of both.
"""

from __future__ import annotations

from ._place import Strand

_MAX_LEAVES = 1_000
"""Ended steps remembered per parent that nothing came after; the oldest are forgotten first."""


class Causes:
    """The plain steps inside one step, or at the top of one engagement."""

    def __init__(self) -> None:
        self._leaves: dict[str, Strand] = {}
        """Ended, and nothing came after them, in the order in which they ended."""

    def of(self, strand: Strand, last: str | None) -> dict[str, str]:
        """What caused the step that begins now in `strand`, after `last`: {step id: static or join}."""
        is_first = last == strand.fork
        if is_first and strand.is_apart and strand.parent is not None:
            strand = strand.parent  # in which it begins, after whatever has ended there
        found, forks = list[str](), set[str | None]()
        for step_id, its in self._leaves.items():
            if _is_below(its, strand):
                forks.add(_fork_in(its, strand))
            elif is_first and _is_made_by(its, strand):
                forks.add(its.fork)
            else:
                continue
            found.append(step_id)
        if last is not None and last not in forks:
            found.insert(0, last)  # else what was forked off after it stands for it
        for step_id in found:
            self._leaves.pop(step_id, None)
        return dict.fromkeys(found, "join" if len(found) > 1 else "static")

    def ended(self, step_id: str, strand: Strand) -> None:
        """A step ended, in whichever way."""
        self._leaves[step_id] = strand
        if len(self._leaves) > _MAX_LEAVES:
            del self._leaves[next(iter(self._leaves))]

    def leaves(self) -> list[str]:
        """Ids of the steps after which nothing came."""
        return list(self._leaves)


def _is_below(strand: Strand, other: Strand) -> bool:
    """Whether `strand` was forked off by `other`, or by one that was."""
    at = strand.parent
    while at is not None:
        if at is other:
            return True
        at = at.parent
    return False


def _is_made_by(strand: Strand, other: Strand) -> bool:
    """Whether a task that had no step of its own yet may have made the other, and waited for it.

    Both were seen to be forked off at the same point; tasks that stand side by side begin in the order in which they
    were made, so one that was made later and is over before is taken for a part of the earlier.
    """
    if strand.parent is not other.parent or strand.fork != other.fork or strand.parent is None:
        return False
    return strand.born is not None and other.born is not None and strand.born > other.born


def _fork_in(strand: Strand, other: Strand) -> str | None:
    """After which step of `other` the strand, or the one it descends from, was forked off."""
    at = strand
    while at.parent is not None and at.parent is not other:
        at = at.parent
    return at.fork
