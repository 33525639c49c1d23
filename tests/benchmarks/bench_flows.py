"""How long journeys take over a million steps: transitions, variants, step matrix, rework; with peers beside it.

    python tests/benchmarks/bench_flows.py [quick] [no-peers]

Peers are installed on demand, each into an environment of its own under build/bench-envs; what cannot be had is said.
All read the same Parquet file, which is warm. pm4py's counts must equal ours, or the benchmark fails.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

import polars as pl
from _envs import answer_of
from _journey_log import journeys
from _tools import Line, quantile, show

from ftnb.analytics import directly_follows, loops, sankey, step_matrix, variants

PER_JOURNEY = 6.7
Frames = tuple[pl.DataFrame, pl.DataFrame]


def write(folder: Path, n_steps: int) -> Path:
    """The log as Parquet: a file of steps and one of engagements, of which the former is returned."""
    rows = list(journeys(int(n_steps / PER_JOURNEY)))
    frame = pl.DataFrame(rows, schema=["engagement_id", "name", "started_at"], orient="row")
    path = folder / "steps.parquet"
    more = {"ns": pl.lit(""), "attempt": pl.lit(1, pl.Int64), "duration_ms": pl.lit(500.0), "total_tokens": pl.lit(120)}
    frame.with_columns(**more).write_parquet(path, compression="zstd")
    read(path)[1].write_parquet(folder / "engagements.parquet")
    return path


def read(path: Path) -> Frames:
    """Steps and engagements."""
    steps = pl.read_parquet(path)
    ids = steps.select("engagement_id").unique(maintain_order=True)
    return steps, ids.with_columns(status=pl.lit("completed"), dropped_at=pl.lit(None, pl.String))


def seconds(work: Callable[[], Any], rounds: int) -> float:
    """The median."""
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return quantile(found, 0.5)


def peer(name: str, path: Path) -> Any:
    """What a peer says of itself; a text when it cannot be had."""
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import json, _journey_log; "
    return answer_of(name, program + f"print(json.dumps(_journey_log.times({str(path)!r})))")


def in_duckdb(path: Path, engagements: pl.DataFrame) -> Any:
    """The graph as DuckDB counts it, from the file."""
    import duckdb

    scanned = f"SELECT *, file_row_number AS seq FROM read_parquet('{path}', file_row_number = true)"
    return directly_follows((duckdb.connect().sql(scanned), engagements), relation="sequence")


def lines_of(*, quick: bool, peers: bool) -> tuple[list[Line], bool]:
    """The table, and whether pm4py counts as we do; true without it."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), 100_000 if quick else 1_000_000)
        source = read(path)
        rounds = 3 if quick else 7
        directly_follows(source)
        alone = seconds(lambda: directly_follows(source, relation="sequence"), rounds)
        n = f"{source[0].height:,} steps"
        by_sql = seconds(lambda: in_duckdb(path, source[1]), 3)
        lines = [
            Line(f"transitions of {n}, in memory", "< 0.15 s", f"{alone:.3f} s", None if quick else alone < 0.15),
            Line("counted by DuckDB, from the file", "", f"{by_sql:.3f} s"),
        ]
        for name, work in (("variants", variants), ("step matrix", step_matrix), ("flows", sankey), ("rework", loops)):
            lines.append(Line(name, "", f"{seconds(lambda work=work: work(source), rounds):.3f} s"))
        edges_of_peer = None
        for name, reach in (("pm4py", 10), ("retentioneering", 5)) if peers else ():
            found = peer(name, path)
            loaded = seconds(lambda: directly_follows(path.parent, relation="sequence"), rounds)
            if isinstance(found, str) or name not in found:
                lines.append(Line(name, f">= {reach} x", found if isinstance(found, str) else "not there"))
                continue
            edges_of_peer = found.get("edges", edges_of_peer)
            ratio = found[name]["with loading"] / loaded
            text = f"{ratio:.1f} x ours ({found[name]['with loading']:.2f} s against {loaded:.3f} s)"
            label = f"transitions, {name}; both from the warm file, medians"
            lines.append(Line(label, f">= {reach} x", text, None if quick else ratio >= reach))
        edges = directly_follows(source, relation="sequence").frame().drop_nulls(["from_name", "to_name"])
        ours = sorted([a, b, n] for a, b, n in edges.select("from_name", "to_name", "n").iter_rows())
    return lines, edges_of_peer in (None, ours)


def main() -> None:
    """Print the table. Exits with 1 when pm4py counts otherwise."""
    lines, agree = lines_of(quick="quick" in sys.argv, peers="no-peers" not in sys.argv)
    show("Journeys", lines)
    if not agree:
        print("pm4py counts otherwise")
        sys.exit(1)


if __name__ == "__main__":
    main()
