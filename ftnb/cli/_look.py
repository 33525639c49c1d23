"""ls, show and funnel: looking at what was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ._out import clean, duration, examples, json_option, opened, print_json, print_table, store_argument, told

_STATUSES = ("active", "paused", "completed", "failed", "abandoned")


@click.command(
    "ls",
    epilog=examples(
        "ftnb ls traces.db -n 50",
        "ftnb ls --where user_id=u-42 --json | jq '.[].id'",
    ),
)
@store_argument
@click.option("-n", "limit", default=20, show_default=True, type=click.IntRange(1), help="How many, the newest first.")
@click.option("--status", multiple=True, type=click.Choice(_STATUSES), help="Only those; may be given again.")
@click.option("--name", help="Only engagements of this name.")
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Only those with this metadata; may be given again.")
@json_option
@told
def ls_command(
    store: str | None, limit: int, status: tuple[str, ...], name: str | None, where: tuple[str, ...], as_json: bool
) -> None:
    """List engagements, the newest first."""
    tr = opened(store)
    metadata = dict(map(_pair, where))
    found = []
    # Read by halves: what is asked for is mostly among the newest.
    page = max(limit, 100)
    while True:
        every = tr.store.list_engagements(metadata or None, limit=page, newest=True)
        found = [
            one for one in every if (not status or one.status.value in status) and (name is None or one.name == name)
        ]
        if len(found) >= limit or len(every) < page:
            break
        page *= 4
    found = found[:limit]
    if as_json:
        print_json(found)
        return
    rows = [
        (one.id, one.status.value, one.name[:40], f"{one.started_at:%Y-%m-%d %H:%M:%S}", one.step_count,
         one.total_tokens, one.dropped_at or "") for one in found
    ]  # fmt: skip
    if rows:
        print_table(("engagement", "status", "name", "began (UTC)", "steps", "tokens", "left at"), rows)
    else:
        click.echo("no engagements" + (" that fit" if status or name or where else ""), err=True)


def _pair(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise click.UsageError(f"{text!r} is not understood; write KEY=VALUE")
    try:
        read = json.loads(value)
    except ValueError:
        return key, value
    # A number, true, false or null reads as such; "42" in quotes is the text.
    return key, read if isinstance(read, int | float | bool | str | None) else value


@click.command(
    "show",
    epilog=examples(
        "ftnb show 01a2052fa4 traces.db",
        "ftnb show 01a2052fa4 --step search",
        "ftnb show 01a2052fa4 --html run.html",
    ),
)
@click.argument("engagement")
@store_argument
@click.option("--step", help="One step, by name or id: what went in and out of it.")
@click.option(
    "--html", "html", type=click.Path(dir_okay=False, path_type=Path), help="Write the interactive view to this file."
)
@json_option
@told
def show_command(engagement: str, store: str | None, step: str | None, html: Path | None, as_json: bool) -> None:
    """Show ENGAGEMENT (an id, or its first characters) step by step."""
    handle = opened(store).engagement(engagement)
    model = handle.model
    if html is not None:
        from ..widget.html import engagement_page
        from ..widget.payload import engagement_payload

        html.write_text(engagement_page(engagement_payload(model, resolve=handle.resolve)), encoding="utf-8")
        click.echo(f"written to {html}", err=True)
    elif step is not None:
        _show_step(handle.step(step), as_json)
    elif as_json:
        print_json(model)
    else:
        _show_engagement(model)


def _show_engagement(model: Any) -> None:
    click.echo(f"{clean(model.name)}  {model.status.value}  {model.started_at:%Y-%m-%d %H:%M:%S} UTC")
    parts = ((len(model.steps), "step"), (model.total_tokens, "token"), (model.n_turns, "turn"))
    counts = ", ".join(f"{n:,} {noun}{'' if n == 1 else 's'}" for n, noun in parts)
    click.echo(f"{model.id}  {counts}")
    for key, value in model.metadata.items():
        click.echo(f"  {clean(key)}: {clean(value)[:200]}")
    if model.error:
        click.echo(f"error: {clean(model.error)}")
    if model.dropped_at:
        click.echo(f"left at {clean(model.dropped_at)}")
    rows = [
        (
            i,
            one.name,
            one.visit,
            one.status.value,
            duration(one.duration_ms),
            len(one.events),
            one.total_tokens,
            one.error or "",
        )
        for i, one in enumerate(model.steps, start=1)
    ]
    if rows:
        click.echo("")
        print_table(("", "step", "visit", "status", "took", "events", "tokens", "error"), rows)
    for gap in model.gaps:
        click.echo(f"missing: {gap.count} records ({clean(gap.reason)}: {clean(gap.detail)})")


def _show_step(step: Any, as_json: bool) -> None:
    model = step.model
    resolve = step.engagement.resolve
    state = None if model.state_ref is None else resolve(model.state_ref)
    update = None if model.update_ref is None else resolve(model.update_ref)
    if as_json:
        print_json({"step": model, "input": state, "output": update})
        return
    click.echo(f"{clean(model.name)}  visit {model.visit}  {model.status.value}  {duration(model.duration_ms)}")
    if model.error:
        click.echo(f"error: {clean(model.error)}")
    for title, value in (("input", state), ("output", update)):
        click.echo(f"\n{title}")
        for key, part in value.items() if isinstance(value, dict) else [("", value)] if value is not None else []:
            click.echo(f"  {clean(key)}: {clean(part)}")
    for event in model.events:
        tokens = f", {event.tokens.total} tokens" if event.tokens else ""
        click.echo(f"\n{event.kind.value} {clean(event.name)}  {duration(event.duration_ms)}{tokens}")
        click.echo(f"  {clean(event.error or event.payload)}")


@click.command(
    "funnel",
    epilog=examples(
        "ftnb funnel intake search submitted --store traces.db",
        "ftnb funnel intake submitted --mode ordered --by cohort --json",
    ),
)
@click.argument("steps", nargs=-1, required=True)
@click.option("--store", "-s", envvar="FTNB_STORE", help="A path or URL; default: $FTNB_STORE, or traces.db.")
@click.option(
    "--mode", type=click.Choice(["visited", "ordered", "strict", "any"]), default="visited", show_default=True
)
@click.option("--within", help="Only within this time, as 1h.")
@click.option("--by", help="Split by this metadata key.")
@json_option
@told
def funnel_command(
    steps: tuple[str, ...], store: str | None, mode: Any, within: str | None, by: str | None, as_json: bool
) -> None:
    """How many engagements reached each of STEPS."""
    options = {key: value for key, value in (("within", within), ("by", by)) if value is not None}
    frame = opened(store).funnel(list(steps), mode=mode, **options).frame()
    if as_json:
        print_json(frame.to_dicts())
        return
    wanted: list[str] = [one for one in (by, "group") if one is not None and one in frame.columns][:1]
    wanted += [
        one
        for one in ("name", "reached", "step_conversion_rate", "overall_conversion_rate", "dropped")
        if one in frame.columns
    ]
    shown = [
        [_rate(row[key]) if key.endswith("_rate") else row[key] for key in wanted]
        for row in frame.iter_rows(named=True)
    ]
    print_table([key.removesuffix("_rate").replace("_", " ") for key in wanted], shown)


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
