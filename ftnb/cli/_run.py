"""serve, demo, lab and completion: things that run."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from ..core.errors import MissingPackageError
from ._out import examples, opened, store_argument, told

_NOTEBOOK = "ftnb-start.ipynb"
_AGENT = """from ftnb.examples.house_search import build_graph, make_users, run_one

app = build_graph()
user = make_users(1, seed=3)[0]
result = run_one(app, user)"""


@click.command(
    "serve",
    epilog=examples(
        "ftnb serve traces.db",
        "ftnb serve postgresql://db/traces --port 8500",
        "ssh -L 8400:localhost:8400 machine ftnb serve traces.db",
    ),
)
@store_argument
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; the default is this machine only."
)
@click.option("--port", default=8400, show_default=True, type=click.IntRange(1, 65535))
@click.option("--token", envvar="FTNB_TOKEN", help="The token to ask for (better in $FTNB_TOKEN); default: a new one.")
@click.option("--no-token", is_flag=True, help="Ask for none: whoever can reach the port reads everything.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Another name under which it is reached.")
@click.option("--open/--no-open", "open_browser", default=True, help="Open a browser.")
@told
def serve_command(
    store: str | None,
    host: str,
    port: int,
    token: str | None,
    no_token: bool,
    allow_host: tuple[str, ...],
    open_browser: bool,
) -> None:
    """Show a store in a browser: the list, runs as they happen, read only."""
    if token and no_token:
        raise click.UsageError("--token and --no-token exclude each other")
    # By name: the command and the server do not depend on each other.
    serve: Any = importlib.import_module("ftnb.server.app").serve
    wanted = None if no_token else token or "auto"
    traces = opened(store)
    try:
        serve(traces, host, port, token=wanted, open_browser=open_browser, allowed_hosts=allow_host)
    finally:
        traces.close()


@click.command("demo", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo_command(arguments: tuple[str, ...]) -> None:
    """Record many runs of an example agent, and look at all of them (`ftnb demo --help`)."""
    try:
        main: Any = importlib.import_module("ftnb.examples.demo").main
    except ModuleNotFoundError as error:
        click.echo(f"error: the demo needs {error.name!r}: pip install 'ftnb[langgraph]'", err=True)
        raise SystemExit(1) from error
    raise SystemExit(main(list(arguments)))


@click.command("lab")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@told
def lab_command(no_browser: bool) -> None:
    """Start JupyterLab with a notebook that records an example agent."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise MissingPackageError("ftnb lab needs the package 'jupyterlab': pip install jupyterlab")
    path = Path(_NOTEBOOK)
    if path.exists():
        click.echo(f"{path} is there already, and is opened as it is", err=True)
    else:
        path.write_text(_notebook(), encoding="utf-8")
    options = ["--no-browser"] if no_browser else []
    raise SystemExit(subprocess.run([sys.executable, "-m", "jupyterlab", str(path), *options], check=False).returncode)


def _notebook() -> str:
    import json

    cells = [
        ("markdown", "# What did the agent do?\n\nOne line records every LangGraph run of this notebook."),
        ("code", "%load_ext ftnb"),
        ("code", _AGENT),
        ("code", "import ftnb\n\nftnb.last()"),
        ("code", "tr = ftnb.open(\"traces.db\")\ntr.steps()"),
    ]  # fmt: skip
    made: list[dict[str, Any]] = [
        {"cell_type": kind, "id": f"cell-{n}", "metadata": {}, "source": text}
        | ({"execution_count": None, "outputs": []} if kind == "code" else {})
        for n, (kind, text) in enumerate(cells)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return json.dumps({"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


@click.command(
    "completion",
    epilog=examples(
        "ftnb completion bash >> ~/.bashrc",
        "ftnb completion fish > ~/.config/fish/completions/ftnb.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print what makes the shell complete `ftnb` commands."""
    from click.shell_completion import get_completion_class

    from ._main import command

    made: Any = get_completion_class(shell)
    click.echo(made(command, {}, "ftnb", "_FTNB_COMPLETE").source())
