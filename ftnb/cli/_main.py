"""The command and its parts."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..core._version import __version__

_HOME = {
    "ls": "_look", "show": "_look", "funnel": "_look",
    "export": "_move", "import": "_move", "copy": "_move",
    "verify": "_keep", "purge": "_keep", "grant": "_keep",
    "serve": "_run", "demo": "_run", "lab": "_run",
    "doctor": "_doctor", "completion": "_run",
}  # fmt: skip

_EPILOG = """\b
Examples
  ftnb demo                            record an example agent, and look at it
  ftnb ls traces.db --status failed    the newest engagements that failed
  ftnb show 01a2052fa4 traces.db       one of them, step by step
  ftnb serve traces.db                 all of it in a browser
  ftnb copy traces.db postgresql://db/traces

\b
Where a command takes a STORE it is a path or a URL (sqlite:///, redis://, postgresql://); without one it is
$FTNB_STORE, or traces.db in this folder.

\b
Exit codes
  0  done            2  the command was not understood
  1  an error        3  the answer is no: it does not verify, or something is not as it should be"""


class _Commands(click.Group):
    """Commands whose module is imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_HOME)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        import importlib

        home = _HOME.get(cmd_name)
        if home is None:
            return None
        module = importlib.import_module(f"{__package__}.{home}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from difflib import get_close_matches

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], _HOME, n=1)
            if near:
                raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from error
            raise


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="ftnb")
def command() -> None:
    """Record, see, explore and share what happens between a user and an agent."""


def run() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal that cannot show m² shows a question mark
    command(prog_name="ftnb")
