"""Where the steps of a source are, and the engine that reads them: polars on this machine, DuckDB or Spark in SQL.

Steps are the large table, so they stay where they are: polars reads them in batches of whole engagements, DuckDB and
Spark answer with a row an engagement. The other tables have far fewer rows and are read with polars.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from ..core.errors import InvalidArgumentError
from ._sql import SqlSteps, duckdb_files, spark_files

Engine = Literal["polars", "duckdb", "spark"]
BATCH = 1_000_000
"""Steps that polars takes up at once; what bounds its memory."""


class ScatteredError(Exception):
    """The rows of an engagement do not follow one another."""


@dataclass(frozen=True)
class PolarsSteps:
    """Steps that polars reads, from memory or from files; within an engagement, rows are in the order of execution."""

    frame: pl.LazyFrame | pl.DataFrame

    @property
    def schema(self) -> dict[str, Any]:
        """Column name to polars dtype."""
        return dict(self.frame.lazy().collect_schema())

    def ask(self, *expressions: pl.Expr) -> pl.DataFrame:
        """What these expressions say of all steps."""
        return self.frame.lazy().select(*expressions).collect(engine="streaming")

    def whole_engagements(self, columns: Sequence[pl.Expr], keep: pl.Expr | None) -> Iterator[pl.DataFrame]:
        """These columns of the steps that `keep` holds for, in pieces that hold whole engagements.

        Raises ScatteredError, at the latest at the end, when rows of one engagement do not follow one another.
        """
        heads: list[pl.Series] = []
        rest: pl.DataFrame | None = None
        for piece in self._pieces(columns, keep):
            rows = piece if rest is None else pl.concat([rest, piece])
            starts = head_rows(rows["engagement_id"])
            if not len(starts):
                continue
            # The last engagement may go on in the next piece.
            last = starts[-1]
            heads.append(rows["engagement_id"].gather(starts[:-1]))
            if last:
                yield rows.slice(0, last)
            rest = rows.slice(last)
        if rest is not None:
            heads.append(rest["engagement_id"].head(1))
            yield rest
        if heads:
            every = pl.concat(heads)
            if not every.is_sorted() and every.n_unique() < len(every):
                raise ScatteredError

    def _pieces(self, columns: Sequence[pl.Expr], keep: pl.Expr | None) -> Iterator[pl.DataFrame]:
        wanted = self.frame.lazy() if keep is None else self.frame.lazy().filter(keep)
        wanted = wanted.select(columns)
        if isinstance(self.frame, pl.LazyFrame):
            yield from wanted.collect_batches(chunk_size=BATCH, maintain_order=True, engine="streaming")
            return
        whole = wanted.collect()
        for at in range(0, whole.height, BATCH):
            yield whole.slice(at, BATCH)

    def gathered(self, columns: Sequence[pl.Expr], keep: pl.Expr | None) -> PolarsSteps:
        """The same, in memory, with the rows of each engagement brought together in the order that they have."""
        rows = pl.concat([pl.DataFrame(), *self._pieces(columns, keep)], how="diagonal")
        return PolarsSteps(rows.sort("engagement_id", maintain_order=True))


def head_rows(ids: pl.Series) -> pl.Series:
    """The places at which another value begins."""
    return ids.ne_missing(ids.shift(1)).scatter(0, True).arg_true() if len(ids) else pl.Series([], dtype=pl.UInt32)


Steps = PolarsSteps | SqlSteps


@dataclass(frozen=True)
class Views:
    """The tables of an exported folder: `steps.parquet`, or a folder `steps/` of Parquet files, and so on."""

    folder: Path
    engine: Engine

    @classmethod
    def at(cls, folder: Path, engine: Engine) -> Views | None:
        """The views in `folder`; None when it holds no steps."""
        views = cls(folder, engine)
        return views if folder.is_dir() and views.files("steps") else None

    def files(self, table: str) -> list[str]:
        """Paths of the files of a table, in the order in which their rows count; empty when it is not there."""
        single = self.folder / f"{table}.parquet"
        if single.is_file():
            return [str(single)]
        return sorted(str(path) for path in (self.folder / table).glob("**/*.parquet"))

    def scan(self, table: str) -> pl.LazyFrame | None:
        """A table, read with polars; None when it is not there."""
        files = self.files(table)
        return pl.scan_parquet(files, hive_partitioning=False) if files else None

    def steps(self) -> Steps:
        """The steps, read by the engine."""
        if self.engine == "polars":
            return PolarsSteps(pl.scan_parquet(self.files("steps"), hive_partitioning=False))
        return (duckdb_files if self.engine == "duckdb" else spark_files)(self.files("steps"))


def ensure_views(store: Any, engine: str) -> None:
    """Raises InvalidArgumentError for an engine that there is not, or a store with no tables that one could read."""
    if engine not in get_args(Engine):
        raise InvalidArgumentError(f"no engine {engine!r}; engines: {', '.join(get_args(Engine))}")
    path = getattr(store, "path", None)
    if not isinstance(path, Path) or Views.at(path, "polars") is None:
        raise InvalidArgumentError(
            f"engine={engine!r} reads an exported folder, and {store!r} is none; write one with to_parquet('share/')"
        )
