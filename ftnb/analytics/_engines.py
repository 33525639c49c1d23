"""Where the steps of a source are, and the engine that reads them: polars on this machine, DuckDB or Spark in SQL.

Steps are the large table, so they stay where they are: polars reads them in batches of whole engagements, DuckDB and
Spark answer with a row an engagement. The other tables have far fewer rows and are read with polars.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import polars as pl

from ..core.errors import InvalidArgumentError
from ._sql import SqlSteps, duckdb_files, spark_files

Engine = Literal["polars", "duckdb", "spark"]
BATCH = 500_000
"""Steps that polars takes up at once; what bounds its memory."""

_AT_ONCE = 4
"""Pieces that are worked on at the same time, at most."""


class ScatteredError(Exception):
    """The rows of an engagement do not follow one another."""


@dataclass(frozen=True)
class PolarsSteps:
    """Steps that polars reads, from memory or from files; within an engagement, rows are in the order of execution."""

    frame: pl.LazyFrame | pl.DataFrame
    files: tuple[str, ...] = ()
    """The Parquet files that `frame` is all of, where that is so."""

    @property
    def schema(self) -> dict[str, Any]:
        """Column name to polars dtype."""
        return dict(self.frame.lazy().collect_schema())

    def ask(self, *expressions: pl.Expr) -> pl.DataFrame:
        """What these expressions say of all steps."""
        return self.frame.lazy().select(*expressions).collect(engine="streaming")

    @cached_property
    def most(self) -> dict[str, int]:
        """The highest `attempt` and `turn`, as far as these columns are there."""
        there = [name for name in ("attempt", "turn") if name in self.schema]
        noted = {name: noted_in(self.files, name) for name in there}
        if all(noted.values()):
            return {name: note[1] for name, note in noted.items() if note is not None}
        row = self.ask(*(pl.col(name).max() for name in there)).row(0, named=True) if there else {}
        return {name: value or 0 for name, value in row.items()}

    @cached_property
    def clock(self) -> tuple[int, int | None]:
        """How many steps have no `started_at`, and the latest one (us)."""
        begun = pl.col("started_at")
        is_time = isinstance(self.schema["started_at"], pl.Datetime)
        noted = noted_in(self.files, "started_at") if is_time else None
        if noted is not None:
            return noted
        latest = begun.dt.epoch("us").max() if is_time else pl.lit(None, pl.Int64)
        row: tuple[int, int | None] = self.ask(begun.null_count().alias("nulls"), latest.alias("latest")).row(0)
        return row

    def whole_engagements(
        self, columns: Sequence[pl.Expr], keep: pl.Expr | None, then: pl.Expr | None = None
    ) -> Iterator[tuple[pl.DataFrame, pl.Series]]:
        """These columns of the steps that `keep` holds for, and `then` of these columns, in pieces that hold whole
        engagements, with the rows at which these begin.

        Raises ScatteredError, at the latest at the end, when rows of one engagement do not follow one another.
        """
        heads: list[pl.Series] = []
        rows: pl.DataFrame | None = None
        for piece in self._pieces(columns, keep, then):
            if piece.is_empty():
                continue
            if rows is not None:
                # The last engagement may go on in the next piece.
                starts = head_rows(rows["engagement_id"])
                last = starts[-1]
                heads.append(rows["engagement_id"].gather(starts[:-1]))
                if last:
                    yield rows.slice(0, last), starts[:-1]
                piece = pl.concat([rows.slice(last), piece])
            rows = piece
        if rows is not None:
            starts = head_rows(rows["engagement_id"])
            heads.append(rows["engagement_id"].gather(starts))
            yield rows, starts
        if heads:
            every = pl.concat(heads)
            if not every.is_sorted() and every.n_unique() < len(every):
                raise ScatteredError

    def _pieces(
        self, columns: Sequence[pl.Expr], keep: pl.Expr | None, then: pl.Expr | None = None
    ) -> Iterator[pl.DataFrame]:
        wanted = self.frame.lazy() if keep is None else self.frame.lazy().filter(keep)
        wanted = wanted.select(columns) if then is None else wanted.select(columns).filter(then)
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


def noted_in(files: Sequence[str], column: str) -> tuple[int, int] | None:
    """How many nulls a column of integers or times (us) has, and its highest value, where Parquet files note that."""
    import pyarrow.parquet as pq

    nulls, highest = 0, list[int]()
    for file in files:
        with pq.ParquetFile(file) as opened:
            metadata, names = opened.metadata, opened.schema.names
        if column not in names:
            return None
        for group in range(metadata.num_row_groups):
            noted = metadata.row_group(group).column(names.index(column)).statistics
            if noted is None or not noted.has_min_max or noted.null_count is None or noted.physical_type != "INT64":
                return None
            if noted.logical_type.type == "TIMESTAMP" and "microseconds" not in str(noted.logical_type):
                return None
            nulls += noted.null_count
            highest.append(int(noted.max_raw))  # type: ignore[arg-type]
    return (nulls, max(highest)) if highest else None


T = TypeVar("T")
R = TypeVar("R")


def side_by_side(pieces: Iterator[T], work: Callable[[T], R]) -> Iterator[R]:
    """The answers of `work` for these pieces, in their order; a few are worked on at the same time.

    Polars works outside Python's lock, but much of what a kernel asks of it is one column after the other.
    """
    at_once = max(min(os.cpu_count() or 1, _AT_ONCE), 1)
    with ThreadPoolExecutor(at_once, "ftnb-analytics") as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                if len(waiting) > at_once:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # An interrupt must not wait for what nobody asks for any more.
            pool.shutdown(wait=False, cancel_futures=True)


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
            files = self.files("steps")
            return PolarsSteps(pl.scan_parquet(files, hive_partitioning=False), tuple(files))
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
