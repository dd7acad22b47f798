"""`idp legacy cutover | incident | status`: the night of the cut-over, and the figures around it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from idp import web
from idp.accounts.named_operator import named, named_operator
from idp.adapters import BEIJING
from idp.audit.origin import current
from idp.db import transaction
from idp.enterprises.models import Enterprise
from idp.errors import BadInput, shown
from idp.legacy import cutover_orders, figures, merge
from idp.legacy import incident as incidents
from idp.legacy.cli import PIPED_COLUMNS, group
from idp.legacy.cutover_orders import Scope
from idp.legacy.models import LegacyCutover


@group.command("cutover")
@click.option("--system", help="Code of the business system, or `all`.")
@click.option("--at", help="When: `now`, or ISO 8601 such as 2026-12-01T02:00; Beijing time unless it names a zone.")
@click.option("--region", default="", help="Only enterprises whose region begins with this, such as 44.")
@click.option("--list", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Only these enterprises (CSV: enterprise_code).")
@click.option("--anyway", is_flag=True, help="Even where the figures say no.")
@click.option(
    "--revert", "ids", multiple=True, type=click.IntRange(1, 2**31 - 1), help="Take this cut-over back, before or after its time. Repeatable."
)
@click.option("--operator", help="Who runs this command, by name; kept in the audit.")
@click.option("--reason", help="Why; kept in the audit. No personal data.")
def cutover_(
    system: str | None,
    at: str | None,
    region: str,
    file: Path | None,
    anyway: bool,
    ids: tuple[int, ...],
    operator: str | None,
    reason: str | None,
) -> None:
    """From when the platform takes the place of a system's own log-in; without options: what is ordered. Let a region or a list go first."""
    ordered = bool(system and at)
    if bool(system) != bool(at) or (ids and (system or region or file)) or (region and file) or (not ordered and (region or file or anyway)):
        raise click.UsageError("give --system and --at, with --region or --list for those who go first; or --revert alone; or nothing")
    if not ordered and not ids:
        _list()
        return
    if not operator or not reason:
        raise click.UsageError("what changes something needs --operator and --reason")
    if ids:
        _revert(ids=ids, operator=operator, reason=reason)
    else:
        _order(system=system, at=at, region=region, file=file, anyway=anyway, operator=operator, reason=reason)


def _moment(text: str, now: datetime) -> datetime:
    """BadInput for what is no time, or has passed: old passwords would die too early."""
    try:
        at = now if text == "now" else datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput("is not a time such as 2026-12-01T02:00", field="--at") from error
    at = at if at.tzinfo else at.replace(tzinfo=BEIJING)
    if at < now:
        raise BadInput("has passed; say `now`", field="--at")
    return at


def _scope(region: str, file: Path | None) -> Scope:
    if region and not (region.isascii() and region.isdigit() and len(region) <= 12):
        raise BadInput("must be the beginning of a region's number", field="--region")
    return Scope(region, cutover_orders.enterprises(file) if file else ())


@named
def _order(system: str, at: str, region: str, file: Path | None, anyway: bool) -> None:
    now = web.now()
    moment, scope, systems = _moment(at, now), _scope(region, file), cutover_orders.systems(system)
    _go_or_no_go(systems, scope, anyway)
    if not region and not file:
        for code in systems:
            if not cutover_orders.piloted(code, now):
                click.echo(f"warning: nobody of {code} has gone first; --region or --list orders that", err=True)
    with transaction():
        made = cutover_orders.order(systems, scope, moment, current.get().operator, now)
    known = len(systems) * len(scope.targets) - len(made)
    click.echo(f"{len(made)} ordered · {known} stood already · from {_beijing(moment)}")
    _show([(row, None) for row in made] if len(made) <= len(systems) else [])


def _go_or_no_go(systems: Sequence[str], scope: Scope, anyway: bool) -> None:
    found = [cutover_orders.figures(code, scope) for code in systems]
    for each in found:
        verdict = "go" if each.go else "no-go"
        click.echo(
            f"{verdict}: {each.system}: {each.rows} rows · {each.unmerged} wait for a merge · {each.without_account} without account", err=not each.go
        )
    run = merge.unfinished()
    if run is not None:
        click.echo(f"no-go: merge {run.id} is not finished", err=True)
    if (run is not None or not all(each.go for each in found)) and not anyway:
        raise BadInput("not ready; nothing was ordered. `idp legacy merge --apply` first, or --anyway")


@named
def _revert(ids: tuple[int, ...]) -> None:
    with transaction():
        rows = cutover_orders.revert(ids, web.now())
    for row in rows:
        click.echo(f"taken back: {row.id}: {row.system} from {_beijing(row.at)}")


def _beijing(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M} (Beijing)"


def _whom(row: LegacyCutover, enterprise: Enterprise | None) -> str:
    if row.enterprise_id is not None:
        return enterprise.prefix if enterprise else f"enterprise {row.enterprise_id}"
    return f"region {row.region}…" if row.region else "all"


def _list() -> None:
    found = cutover_orders.standing()
    if not found:
        click.echo("no cut-over is ordered")
    _show(found)


def _show(found: Sequence[tuple[LegacyCutover, Enterprise | None]]) -> None:
    now = web.now()
    for row, enterprise in found:
        click.echo(
            f"{row.id}: {row.system} · {_whom(row, enterprise)} · {'since' if row.at <= now else 'from'} {_beijing(row.at)} · {shown(row.made_by)}"
        )


@group.group("incident")
def incident_() -> None:
    """Times in which the platform is known not to work: log-ins at the legacy entries are not counted."""


@incident_.command("declare")
@named_operator
def declare() -> None:
    """Begin one; --reason says what does not work."""
    origin = current.get()
    with transaction():
        row = incidents.declare(origin.operator, origin.why, web.now())
    click.echo(f"incident {row.id} is declared: no log-in at a legacy entry is counted")


@incident_.command("end")
@named_operator
def end() -> None:
    """End it."""
    with transaction():
        row = incidents.end(web.now())
    click.echo(f"incident {row.id} is over: log-ins at the legacy entries are counted again")


@group.command("status")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(as_json: bool) -> None:
    """The figures to watch: rows and accounts of each old system, whose people have come, log-ins at the legacy entry."""
    rows, under_way, run = figures.by_system(), incidents.open_one(), merge.unfinished()
    overall = {
        "accounts_without_password": figures.no_password(),
        "names_beyond_reach": len(figures.crowded_names()),
        "unfinished_merge": run.id if run else None,
        "incident": under_way.id if under_way else None,
    }
    if as_json:
        click.echo(json.dumps({"systems": [asdict(row) for row in rows], **overall}, indent=1))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=PIPED_COLUMNS)
    table = Table("system", "rows", "enabled", "unmerged", "without account", "have come", "legacy log-ins", title="Old systems")
    for row in rows:
        table.add_row(*map(str, asdict(row).values()))
    console.print(table)
    console.print(" · ".join(f"{name} {value}" for name, value in overall.items()), highlight=False)
