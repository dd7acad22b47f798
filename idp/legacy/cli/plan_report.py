"""The plan of a merge as a table or as JSON, written page by page."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from idp.errors import shown
from idp.legacy import merge_plan, merge_preview
from idp.legacy.cli import PIPED_COLUMNS
from idp.legacy.merge_plan import Note, Plan, PlannedAccount

# shares of the line: enterprise, e-key, name, class, old users, notes
SHARES = {"enterprise": 3, "e-key": 3, "name": 4, "class": 1, "old users": 5, "notes": 5}


def show(today: date, as_json: bool) -> list[tuple[str, ...]]:
    """Write the plan to standard output; the names that are beyond reach, each with whom it concerns."""
    crowds: list[tuple[str, ...]] = []
    totals: Counter[str] = Counter()
    write = _json if as_json else _table
    write(_watched(merge_preview.pages(today), totals, crowds), totals)
    return crowds


def _watched(pages: Iterator[Plan], totals: Counter[str], crowds: list[tuple[str, ...]]) -> Iterator[Plan]:
    """The pages, while they are counted."""
    totals.update({"rows": 0, "accounts": 0, "to_make": 0, "joining_rows": 0, "joining_names": 0})
    for plan in pages:
        _count(plan, totals)
        crowds += [note.about for note in plan.notes if note.code == merge_plan.BEYOND_REACH]
        yield plan


def _count(plan: Plan, totals: Counter[str]) -> None:
    """Accounts in all and to be made, aliases, merges, and each kind of note."""
    totals["rows"] += sum(len(account.rows) for account in plan.accounts)
    totals["accounts"] += len(plan.accounts)
    totals["to_make"] += sum(account.account_id is None for account in plan.accounts)
    totals["joining_rows"] += sum(len(account.joining) for account in plan.accounts)
    totals["joining_names"] += sum(len(account.names) for account in plan.accounts)
    totals.update(note.code for note in (*plan.notes, *(note for account in plan.accounts for note in account.notes)))


def _json(pages: Iterator[Plan], totals: Counter[str]) -> None:
    notes: list[Note] = []
    before = '{"accounts": [\n'
    for plan in pages:
        notes += plan.notes
        for account in plan.accounts:
            click.echo(before + json.dumps(_as_json(account), ensure_ascii=False), nl=False)
            before = ",\n"
    rest = {"notes": [asdict(note) for note in notes], "totals": dict(totals)}
    opened = "" if totals["accounts"] else before
    click.echo(f"{opened}\n], {json.dumps(rest, ensure_ascii=False, indent=1)[1:]}")


def _table(pages: Iterator[Plan], totals: Counter[str]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_COLUMNS)
    notes: list[Note] = []
    headed = False
    for plan in pages:
        notes += plan.notes
        joining = [account for account in plan.accounts if account.joining]
        if joining or (not plan.accounts and not headed):
            console.print(_page(joining, headed))
            headed = True
    for note in notes:
        console.print(_words(note), highlight=False, markup=False)
    console.print(" · ".join(f"{name} {count}" for name, count in totals.items()), highlight=False)


def _page(accounts: list[PlannedAccount], headed: bool) -> Table:
    """Columns of the same width on every page; the heads stand above the first."""
    table = Table(title=None if headed else "Accounts with rows that join", show_header=not headed, expand=True)
    for name, share in SHARES.items():
        table.add_column(name, ratio=share, overflow="fold")
    for account in accounts:
        table.add_row(*_cells(account))
    return table


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
