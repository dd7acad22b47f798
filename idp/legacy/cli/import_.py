"""`idp legacy import | import-all`: dumps of the old systems, taken in and back."""

import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import click
from sqlalchemy import select

from idp import import_command, web
from idp.accounts.named_operator import named_operator
from idp.db import large_job, session, transaction
from idp.enterprises import register
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput, shown
from idp.key_register import office_list
from idp.legacy import import_undo, importer, mapping
from idp.legacy.cli import LARGEST_NUMBER, group
from idp.legacy.reconciliation import Books


@group.command("import")
@click.option("--system", help="Code of the business system whose dump this is.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Day of the dump; of several dumps the later one counts.")
@click.option(
    "--mapping", "mapping_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Mapping file, instead of the one kept."
)
@click.option("--undo", "run_id", type=click.IntRange(1, LARGEST_NUMBER), help="Take this run of an import back instead.")
@import_command.strict_option
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@named_operator
def import_(files: tuple[Path, ...], system: str | None, as_of: datetime | None, mapping_file: Path | None, run_id: int | None, strict: bool) -> None:
    """Take dumps (FILES) of one old system in, or one such import back. Opens nothing yet: `idp legacy merge` makes the accounts."""
    if run_id is not None:
        if files or system or as_of or mapping_file or strict:
            raise click.UsageError("--undo RUN stands alone")
        _undo(run_id)
        return
    if not files or not system or not as_of:
        raise click.UsageError("give --system, --as-of and FILES")
    dump = importer.Dump(system, as_of.date(), mapping.load(system, mapping_file), web.runtime().secret, web.now())
    books = Books()
    import_command.run([(file, partial(importer.import_file, dump=dump, books=books)) for file in files], strict, books.close)


def _undo(run_id: int) -> None:
    """Take a run back; what has to stay is named on standard error, with exit code 3."""
    with transaction():
        large_job()
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
