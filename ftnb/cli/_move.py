"""export, import and copy: traces from and to elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._out import clean, examples, json_option, opened, print_json, print_table, progress, told

_BY_SUFFIX = {".parquet": "parquet", ".html": "html", ".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "event_log"}


@click.command(
    "export",
    epilog=examples(
        "ftnb export share/ --store traces.db        a Parquet folder, which can be verified",
        "ftnb export run.html -e 01a2052fa4          one engagement as a page",
    ),
)
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--store", "-s", envvar="FTNB_STORE", help="A path or URL; default: $FTNB_STORE, or traces.db.")
@click.option(
    "--format", "-f", "format_", help="parquet, html, or another that ftnb can write; default: by the file's name."
)
@click.option("--engagement", "-e", multiple=True, help="Only this engagement; may be given again.")
@json_option
@told
def export_command(
    target: Path, store: str | None, format_: str | None, engagement: tuple[str, ...], as_json: bool
) -> None:
    """Write engagements to TARGET."""
    tr = opened(store)
    if engagement:
        tr = tr.only([tr.engagement(one).id for one in engagement])
    wanted = format_ or _BY_SUFFIX.get(target.suffix.lower(), "parquet")
    if wanted == "html":
        _write_page(tr, target, engagement)
    else:
        write: Any = getattr(tr, f"to_{wanted}", None)
        if write is None:
            known = sorted({"html", *(name.removeprefix("to_") for name in dir(tr) if name.startswith("to_"))})
            raise click.UsageError(f"no format {wanted!r}; known: {', '.join(known)}")
        write(target)
    if as_json:
        print_json({"format": wanted, "target": str(target)})
    else:
        click.echo(f"written to {target}", err=True)


def _write_page(tr: Any, target: Path, engagement: tuple[str, ...]) -> None:
    from ..widget.html import engagement_page
    from ..widget.payload import engagement_payload

    if len(engagement) != 1:
        raise click.UsageError("a page shows one engagement: name it with --engagement")
    handle = tr.engagement(engagement[0])
    target.write_text(engagement_page(engagement_payload(handle.model, resolve=handle.resolve)), encoding="utf-8")


@click.command(
    "import",
    epilog=examples(
        "ftnb import spans.jsonl --into traces.db",
        "ftnb import checkpoints.sqlite --into traces.db --json",
    ),
)
@click.argument("source")
@click.option("--into", required=True, help="The store to write to; made when it is not there.")
@click.option("--format", "-f", "format_", help="What it is, where that cannot be seen from the file.")
@click.option("--lenient", is_flag=True, help="Leave out what cannot be read, and say what, instead of stopping.")
@json_option
@told
def import_command(source: str, into: str, format_: str | None, lenient: bool, as_json: bool) -> None:
    """Read the traces of other tools (SOURCE: a file, folder or database) into a store."""
    from ..interop._read import load
    from ..store._url import make_store

    loaded = load(source, format=format_, strict=not lenient, into=make_store(into), columns=None)
    report: Any = loaded.report
    if as_json:
        print_json({"counts": dict(report.counts), "fields": report.frame().to_dicts()})
    else:
        click.echo(str(report))
    loaded.store.close()


@click.command(
    "copy",
    epilog=examples(
        "ftnb copy traces.db archive.db",
        "ftnb copy traces.db redis://localhost/0#prod",
        "ftnb copy postgresql://db/traces share/",
    ),
)
@click.argument("source")
@click.argument("target")
@json_option
@told
def copy_command(source: str, target: str, as_json: bool) -> None:
    """Copy all engagements of SOURCE into TARGET, any backend to any other, with every hash as it was.

    A copy that was interrupted goes on where it stopped. A TARGET that ends with / or .parquet is a Parquet export.
    """
    import ftnb

    done: Any = ftnb.copy(source, target, progress=False if as_json else progress("engagements"))
    if as_json:
        print_json(done)
    elif isinstance(done, Path):
        click.echo(f"written to {clean(done)}", err=True)
    else:
        print_table(("engagements", "records", "values", "there already", "purged there"),
                    [(done.engagements, done.records, done.blobs, done.unchanged, done.purged)])  # fmt: skip
