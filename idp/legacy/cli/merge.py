"""`idp legacy merge`: what the merge would do, doing it, and taking it back."""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from idp import import_command, web
from idp.accounts import directory
from idp.accounts.named_operator import named
from idp.audit.origin import current
from idp.db import transaction
from idp.errors import BadInput, Refusal, shown
from idp.legacy import figures, merge, undo, undo_order
from idp.legacy.cli import group, plan_report, probing
from idp.second_person.rules import Filer

# the code of why an account stays → what the operator reads
WHY = {
    "password": "its person has set a password",
    "linked": "it is linked with another account of its person",
    "later": "a later batch of a merge changed it: take that one back first",
    "decided": "its person, an officer or the key office has changed it since",
}
REFUSED = {"undone_already": "it is taken back already", "request_waiting": "the same waits for confirmation already"}


@group.command("merge")
@click.option("--plan", "show", is_flag=True, help="Show what would be done; writes nothing.")
@click.option("--apply", "do", is_flag=True, help="Do it.")
@click.option("--undo", "what", metavar="run:NUMBER|batch:NUMBER", help="Take it back: asks for a confirmation first; once confirmed, does it.")
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON.")
@probing.option
@click.option("--unprobed", is_flag=True, help="Apply without trying any old user first.")
@click.option("--operator", help="Who applies or takes back, by name; kept in the audit.")
@click.option("--reason", help="Why; kept in the audit. No personal data.")
def merge_(
    show: bool, do: bool, what: str | None, as_json: bool, file: Path | None, unprobed: bool, operator: str | None, reason: str | None
) -> None:
    """Merge old users of the same enterprise and e-key into accounts. Every probe must fit before anything is written, and open its account after."""
    if [show, do, what is not None].count(True) != 1 or (as_json and not show):
        raise click.UsageError("give either --plan [--json], --apply, or --undo")
    if do == (not file and not unprobed) or (file and unprobed) or (what is not None and file):
        raise click.UsageError("--apply wants --probes FILE, or --unprobed")
    # R90: a plan changes nothing
    if show == bool(operator or reason) or show != (not operator or not reason):
        raise click.UsageError("--apply and --undo want --operator and --reason, --plan neither")
    if show:
        _plan(file, as_json)
    elif what is not None:
        _undo(what=what, operator=operator, reason=reason)
    else:
        _apply(file=file, operator=operator, reason=reason)


def _plan(file: Path | None, as_json: bool) -> None:
    if file:
        probing.check(file)
    _warn(plan_report.show(web.today(), as_json))


@named
def _apply(file: Path | None) -> None:
    if file:
        probing.check(file)
    with import_command.progress_bar() as bar:
        task = bar.add_task("merge", total=None)
        proof = web.runtime().settings.sensitive_right_proof
        counts = merge.apply(web.now(), proof, lambda done, total: bar.update(task, completed=done, total=total))
    click.echo(" · ".join(f"{counts[what]} {what}" for what in ("made", "joined", "updated")))
    _warn(figures.crowds())
    if file:
        probing.check(file)


def _warn(crowds: Iterable[tuple[str, ...]]) -> None:
    """Say on standard error who cannot sign in by a name that too many accounts claim, and what each of them types instead."""
    for about in crowds:
        name, *accounts = map(shown, about)
        click.echo(f"WARNING: {len(accounts)} accounts claim the name {name}; sign-in looks at {directory.MAX_CANDIDATES} of them.", err=True)
        click.echo("  Let their people type (- = no name of its own; by the e-key or at the office only):", err=True)
        for account in accounts:
            click.echo(f"  {account}", err=True)


@named
def _undo(what: str) -> None:
    """R90: two persons. Files the request; once it is confirmed, the same command does it."""
    kind, number = undo_order.meant(what)
    batches = undo_order.ordered(kind, number)
    if batches:
        _take_back(batches)
        return
    origin, runtime = current.get(), web.runtime()
    with transaction():
        request = undo_order.file(kind, number, origin.why, Filer(None, origin.operator), runtime.hooks.acts, web.now())
    if isinstance(request, Refusal):
        raise BadInput(REFUSED.get(request.code, request.code), field="--undo")
    click.echo(f"request {request} waits for an officer; once it is confirmed, give the same command again")


def _take_back(batches: Iterable[int]) -> None:
    """Batch by batch; what stays is named on standard error, with exit code 3."""
    hooks, removed, returned, stayed = web.runtime().hooks, 0, 0, 0
    for batch_id in batches:
        with transaction():
            undone = undo.take_back(batch_id, hooks, web.now())
        for account_id, name, why in undone.stayed:
            click.echo(f"account {account_id} {shown(name)} stays: {WHY[why]}", err=True)
        removed, returned, stayed = removed + undone.removed, returned + undone.returned, stayed + len(undone.stayed)
    click.echo(f"{removed} removed · {returned} as before · {stayed} stay")
    if stayed:
        sys.exit(import_command.ROWS_LEFT_OUT)
