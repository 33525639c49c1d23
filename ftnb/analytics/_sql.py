"""Steps that an SQL engine reads: DuckDB or Spark, over Parquet files or a frame of theirs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from ..core._optional import require
from ..core.errors import InvalidArgumentError
from ..core.ids import new_id

if TYPE_CHECKING:
    import pyarrow as pa

_FILE = 1 << 40
"""More rows than a file has: the order of steps is that of the files, and of the rows within each."""


@dataclass(frozen=True)
class SqlSteps:
    """Steps in an SQL engine. `query` asks of the view `steps`, which has the column `pos`: the order of its rows."""

    engine: Literal["duckdb", "spark"]
    run: Callable[[str], pa.Table]
    types: dict[str, str]
    """Column name to the engine's own name of its type, in lower case."""

    def query(self, sql: str) -> pl.DataFrame:
        """The answer to one statement over `steps`."""
        found = pl.from_arrow(self.run(sql))
        assert isinstance(found, pl.DataFrame)
        return found

    @cached_property
    def schema(self) -> dict[str, str]:
        """Column name to type."""
        return self.types

    def micros(self, column: str) -> str:
        """A column of times as integer microseconds since 1970, UTC; a time without a zone counts as UTC."""
        if self.engine == "duckdb":
            return f"epoch_us({quoted(self, column)})"
        if self.types[column] == "timestamp_ntz":
            return f"timestampdiff(MICROSECOND, TIMESTAMP_NTZ'1970-01-01 00:00:00', {quoted(self, column)})"
        return f"unix_micros({quoted(self, column)})"

    def array(self, *values: str) -> str:
        """An array of these integers."""
        inner = ", ".join(f"CAST({value} AS BIGINT)" for value in values)
        return f"[{inner}]" if self.engine == "duckdb" else f"array({inner})"

    def joined(self, first: str, *others: str) -> str:
        """Arrays one after the other; a null one counts as empty, but for the first."""
        for other in others:
            if self.engine == "duckdb":
                first = f"list_concat({first}, coalesce({other}, CAST([] AS BIGINT[])))"
            else:
                first = f"concat({first}, coalesce({other}, CAST(array() AS ARRAY<BIGINT>)))"
        return first

    def at(self, array: str, place: int) -> str:
        """The entry of an array at a place counted from 0; null when it is not so long."""
        return f"({array})[{place + 1}]" if self.engine == "duckdb" else f"get({array}, {place})"

    def last(self, value: str) -> str:
        """The window function that gives the latest value that is not null."""
        return f"last_value({value} IGNORE NULLS)" if self.engine == "duckdb" else f"last_value({value}) IGNORE NULLS"


def quoted(steps: SqlSteps, name: str) -> str:
    """A column's name in the engine's quotes."""
    if steps.engine == "duckdb":
        return '"' + name.replace('"', '""') + '"'
    return "`" + name.replace("`", "``") + "`"


def text(steps: SqlSteps, value: str) -> str:
    """A text as an SQL literal."""
    if steps.engine == "spark":
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "'" + value.replace("'", "''") + "'"


def duckdb_files(files: Sequence[str]) -> SqlSteps:
    """Parquet files, read by DuckDB."""
    duckdb = require("duckdb", feature="engine='duckdb'", extra="scale")
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    listed = "[" + ", ".join("'" + file.replace("'", "''") + "'" for file in files) + "]"
    place = "file_row_number"
    if len(files) > 1:
        place = f"file_row_number + (list_position({listed}, filename) - 1) * {_FILE}"
    scanned = f"read_parquet({listed}, file_row_number = true, filename = true, hive_partitioning = false)"
    connection.execute(f"CREATE TEMP VIEW steps AS SELECT * EXCLUDE (file_row_number, filename), {place} AS pos "
                       f"FROM {scanned}")  # fmt: skip
    return _duckdb(lambda sql: connection.sql(sql))


def duckdb_relation(relation: Any) -> SqlSteps:
    """A relation of DuckDB; its own connection answers. Raises InvalidArgumentError when nothing says its order."""
    ordered = relation.project(_with_pos(relation.columns, "DuckDB relation"))
    return _duckdb(lambda sql: ordered.query("steps", sql))


def _duckdb(sql: Callable[[str], Any]) -> SqlSteps:
    sample = sql("SELECT * FROM steps LIMIT 0")
    types = {name: str(kind).lower() for name, kind in zip(sample.columns, sample.types, strict=True)}
    return SqlSteps("duckdb", lambda query: sql(query).to_arrow_table(), types)


def spark_files(files: Sequence[str]) -> SqlSteps:
    """Parquet files, read by Spark: by the session that is active, else by one on this machine."""
    spark = _spark_session()
    frame = spark.read.parquet(*files)
    place = "_metadata.row_index"
    if len(files) > 1:
        # Spark names files in a way of its own, but sorts them as we do.
        paths = sorted(row[0] for row in frame.select("_metadata.file_path").distinct().collect())
        cases = " ".join(f"WHEN {_spark_text(path)} THEN {at * _FILE}L" for at, path in enumerate(paths))
        place = f"_metadata.row_index + CASE _metadata.file_path {cases} END"
    return _spark(frame.selectExpr("*", f"{place} AS pos"))


def spark_frame(frame: Any) -> SqlSteps:
    """A dataframe of Spark. Raises InvalidArgumentError when nothing says the order of its rows."""
    return _spark(frame.selectExpr(*_with_pos(frame.columns, "Spark dataframe").split(", ")))


def _spark(frame: Any) -> SqlSteps:
    view = f"ftnb_{new_id()}"
    frame.createOrReplaceTempView(view)
    session = frame.sparkSession

    def run(sql: str) -> Any:
        with warnings.catch_warnings():
            # PySpark warns about the pandas that is installed; none of it is used here.
            warnings.simplefilter("ignore", FutureWarning)
            return session.sql(f"WITH steps AS (SELECT * FROM {view}) {_nested(sql)}").toArrow()

    return SqlSteps("spark", run, {name: kind.lower() for name, kind in frame.dtypes})


def _nested(sql: str) -> str:
    """A statement behind other common table expressions: one list of them is all that there may be."""
    begun = sql.lstrip()
    return f", {begun[5:]}" if begun[:5].upper() == "WITH " else begun


def _spark_text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _spark_session() -> Any:
    sql = require("pyspark.sql", feature="engine='spark'", extra="scale")
    active = sql.SparkSession.getActiveSession()
    if active is not None:
        return active
    builder = sql.SparkSession.builder.appName("ftnb").config("spark.ui.enabled", "false")
    # On this machine alone, unless the environment says otherwise; a name that resolves nowhere must not matter.
    return builder.config("spark.driver.host", "127.0.0.1").config("spark.sql.shuffle.partitions", "8").getOrCreate()


def _with_pos(columns: Sequence[str], what: str) -> str:
    if "pos" in columns:
        return "*"
    if "seq" in columns:
        return "*, seq AS pos"
    raise InvalidArgumentError(
        f"a {what} has no order of rows, so its steps need a column 'seq' that says the order of execution; "
        f"columns: {', '.join(columns)}. Or name the Parquet folder: ftnb.open(path, engine=…)"
    )
