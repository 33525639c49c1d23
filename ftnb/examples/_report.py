"""What the demo shows of many engagements: small tables, once as text and once as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_BAR = 30
_NUMBER = ' class="number"'


@dataclass(frozen=True)
class Bar:
    """A cell drawn as a bar; `share` is in [0, 1]."""

    share: float


Cell = str | int | float | Bar
"""Text is set left, numbers right; a float is rounded to one decimal."""


@dataclass(frozen=True)
class Table:
    """Rows of cells under their headings."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    def text(self, *, block: str = "█") -> str:
        """Aligned columns, two spaces in from the left."""
        body = [[_as_text(cell, block) for cell in row] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(self.headings, *body, strict=True)]
        left = [not self.rows or isinstance(cell, str | Bar) for cell in (self.rows or [self.headings])[0]]
        lines = [
            "  ".join(cell.ljust(width) if is_left else cell.rjust(width) for cell, width, is_left in cells).rstrip()
            for cells in (zip(row, widths, left, strict=True) for row in [self.headings, *body])
        ]
        return "\n".join(f"  {line}" for line in lines)

    def html(self) -> str:
        """A `<table>`; every text in it is escaped."""
        numeric = [isinstance(cell, int | float) for cell in (self.rows or [self.headings])[0]]
        heads = zip(self.headings, numeric, strict=True)
        head = "".join(f"<th{_NUMBER * is_number}>{escape(heading)}</th>" for heading, is_number in heads)
        body = "".join(f"<tr>{''.join(map(_as_html, row))}</tr>" for row in self.rows)
        return f'<table class="report"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


STYLE = """<style>
table.report { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 8px 0 16px; }
table.report th, table.report td { padding: 3px 14px 3px 0; text-align: left; }
table.report th { font-weight: 600; border-bottom: 1px solid #8884; }
table.report .number { text-align: right; }
table.report td.bar { width: 320px; }
table.report td.bar div { background: #0072b2; height: 14px; border-radius: 2px; }
</style>"""


def _number(cell: int | float) -> str:
    return f"{cell:,.1f}" if isinstance(cell, float) else f"{cell:,}"


def _as_text(cell: Cell, block: str) -> str:
    if isinstance(cell, Bar):
        return block * round(cell.share * _BAR)
    return cell if isinstance(cell, str) else _number(cell)


def _as_html(cell: Cell) -> str:
    if isinstance(cell, Bar):
        return f'<td class="bar"><div style="width:{100 * cell.share:.1f}%"></div></td>'
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    return f"<td{_NUMBER}>{_number(cell)}</td>"


def outcomes(engagements: pl.DataFrame) -> Table:
    """How the engagements ended, the most frequent first."""
    import polars as pl

    rows = (
        engagements.group_by("status")
        .agg(
            pl.len().alias("n"),
            pl.col("n_steps").mean().round(1),
            pl.col("total_tokens").median().cast(pl.Int64),
            pl.col("duration_ms").median(),
            pl.col("duration_ms").quantile(0.95).alias("slow_ms"),
        )
        .sort("n", descending=True)
    )
    total = max(engagements.height, 1)
    return Table(
        ("status", "engagements", "%", "steps (mean)", "tokens (median)", "ms (median)", "ms (p95)"),
        [
            (status, n, 100 * n / total, steps, tokens, median_ms or 0.0, slow_ms or 0.0)
            for status, n, steps, tokens, median_ms, slow_ms in rows.iter_rows()
        ],
    )


def failures(steps: pl.DataFrame) -> Table:
    """The errors that ended steps, the most frequent first."""
    import polars as pl

    failed = steps.filter(pl.col("status") == "failed").group_by("name", "error_type", "error").len()
    rows = failed.sort("len", "name", descending=[True, False]).iter_rows()
    # An exception without a message is known by its class alone.
    told = [(name, ": ".join(dict.fromkeys(filter(None, (kind, error)))), n) for name, kind, error, n in rows]
    return Table(("step", "error", "engagements"), told)


def funnel_table(steps: Sequence[tuple[str, int]]) -> Table:
    """Step names with how many engagements reached each, in the funnel's order."""
    entered = steps[0][1] if steps else 0
    rows: list[tuple[Cell, ...]] = []
    before = entered
    for name, reached in steps:
        kept = 100 * reached / before if before else 0.0
        share = reached / entered if entered else 0.0
        rows.append((name, reached, 100 * share, kept, Bar(share)))
        before = reached
    return Table(("step", "reached", "% of first", "% of step before", ""), rows)
