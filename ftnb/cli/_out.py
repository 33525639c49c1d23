"""What commands print: text that cannot command a terminal, tables, JSON, progress, and errors with their exit code."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click

from ..core.errors import FtnbError, VerificationError

P = ParamSpec("P")

FAILED, SAYS_NO = 1, 3
"""Exit codes: an error that was told; the answer is no (does not verify, something is not as it should be)."""
DEFAULT_STORE = "traces.db"


def told(command: Callable[P, Any]) -> Callable[P, None]:
    """Tell errors of this package in one line, and end with their exit code."""

    @wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except VerificationError as error:
            _say(error)
            sys.exit(SAYS_NO)
        except (FtnbError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                # Whoever read has enough, as `head` has; nothing is left to be flushed into it.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(0)
            _say(error)
            sys.exit(FAILED)

    return call


def _say(error: BaseException) -> None:
    click.echo(f"error: {clean(str(error) or type(error).__name__)}", err=True)


def store_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """The store that a command looks at: an argument, $FTNB_STORE, or ./traces.db."""
    text = click.argument("store", required=False, default=None, envvar="FTNB_STORE", shell_complete=_complete_path)
    return text(command)


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join(["\b", "Examples", *(f"  {line}" for line in lines)])


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _complete_path(context: Any, parameter: Any, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def opened(store: str | None) -> Any:
    """The traces at `store`. Raises what `ftnb.open` does."""
    import ftnb

    if store is None and not Path(DEFAULT_STORE).exists():
        raise click.UsageError(f"which store? Give a path or URL, or set FTNB_STORE; there is no {DEFAULT_STORE} here")
    return ftnb.open(store or DEFAULT_STORE)


def clean(text: object) -> str:
    """`text` on one line, without characters that a terminal would obey: traces hold what anybody said."""
    return "".join(one if one.isprintable() else " " if one in "\n\t" else repr(one)[1:-1] for one in str(text))


def print_json(value: Any) -> None:
    """One JSON document."""
    from ..core._plain_json import encode

    click.echo(encode(value).decode("utf-8"))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Aligned columns: numbers right, text left; the last column is cut to the terminal."""
    cells = [["" if one is None else clean(one) for one in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    right = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(headings))]
    wide = shutil.get_terminal_size().columns
    for row in [list(headings), *cells]:
        parts = [one.rjust(w) if r else one.ljust(w) for one, w, r in zip(row, widths, right, strict=True)]
        line = "  ".join(parts).rstrip()
        click.echo(line[: wide - 1] + "…" if sys.stdout.isatty() and len(line) > wide else line)


def progress(unit: str) -> Callable[[int, int], None]:
    """Tells how far long work is, on the error stream of a terminal."""
    from ..core._progress import Progress

    shown: list[Progress] = []

    def at(done: int, total: int) -> None:
        if not shown:
            shown.append(Progress(total, True))
        shown[0].at(done, f"{done:,} of {total:,} {unit}")

    return at


def duration(ms: float | None) -> str:
    """For people."""
    if ms is None:
        return "–"
    return f"{ms:.0f} ms" if ms < 1_000 else f"{ms / 1_000:.1f} s" if ms < 90_000 else f"{ms / 60_000:.1f} min"
