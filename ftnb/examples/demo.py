"""Record many runs of the house-search agent, and look at all of them: `python -m ftnb.examples.demo`.

Writes a store with every run, and one HTML file that needs no network: a failed run to click through, and the funnel.
Run again, it adds to the store; what it shows is always its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

import ftnb

from ..core.ids import new_id
from ..traces import Traces
from ..widget.html import Fragment, Heading, TrustedHtml, write_page
from ..widget.payload import engagement_payload
from . import _report as report
from ._progress import block, progress
from .house_search import FUNNEL, GLOBAL_NODES, GOAL_NODES, build_graph, make_users, run_one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit status."""
    options = _parse(arguments)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal that cannot show m² shows a question mark
    try:
        return _run(options.n, options.seed, options.store, options.out)
    except ftnb.FtnbError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ftnb.examples.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=_count, default=300, metavar="N", help="how many engagements (default: 300)")
    parser.add_argument("--store", type=Path, default=Path("traces-demo.db"), help="the store to record into")
    parser.add_argument("--out", type=Path, default=Path("ftnb-demo.html"), help="the HTML file to write")
    parser.add_argument("--seed", type=int, default=9, help="which users come (default: 9)")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least one engagement is needed, not {number}")
    return number


def _run(n: int, seed: int, store: Path, out: Path) -> int:
    print(f"Recording {_engagements(n)} of a house-search agent into {store}")
    this_run = new_id()
    ftnb.start(store)
    try:
        interrupted = _record(n, seed, this_run)
    finally:
        ftnb.stop()
    tr = ftnb.open(store)
    engagements = tr.engagements(meta=["demo_run"]).filter(pl.col("demo_run") == this_run)
    if interrupted:
        print(f"Interrupted: {_engagements(engagements.height)} recorded so far; this is what they show.")
    if engagements.is_empty():
        return 130
    tables = _tables(tr, engagements, this_run)
    for title, table in tables.items():
        print(f"\n{title}\n{table.text(block=block())}")
    write_page(out, f"{_engagements(engagements.height)} of a house-search agent", _page(tr, engagements, tables))
    _say_what_next(store, out, tr.engagements().height - engagements.height)
    tr.close()
    return 130 if interrupted else 0


def _record(n: int, seed: int, this_run: str) -> bool:
    """Run the agent for `n` users; True when somebody pressed Ctrl-C before all had come."""
    graph = build_graph()
    try:
        for user in progress(make_users(n, seed=seed), unit="engagements"):
            metadata = {**user.metadata, "demo_run": this_run}
            try:
                with ftnb.record("house_search", metadata=metadata, goal_nodes=GOAL_NODES, global_nodes=GLOBAL_NODES):
                    run_one(graph, user)
            except (ZeroDivisionError, ConnectionError):
                pass  # these runs fail on purpose: the trace shows where and why
    except KeyboardInterrupt:
        return True
    return False


def _tables(tr: Traces, engagements: pl.DataFrame, this_run: str) -> dict[str, report.Table]:
    steps = tr.steps().join(engagements.select("engagement_id"), on="engagement_id", how="semi")
    funnel = tr.funnel(FUNNEL, mode="ordered", where={"demo_run": this_run}).frame()
    return {
        "How they ended": report.outcomes(engagements),
        "What went wrong": report.failures(steps),
        "How far they came": report.funnel_table(list(funnel.select("name", "reached").iter_rows())),
    }


def _page(tr: Traces, engagements: pl.DataFrame, tables: dict[str, report.Table]) -> list[Fragment]:
    """The HTML file: a run to click through, then the tables."""
    failed = engagements.filter(pl.col("status") == "failed")
    shown = tr.engagement(_telling(engagements if failed.is_empty() else failed))
    hint = "" if failed.is_empty() else " Red is where it broke: what that step was given shows why."
    return [
        TrustedHtml(report.STYLE),
        "Recorded while the agent ran, with no change to its code. This file loads nothing from elsewhere.",
        Heading("One of them" if failed.is_empty() else "One that failed"),
        f"Click a node, a lane or a mark: graph, timeline and details follow each other.{hint}",
        engagement_payload(shown.model, resolve=shown.resolve),
        *(part for name, table in tables.items() for part in (Heading(name), TrustedHtml(table.html()))),
    ]


def _telling(engagements: pl.DataFrame) -> str:
    """Id of one that is worth a look: long enough to loop, short enough to be seen at once."""
    return str(engagements.sort((pl.col("n_steps") - 9).abs(), maintain_order=True)["engagement_id"][0])


def _say_what_next(store: Path, out: Path, n_older: int) -> None:
    older = f" (and {_engagements(n_older)} of earlier runs)" if n_older else ""
    print(
        f"""
Written
  {out}  one of them to click through, and the funnel; open it in a browser
  {store}  every run, with all that went in and out{older}

Next
  make lab  the first notebook: record an agent and look at it
  python -c "import ftnb; print(ftnb.open({str(store)!r}).steps())"  the same runs as frames"""
    )


def _engagements(n: int) -> str:
    return f"{n} engagement{'' if n == 1 else 's'}"


if __name__ == "__main__":
    sys.exit(main())
