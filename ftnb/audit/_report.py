"""What a verification found: a finding for whatever does not hold, and the state of every engagement."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Literal

from ..core.errors import VerificationError

if TYPE_CHECKING:
    import polars as pl

State = Literal["sealed", "unsealed", "redacted", "gap", "purged", "missing", "broken"]
"""Of an engagement: all of it under a seal; a part not yet; content taken out with a receipt; records are missing from
its count; purged with a receipt; left out of an export as a whole; something does not hold."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold."""

    kind: str
    """A short code: record_changed, record_missing, seal_changed, head_changed, history_changed, …"""
    where: str
    """What it is about, in words."""
    expected: str
    got: str
    engagement_id: str | None = None
    stream_id: str | None = None
    n: int | None = None
    """Position in the stream; None: of the whole stream, or of the log."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: expected {self.expected}, got {self.got}"


@dataclass(slots=True)
class Covered:
    """How much of one engagement is proved."""

    engagement_id: str
    n_records: int = 0
    n_sealed: int = 0
    n_redacted: int = 0
    n_missing: int = 0
    """Records that were dropped or lost, as far as the log tells."""
    withheld: list[str] = field(default_factory=list)
    """What an export left out, in words."""
    is_purged: bool = False
    is_left_out: bool = False
    is_broken: bool = False

    @property
    def state(self) -> State:
        """One word for it, the worst first."""
        if self.is_broken:
            return "broken"
        if self.is_purged:
            return "purged"
        if self.is_left_out:
            return "missing"
        if self.n_missing:
            return "gap"
        if self.n_sealed < self.n_records:
            return "unsealed"
        return "redacted" if self.n_redacted else "sealed"


@dataclass(slots=True)
class Report:
    """What `verify` found."""

    source: str
    size: int
    """Entries in the store's own log."""
    root: str
    """Its root hash, hex."""
    signed_by: str | None = None
    """The origin whose key signed the head; None: it is not signed, or no key was given to check it with."""
    since: int | None = None
    """Size of the earlier head that this log was shown to continue."""
    engagements: dict[str, Covered] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was not checked, and why."""
    unproven: list[str] = field(default_factory=list)
    """Cells of an export's views whose evidence is withheld: `view.column of row`."""

    @property
    def ok(self) -> bool:
        """Whether everything holds that could be checked."""
        return not self.findings

    @property
    def n_unsealed(self) -> int:
        """Records that no seal covers yet: they could be altered without a trace."""
        return sum(one.n_records - one.n_sealed for one in self.engagements.values() if not one.is_purged)

    @property
    def withheld(self) -> list[str]:
        """What an export left out: its commitments are proved, its content is not here."""
        return [one for covered in self.engagements.values() for one in covered.withheld]

    def counts(self) -> dict[str, int]:
        """How many engagements are in which state."""
        return dict(Counter(one.state for one in self.engagements.values()))

    def raise_if_broken(self) -> Report:
        """Itself; raises VerificationError with the first finding when anything does not hold."""
        if self.findings:
            first, more = self.findings[0], len(self.findings) - 1
            also = f" (and {more} more: see .report.findings)" if more else ""
            raise VerificationError(f"{self.source} does not verify: {first}{also}", self)
        return self

    def frame(self) -> pl.DataFrame:
        """One row an engagement: engagement_id, state, n_records, n_sealed, n_redacted, n_missing."""
        import polars as pl

        ints = ("n_records", "n_sealed", "n_redacted", "n_missing")
        rows = [
            {"engagement_id": e.engagement_id, "state": e.state, **{name: getattr(e, name) for name in ints}}
            for e in self.engagements.values()
        ]
        return pl.DataFrame(
            rows, schema={"engagement_id": pl.String, "state": pl.String, **dict.fromkeys(ints, pl.Int64)}
        )

    def __str__(self) -> str:
        states = ", ".join(f"{n} {state}" for state, n in sorted(self.counts().items())) or "no engagements"
        lines = [
            f"{'verified' if self.ok else 'DOES NOT VERIFY'}: {self.source}",
            f"  engagements: {states}; {self.n_unsealed} records not under a seal yet",
            f"  log: {self.size} entries, root {self.root[:16]}…, "
            + (f"signed by {self.signed_by}" if self.signed_by else "no signature checked"),
        ]
        if self.since is not None:
            lines.append(f"  continues the log of {self.since} entries that was kept")
        if self.withheld:
            lines.append(
                f"  withheld: {len(self.withheld)}: {'; '.join(self.withheld[:3])}"
                + ", …"[: 3 * (len(self.withheld) > 3)]
            )
        if self.unproven:
            lines.append(f"  unproven in the views: {len(self.unproven)} cells, as {self.unproven[0]}")
        lines += [f"  ! {finding}" for finding in self.findings[:20]]
        lines += [f"  - {note}" for note in self.notes]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"
