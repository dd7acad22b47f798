"""`idp legacy verify | rehearse`: what would fail, before it does."""

import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from idp.errors import BadInput, shown
from idp.import_command import ROWS_LEFT_OUT
from idp.legacy import rehearsal
from idp.legacy.cli import group, probing
from idp.legacy.rehearsal import Ran, Scratch

WHO = ("--operator", "rehearsal", "--reason", "rehearsal")
# how a row that is left out is named: file:line: …
PLACE = re.compile(r"^.+?:\d+: (?!warning: |.+?: warning: )")
MEGABYTE = 1024 * 1024


@group.command("verify")
@probing.option
def verify(file: Path | None) -> None:
    """Try old users whose password is known: whether they will open, or after the merge do open, their account. Exit code 1 if one fails."""
    if file is None:
        raise click.UsageError("give --probes FILE")
    probing.check(file)


@group.command("rehearse")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--as-of", required=True, type=click.DateTime(["%Y-%m-%d"]), help="Day of the dumps.")
@probing.option
@click.option("--scratch", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where the scratch database may stand meanwhile.")
@click.option("--show", "most", default=20, show_default=True, type=click.IntRange(0), help="How many rows that are left out are named.")
def rehearse(folder: Path, as_of: datetime, file: Path | None, scratch: Path | None, most: int) -> None:
    """Import FOLDER and merge it in a scratch database: what would be left out or fail, time and memory of each step.

    Exit codes: 0 all would pass · 3 it would pass, but rows are left out, or people could not sign in by name and password · 1 it would not.
    """
    with _ended_properly(), rehearsal.scratch(scratch) as place:
        clean = _import(place, folder, as_of, most) & _merge(place, file, most) & _figures(place)
    click.echo("it would pass" if clean else "it would pass, but not for everybody")
    if not clean:
        sys.exit(ROWS_LEFT_OUT)


@contextmanager
def _ended_properly() -> Iterator[None]:
    """A rehearsal that is told to end (SIGTERM) removes its database too."""
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _step(place: Scratch, *words: str, fine: tuple[int, ...] = (0,)) -> Ran:
    """One command, its time and memory; BadInput where it refuses."""
    ran = place.run(*words)
    name = " ".join(word for word in words[:2] if not word.startswith("-"))
    click.echo(f"{name}: {ran.seconds:.1f} s · {ran.peak_bytes // MEGABYTE} MB at most")
    if ran.code not in fine:
        for line in list(ran.errors())[-5:]:
            click.echo(f"  {shown(line)}", err=True)
        raise BadInput(f"it would not pass: `idp {name}` ends with {ran.code}")
    return ran


def _import(place: Scratch, folder: Path, as_of: datetime, most: int) -> bool:
    _step(place, "init")
    day = f"{as_of:%Y-%m-%d}"
    ran = _step(place, "legacy", "import-all", str(folder.absolute()), "--as-of", day, *WHO, fine=(0, ROWS_LEFT_OUT))
    for line in ran.out.read_text("utf-8").splitlines():
        click.echo(f"  {shown(line)}")
    rejected = _name((line for line in ran.errors() if PLACE.match(line)), most)
    if rejected:
        click.echo(f"  {rejected} rows would be left out")
    return not rejected and ran.code == 0


def _name(lines: Iterator[str], most: int) -> int:
    count = 0
    for line in lines:
        count += 1
        if count <= most:
            click.echo(f"  {shown(line)}", err=True)
    return count


def _merge(place: Scratch, file: Path | None, most: int) -> bool:
    probes = ("--probes", str(file.absolute())) if file else ()
    ran = _step(place, "legacy", "merge", "--apply", *(probes or ("--unprobed",)), *WHO)
    clashes = _name((line for line in ran.errors() if line.startswith("WARNING: ")), most)
    if file:
        # as they fared once the accounts stand
        _step(place, "legacy", "verify", *probes)
    return not clashes


def _figures(place: Scratch) -> bool:
    found = json.loads(_step(place, "legacy", "status", "--json").out.read_text("utf-8"))
    without, beyond = found["accounts_without_password"], found["names_beyond_reach"]
    lost = sum(each["without_account"] for each in found["systems"])
    click.echo(f"  {without} accounts that no password opens · {beyond} names beyond reach · {lost} rows without account")
    return not (without or beyond or lost)
