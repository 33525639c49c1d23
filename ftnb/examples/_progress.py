"""A progress bar without a package: one line on a terminal, a line for every tenth in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TextIO, TypeVar

T = TypeVar("T")
_WIDTH = 32
_REDRAW_S = 0.05


def progress(items: Sequence[T], *, unit: str, out: TextIO | None = None) -> Iterator[T]:
    """Yield `items`, showing how many are done on `out` (standard error)."""
    stream = sys.stderr if out is None else out
    draw = _draw_bar if stream.isatty() else _draw_lines
    started = drawn = time.monotonic()
    done = 0
    draw(stream, 0, len(items), 0.0, unit)
    try:
        for item in items:
            yield item
            done += 1
            now = time.monotonic()
            if not stream.isatty() or done == len(items) or now - drawn > _REDRAW_S:
                drawn = now
                draw(stream, done, len(items), now - started, unit)
    finally:
        if stream.isatty():
            stream.write("\n")
            stream.flush()


def _draw_bar(stream: TextIO, done: int, total: int, seconds: float, unit: str) -> None:
    filled = _WIDTH * done // total if total else _WIDTH
    speed = f"  {done / seconds:.0f}/s" if seconds > 0 else ""
    stream.write(f"\r  [{block(stream) * filled}{'.' * (_WIDTH - filled)}] {done}/{total} {unit}{speed}   ")
    stream.flush()


def _draw_lines(stream: TextIO, done: int, total: int, seconds: float, unit: str) -> None:
    if done and (done == total or 10 * done // total > 10 * (done - 1) // total):
        stream.write(f"  {done}/{total} {unit}, {seconds:.1f} s\n")
        stream.flush()


def block(stream: TextIO | None = None) -> str:
    """What bars are made of: a block where the stream can show one."""
    encoding = getattr(sys.stdout if stream is None else stream, "encoding", None) or "ascii"
    try:
        "█".encode(encoding)
    except UnicodeEncodeError:
        return "#"
    return "█"
