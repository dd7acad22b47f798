"""`idp legacy …`: the dumps of the old systems, and the merge of their users into accounts."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path

import click
from flask.cli import AppGroup
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import select

from idp import import_command, web
from idp.accounts import directory
from idp.accounts.named_operator import named, named_operator
from idp.db import session, transaction
from idp.enterprises import register
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput, shown
from idp.key_register import office_list
from idp.legacy import import_undo, importer, mapping, merge, merge_plan, old_users
from idp.legacy.cli import probing
from idp.legacy.merge_plan import Note, Plan, PlannedAccount
from idp.legacy.reconciliation import Books

PIPED_COLUMNS = 200
LARGEST_NUMBER = 2**31 - 1
group = AppGroup("legacy", help="Dumps of the old systems, and the merge of their users into accounts.")


@group.command("import")
@click.option("--system", help="Code of the business system whose dump this is.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Day of the dump; of several dumps the later one counts.")
@click.option(
    "--mapping", "mapping_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Mapping file, instead of the one kept."
)
@click.option("--undo", "run_id", type=click.IntRange(1, LARGEST_NUMBER), help="Take this run of an import back instead; needs --operator, --reason.")
@import_command.strict_option
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--operator", help="Who takes a run back, by name; kept in the audit.")
@click.option("--reason", help="Why; kept in the audit. No personal data.")
def import_(
    files: tuple[Path, ...],
    system: str | None,
    as_of: datetime | None,
    mapping_file: Path | None,
    run_id: int | None,
    strict: bool,
    operator: str | None,
    reason: str | None,
) -> None:
    """Take dumps (FILES) of one old system in, or one such import back. Opens nothing yet: `idp legacy merge` makes the accounts."""
    if run_id is not None:
        if files or system or as_of or mapping_file or strict or not operator or not reason:
            raise click.UsageError("--undo RUN stands alone, with --operator and --reason")
        _undo(run_id=run_id, operator=operator, reason=reason)
        return
    if not files or not system or not as_of or operator or reason:
        raise click.UsageError("give --system, --as-of and FILES; --operator and --reason belong to --undo")
    dump = importer.Dump(system, as_of.date(), mapping.load(system, mapping_file), web.runtime().secret, web.now())
    books = Books()
    import_command.run([(file, partial(importer.import_file, dump=dump, books=books)) for file in files], strict, books.close)


@named
def _undo(run_id: int) -> None:
    """Take a run back; what has to stay is named on standard error, with exit code 3."""
    with transaction():
        import_command.large_cache()
        undone = import_undo.undo(run_id, web.now(), lambda user, why: click.echo(f"{shown(user)}: {why}", err=True))
    click.echo(f"{undone.removed} removed · {undone.returned} as before · {undone.stayed} stay")
    if undone.stayed:
        sys.exit(import_command.ROWS_LEFT_OUT)


@group.command("import-all")
@click.option("--as-of", required=True, type=click.DateTime(["%Y-%m-%d"]), help="Day of the dumps.")
@import_command.strict_option
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@named_operator
def import_all(folder: Path, as_of: datetime, strict: bool) -> None:
    """Take a whole FOLDER in at once: enterprises.csv, ekeys.csv, and legacy/SYSTEM.csv for each system; dumps that are not there are named."""
    now, secret = web.now(), web.runtime().secret
    systems = list(session.scalars(select(BusinessSystem.code).order_by(BusinessSystem.position)))
    missing = _missing(folder, systems)
    files: list[tuple[Path, import_command.Importer]] = [
        (folder / "enterprises.csv", lambda path, report: register.import_file(path, report, now)),
        (folder / "ekeys.csv", lambda path, report: office_list.import_file(path, report, secret, now)),
    ]
    books = Books()
    for system in systems:
        file = _dump(folder, system)
        if file not in missing:
            dump = importer.Dump(system, as_of.date(), mapping.load(system), secret, now)
            files.append((file, partial(importer.import_file, dump=dump, books=books)))
    for file in missing:
        click.echo(f"{file}: not there; passed over", err=True)
    import_command.run(files, strict, books.close)


def _dump(folder: Path, system: str) -> Path:
    return folder / "legacy" / f"{system}.csv"


def _missing(folder: Path, systems: Sequence[str]) -> list[Path]:
    """Dumps that are not there; BadInput where a register or every dump is missing: that is no folder of dumps."""
    registers = [file for file in (folder / "enterprises.csv", folder / "ekeys.csv") if not file.is_file()]
    there = [file for system in systems if (file := _dump(folder, system)).exists() or file.is_symlink()]
    odd = next((file for file in there if not file.is_file()), None)
    if odd:
        raise BadInput("is there, but is no file", str(odd))
    dumps = [file for system in systems if not (file := _dump(folder, system)).exists()]
    if registers or len(dumps) == len(systems):
        named = ", ".join(str(file.relative_to(folder)) for file in (*registers, *dumps))
        raise BadInput(f"not there: {named or 'business systems; run `idp init` first'}", str(folder))
    return dumps


@group.command("merge")
@click.option("--plan", "show", is_flag=True, help="Show what would be done; writes nothing.")
@click.option("--apply", "do", is_flag=True, help="Do it.")
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON.")
@probing.option
@click.option("--unprobed", is_flag=True, help="Apply without trying any old user first.")
def merge_(show: bool, do: bool, as_json: bool, file: Path | None, unprobed: bool) -> None:
    """Merge old users of the same enterprise and e-key into accounts. Every probe must fit before anything is written, and open its account after."""
    if show == do or (as_json and do):
        raise click.UsageError("give either --plan [--json] or --apply")
    if do == (not file and not unprobed) or (file and unprobed):
        raise click.UsageError("--apply wants --probes FILE, or --unprobed")
    if file:
        probing.check(file)
    if show:
        plan = merge_plan.plan(old_users.read(web.now().date()))
        _show(plan, as_json)
        _warn(plan)
        return
    with import_command.progress_bar() as bar:
        task = bar.add_task("merge", total=None)
        proof = web.runtime().settings.sensitive_right_proof
        counts = merge.apply(web.now(), proof, lambda done, total: bar.update(task, completed=done, total=total))
    click.echo(" · ".join(f"{counts[what]} {what}" for what in ("made", "joined", "updated")))
    _warn(merge_plan.plan(old_users.read(web.now().date())))
    if file:
        probing.check(file)


def _warn(plan: Plan) -> None:
    """Say on standard error who cannot sign in by a name that too many accounts claim, and what each of them types instead."""
    for note in plan.notes:
        if note.code == merge_plan.BEYOND_REACH:
            name, *accounts = map(shown, note.about)
            click.echo(f"WARNING: {len(accounts)} accounts claim the name {name}; sign-in looks at {directory.MAX_CANDIDATES} of them.", err=True)
            click.echo("  Let their people type (- = no name of its own; by the e-key or at the office only):", err=True)
            for account in accounts:
                click.echo(f"  {account}", err=True)


def totals(plan: Plan) -> dict[str, int]:
    """The figures of a plan: accounts in all and to be made, aliases, merges, and each kind of note."""
    found = Counter(note.code for note in (*plan.notes, *(note for account in plan.accounts for note in account.notes)))
    return {
        "rows": sum(len(account.rows) for account in plan.accounts),
        "accounts": len(plan.accounts),
        "to_make": sum(account.account_id is None for account in plan.accounts),
        "joining_rows": sum(len(account.joining) for account in plan.accounts),
        "joining_names": sum(len(account.names) for account in plan.accounts),
        **dict(sorted(found.items())),
    }


def _show(plan: Plan, as_json: bool) -> None:
    if as_json:
        body = {"totals": totals(plan), "accounts": [_as_json(account) for account in plan.accounts], "notes": [asdict(note) for note in plan.notes]}
        click.echo(json.dumps(body, ensure_ascii=False, indent=1))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_COLUMNS)
    table = Table("enterprise", "e-key", "name", "class", "old users", "notes", title="Accounts with rows that join")
    for account in plan.accounts:
        if account.joining:
            table.add_row(*_cells(account))
    console.print(table)
    for note in plan.notes:
        console.print(_words(note), highlight=False, markup=False)
    console.print(" · ".join(f"{name} {count}" for name, count in totals(plan).items()), highlight=False)


def _words(note: Note) -> str:
    return shown(f"{note.code}: {', '.join(note.about)}" if note.about else note.code)


def _cells(account: PlannedAccount) -> list[str]:
    users = "\n".join(shown(f"{user.system}:{user.username}{'' if user.enabled else ' (disabled)'}") for user in account.rows)
    notes = "\n".join(_words(note) for note in account.notes)
    # old user names are strangers' text: brackets in them are no markup
    return [escape(cell) for cell in (account.prefix, account.key_serial or "–", account.canonical, str(account.user_class), users, notes)]


def _as_json(account: PlannedAccount) -> dict[str, object]:
    """An account of the plan without its contacts."""
    joining = {user.id for user in account.joining}
    return {
        "account": account.account_id,
        "enterprise": account.prefix,
        "key": account.key_serial or None,
        "name": account.canonical,
        "class": account.user_class,
        "enabled": account.enabled,
        "approved": account.approved,
        "blocked": account.blocked,
        "rows": [
            {"row": user.id, "system": user.system, "user": user.username, "enabled": user.enabled, "joins": user.id in joining}
            for user in account.rows
        ],
        "names": [name for name, _system, _local in account.names],
        "notes": [asdict(note) for note in account.notes],
    }


from idp.legacy.cli import cutover, entry, letters, rehearse  # noqa: E402, F401  # they add their commands to the group above
