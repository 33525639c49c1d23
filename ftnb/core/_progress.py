"""How far long work is: a bar in a notebook, a line in a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

_EVERY = 0.2
_PATIENCE = 1.0
"""Seconds that reading may take before it says how far it is."""
_T = TypeVar("_T")


class Progress:
    """Shows `done` of `total`, five times a second at most."""

    def __init__(self, total: int, shown: bool | Callable[[int, int], Any]) -> None:
        """`shown`: True or False, or a function that is given (done, total)."""
        self._total, self._shown = total, shown
        self._handle: Any = None
        self._last = 0.0

    def at(self, done: int, text: str) -> None:
        """`done` are through; `text` says so, and what else there is to say."""
        if self._shown is False:
            return
        now = time.monotonic()
        if done < self._total and now - self._last < _EVERY:
            return
        self._last = now
        if callable(self._shown):
            self._shown(done, self._total)
        elif _in_notebook():
            self._in_cell(done, text)
        elif sys.stderr.isatty():
            end = "\n" if done == self._total else ""
            sys.stderr.write(f"\r{text}{end}")
            sys.stderr.flush()

    def _in_cell(self, done: int, text: str) -> None:
        from IPython.display import HTML, display

        shown: Any = HTML(  # type: ignore[no-untyped-call]
            f'<progress max="{self._total}" value="{done}"></progress> {text}'
        )
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown)

    def gone(self) -> None:
        """Take away what is shown."""
        if self._handle is not None:
            from IPython.display import HTML

            self._handle.update(HTML(""))  # type: ignore[no-untyped-call]
        elif self._last and self._shown is True and sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def reading(pieces: Iterable[_T], n: int, what: str, *, doing: str = "reading") -> Iterator[_T]:
    """`pieces`, of which there are about `n`; when they take long, the cell or terminal that waits for them is told how
    far they are, until they are through."""
    if threading.current_thread() is not threading.main_thread():
        yield from pieces  # nobody waits for what a thread of ours reads
        return
    shown, begun = Progress(n, True), time.monotonic()
    try:
        for done, piece in enumerate(pieces, 1):
            yield piece
            if done < n and time.monotonic() - begun > _PATIENCE:
                shown.at(done, f"{doing} {what}: {done / n:.0%}")
    finally:
        shown.gone()


def _in_notebook() -> bool:
    interactive = sys.modules.get("IPython")
    shell = None if interactive is None else interactive.get_ipython()
    return shell is not None and hasattr(shell, "kernel")
