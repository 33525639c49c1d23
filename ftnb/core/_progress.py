"""How far long work is: a bar in a notebook, a line in a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

_EVERY = 0.2


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


def _in_notebook() -> bool:
    interactive = sys.modules.get("IPython")
    shell = None if interactive is None else interactive.get_ipython()
    return shell is not None and hasattr(shell, "kernel")
