"""What came of replaying many engagements."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from ._differ import Divergence

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 20


@dataclass(slots=True)
class Outcome:
    """One engagement."""

    engagement_id: str
    name: str
    divergences: list[Divergence]
    error: str | None = None
    """Why it could not be replayed; None: it was."""
    n_steps: int = 0


class ReplayedAll:
    """Recorded engagements, replayed on today's code. True in an `if` when all of them did as then."""

    def __init__(self, outcomes: list[Outcome], *, n_asked: int, is_whole: bool) -> None:
        self._outcomes = outcomes
        self.n_asked = n_asked
        """How many engagements were to be replayed."""
        self.is_whole = is_whole
        """Whether it came to its end, and was not interrupted."""
        self.n_engagements = sum(one.error is None for one in outcomes)
        """How many were replayed."""
        self.n_steps = sum(one.n_steps for one in outcomes)
        """How many steps ran again."""
        self.n_diverged = sum(bool(one.divergences) for one in outcomes)
        """How many engagements departed from their record."""
        self.n_failed = len(outcomes) - self.n_engagements
        """How many could not be replayed; `engagements()` says why."""

    def __bool__(self) -> bool:
        return self.is_whole and not self.n_diverged and not self.n_failed

    def frame(self) -> pl.DataFrame:
        """One row a divergence: which step, what was expected and got (JSON text), and the cause.

        `cause` is code, prompt, model, tool or topology. `is_first` marks the steps that depart by themselves; the
        others follow from the step named in `because`.
        """
        import polars as pl

        rows = [
            {
                "engagement_id": outcome.engagement_id,
                "step": one.full,
                "visit": one.visit,
                "turn": one.turn,
                "what": one.what,
                "expected": one.expected,
                "got": one.got,
                "cause": one.cause,
                "is_first": one.because is None,
                "because": one.because,
                "step_id": one.step_id,
            }
            for outcome in self._outcomes
            for one in outcome.divergences
        ]
        text = dict.fromkeys(("what", "expected", "got", "cause"), pl.String)
        schema: dict[str, Any] = {
            "engagement_id": pl.String, "step": pl.String, "visit": pl.Int64, "turn": pl.Int64, **text,
            "is_first": pl.Boolean, "because": pl.String, "step_id": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    def engagements(self) -> pl.DataFrame:
        """One row an engagement: how many steps ran and diverged, where first and why, or why it was not replayed."""
        import polars as pl

        rows = []
        for one in self._outcomes:
            first = one.divergences[0] if one.divergences else None
            rows.append({
                "engagement_id": one.engagement_id,
                "name": one.name,
                "n_steps": one.n_steps,
                "n_divergences": len({(found.full, found.visit) for found in one.divergences}),
                "first_step": None if first is None else first.full,
                "cause": None if first is None else first.cause,
                "error": one.error,
            })  # fmt: skip
        schema: dict[str, Any] = {
            "engagement_id": pl.String, "name": pl.String, "n_steps": pl.Int64, "n_divergences": pl.Int64,
            "first_step": pl.String, "cause": pl.String, "error": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    def check(self) -> None:
        """Raise AssertionError, with what was expected and got at each step, unless all did as then."""
        if not self:
            raise AssertionError(self.describe())

    def describe(self) -> str:
        """What diverged, for people: a line or three a step."""
        lines = [repr(self)]
        for outcome in self._outcomes:
            if outcome.error is not None:
                lines.append(f"\n{outcome.engagement_id}: not replayed: {outcome.error}")
            for one in outcome.divergences:
                follows = "" if one.because is None else f", follows from {one.because}"
                lines.append(f"\nstep {one}: {one.what} (cause: {one.cause}{follows})")
                lines.append(f"  expected: {one.expected}")
                lines.append(f"  got:      {one.got}")
        shown = lines[: 3 * _SHOWN + 1]
        more = len(lines) - len(shown)
        return "\n".join(shown) + (f"\n… and {more} lines more; see .frame()" if more else "")

    def __repr__(self) -> str:
        causes = Counter(one.cause for outcome in self._outcomes for one in outcome.divergences if one.because is None)
        why = f" ({', '.join(f'{cause} {n}' for cause, n in causes.most_common())})" if causes else ""
        failed = f", {self.n_failed} could not be replayed" if self.n_failed else ""
        early = "" if self.is_whole else f", interrupted after {len(self._outcomes)} of {self.n_asked}"
        return (
            f"<ReplayedAll: {self.n_engagements} engagements, {self.n_steps} steps: "
            f"{self.n_diverged} diverged{why}{failed}{early}>"
        )

    def _repr_html_(self) -> str:
        head = f"<p>{escape(repr(self))}</p>"
        frame = self.frame() if self.n_diverged else self.engagements().filter(self._failed())
        return head + (str(frame.head(_SHOWN)._repr_html_()) if frame.height else "")

    def _failed(self) -> Any:
        import polars as pl

        return pl.col("error").is_not_null()
