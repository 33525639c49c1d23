"""doctor: what is installed, what can be recorded here, and whether the store is reached."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from ..core._version import __version__
from ..core.errors import FtnbError
from ._out import DEFAULT_STORE, SAYS_NO, clean, examples, json_option, print_json, store_argument

_CORE = ("pydantic", "polars", "pandas", "pyarrow", "narwhals", "plotly", "anywidget", "ipywidgets", "orjson")
_OPTIONAL = {
    "langgraph": "langgraph", "langchain-core": "langgraph", "instructor": "extraction", "litellm": "llm",
    "openai": "openai", "anthropic": "anthropic", "google-genai": "google", "redis": "redis", "psycopg": "postgres",
    "fastapi": "server", "uvicorn": "server", "websockets": "server", "opentelemetry-sdk": "otel",
    "cryptography": "audit", "duckdb": "scale", "pyspark": "scale", "resvg-py": "png", "jupyterlab": "",
}  # fmt: skip


@click.command(
    "doctor",
    epilog=examples(
        "ftnb doctor",
        "ftnb doctor postgresql://db/traces --json",
    ),
)
@store_argument
@json_option
def doctor_command(store: str | None, as_json: bool) -> None:
    """Say what is installed, what can be recorded, and whether a store is reached. Exit code 3: something is wrong."""
    checks = [_widget(), *_langgraph(), *_store(store)]
    found: dict[str, Any] = {
        "ftnb": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "packages": {name: _version(name) for name in (*_CORE, *_OPTIONAL)},
        "checks": checks,
    }
    if as_json:
        print_json(found)
    else:
        _print(found, checks)
    if any(one["ok"] is False for one in checks):
        raise SystemExit(SAYS_NO)


def _print(found: dict[str, Any], checks: list[dict[str, Any]]) -> None:
    click.echo(f"ftnb {found['ftnb']}, Python {found['python']}, {found['platform']}")
    there = {name: version for name, version in found["packages"].items() if version}
    click.echo("installed   " + ", ".join(f"{name} {version}" for name, version in there.items()))
    missing = [
        f"{name} (ftnb[{_OPTIONAL[name]}])" if _OPTIONAL[name] else name for name in _OPTIONAL if name not in there
    ]
    if missing:
        click.echo("optional, not installed   " + ", ".join(missing))
    for one in checks:
        mark = {True: "ok", False: "WRONG", None: "--"}[one["ok"]]
        click.echo(f"{mark:>5}  {one['what']}: {clean(one['detail'])}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _check(what: str, ok: bool | None, detail: str) -> dict[str, Any]:
    """`ok` None: it does not matter here."""
    return {"what": what, "ok": ok, "detail": detail}


def _widget() -> dict[str, Any]:
    from ..widget.html import read_bundle

    try:
        return _check("widget", True, f"the bundle is there ({len(read_bundle()) // 1000} kB)")
    except FtnbError as error:
        return _check("widget", False, str(error))


def _langgraph() -> list[dict[str, Any]]:
    version = _version("langgraph")
    if version is None:
        return [_check("LangGraph", None, "not installed: plain Python and spans are recorded, graphs are not")]
    from ..langgraph_adapter import tap

    if tap.ensure():
        tap.remove()
        return [_check("LangGraph", True, f"{version}: runs are recorded with their states, writes and checkpoints")]
    lost = f"{version}: it cannot be looked into, as said above. Runs are recorded by callbacks alone: steps and calls"
    return [_check("LangGraph", False, lost)]


def _store(store: str | None) -> list[dict[str, Any]]:
    if store is None and not Path(DEFAULT_STORE).exists():
        return [_check("store", None, "none was named, and there is no traces.db here")]
    import ftnb

    try:
        opened = ftnb.open(store or DEFAULT_STORE)
        newest = opened.store.list_engagements(limit=1, newest=True)
        last, _ = opened.store.revision()
        advice: list[Any] = getattr(opened.store, "advice", list)()
        opened.close()
    except (FtnbError, OSError) as error:
        return [_check("store", False, str(error))]
    latest = f"newest engagement {newest[0].name!r}, {newest[0].started_at:%Y-%m-%d %H:%M} UTC" if newest else "empty"
    reached = _check("store", True, f"{store or DEFAULT_STORE}: record {last}, {latest}")
    return [reached, *(_check("store", ok, text) for ok, text in advice)]
