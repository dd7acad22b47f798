"""What all importing commands share: one transaction for all files of a command, a progress bar on a terminal, reports, exit codes."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from idp.db import large_job, transaction
from idp.delimited import Report
from idp.errors import BadInput

ROWS_LEFT_OUT = 3
strict_option = click.option("--strict", is_flag=True, help="Take all rows or none: any row that cannot be taken refuses the whole command.")
file_argument = click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))


Importer = Callable[[Path, Report], None]


def run(files: Sequence[tuple[Path, Importer]], strict: bool, close: Callable[[], Iterable[str]] = lambda: ()) -> None:
    """Import `files` in this order in one transaction, so that a refusal (exit code 1) has written nothing; exit code 3 where rows were left out.

    Rejected rows go to standard error as `file:line: column: reason`, the counts to standard output; below them the lines of `close`, which
    runs last in the transaction.
    """
    total: Counter[str] = Counter()
    with progress_bar() as bar, transaction():
        large_job()
        for file, importer in files:
            report = _report(file, bar)
            importer(file, report)
            total += report.counts
        if strict and total["rejected"]:
            raise BadInput(f"{total['rejected']} rows cannot be taken; --strict: nothing was written")
        lines = list(close())
    click.echo(
        " · ".join(f"{total[what]} {what}" for what in ("added", "changed", "unchanged", "older", "rejected") if total[what] or what != "older")
    )
    for line in lines:
        click.echo(line)
    if total["rejected"]:
        sys.exit(ROWS_LEFT_OUT)


def progress_bar() -> Progress:
    """A bar on standard error, and only if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _report(file: Path, bar: Progress) -> Report:
    try:
        task = bar.add_task(file.name, total=file.stat().st_size)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", str(file)) from error
    return Report(str(file), tell=lambda text: click.echo(text, err=True), read_bytes=lambda count: bar.advance(task, count))
