"""verify, purge and grant: whether traces are what was recorded, what of them is kept, and who may say so."""

from __future__ import annotations

from typing import Any

import click

from ..core.errors import VerificationError
from ._out import SAYS_NO, clean, examples, json_option, opened, print_json, print_table, store_argument, told


@click.command(
    "verify",
    epilog=examples(
        "ftnb verify share/ --key vkey.txt",
        "ftnb verify traces.db --since kept-head.txt",
    ),
)
@click.argument("path")
@click.option("--key", help="The verifier key of whoever recorded, or a file with it.")
@click.option("--since", help="A head that was kept, or a file with it: nothing before it may have changed.")
@json_option
@told
def verify_command(path: str, key: str | None, since: str | None, as_json: bool) -> None:
    """Check that PATH (a store, an export or a proof) is what was recorded. Exit code 3: it is not."""
    import ftnb

    try:
        report: Any = ftnb.verify(path, vkey=key, since=since)
    except VerificationError as error:
        if not as_json:
            raise
        print_json({"ok": False, "error": str(error), "findings": _findings(error.report)})
        raise SystemExit(SAYS_NO) from error
    if as_json:
        counts, notes = dict(report.counts), list(report.notes)
        print_json({"ok": report.ok, "signed_by": report.signed_by, "counts": counts, "notes": notes})
    else:
        click.echo(str(report))


def _findings(report: Any) -> list[dict[str, str]]:
    return [{"finding": str(one)} for one in getattr(report, "findings", ())]


@click.command(
    "purge",
    epilog=examples(
        "ftnb purge traces.db --max-age 90d --dry-run",
        "ftnb purge traces.db --max-age 90d",
    ),
)
@store_argument
@click.option("--max-age", required=True, help="How long an engagement is kept after its end, as 90d.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@told
def purge_command(store: str | None, max_age: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Erase engagements that ended longer ago than --max-age. Those on hold, running or paused stay."""
    retention = opened(store).retention(max_age=max_age)
    plan = retention.plan()
    frame = plan.frame()
    going = frame.filter(frame["action"] != "keep")
    if not dry_run and going.height and not yes:
        if as_json:
            raise click.UsageError("--json asks no questions: say --dry-run or --yes")
        click.confirm(f"Erase {going.height} of {frame.height} engagements, for good?", abort=True, err=True)
    if not dry_run:
        receipts = retention.apply(plan, progress=False)
        if as_json:
            print_json({"purged": list(receipts.ids), "kept": frame.height - len(receipts.ids)})
        else:
            click.echo(clean(repr(receipts)))
        return
    if as_json:
        print_json({"plan": dict(plan.n), "engagements": going.to_dicts()})
        return
    click.echo(clean(repr(plan)))
    if going.height:
        columns = ("engagement_id", "name", "status", "action", "why")
        print_table(columns, [[row[key] for key in columns] for row in going.head(50).iter_rows(named=True)])
        if going.height > 50:
            click.echo(f"… and {going.height - 50} more")


@click.command(
    "grant",
    epilog=examples(
        "ftnb grant postgresql://owner@db/traces app --may record",
        "ftnb grant postgresql://owner@db/traces keeper --may purge --sql",
    ),
)
@click.argument("store")
@click.argument("role")
@click.option("--may", type=click.Choice(["read", "record", "purge"]), required=True)
@click.option("--sql", is_flag=True, help="Only print the statements, for an administrator to run.")
@told
def grant_command(store: str, role: str, may: Any, sql: bool) -> None:
    """Let ROLE, which exists, use a PostgreSQL STORE. --may record: read and add, neither change nor erase. --may
    purge: read, erase and redact, not record."""
    import ftnb

    from ..store._postgres_roles import grants
    from ..store.postgres import PostgresStore

    opened_store: Any = ftnb.open(store).store
    if not isinstance(opened_store, PostgresStore):
        raise click.UsageError(f"only PostgreSQL has roles; {clean(store)} is something else")
    if sql:
        click.echo("\n".join(f"{statement};" for statement in grants(opened_store.table, role, may)))
    else:
        opened_store.grant(role, may)
        click.echo(f"{clean(role)} may {may}", err=True)
    opened_store.close()
