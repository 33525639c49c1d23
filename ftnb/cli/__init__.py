"""The `ftnb` command. Importing this loads nothing: what a command needs is imported when it runs."""

from __future__ import annotations


def main() -> None:
    """What the console script calls."""
    from ._main import run

    run()
