"""`idp legacy entry …`: what officers see of the legacy entries and do about them (R64)."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import click
from sqlalchemy import func, select

from idp import web
from idp.accounts.named_operator import named_operator
from idp.audit.origin import current
from idp.db import session, transaction
from idp.errors import BadInput, Refusal, shown
from idp.legacy import cutover, entry, entry_orders
from idp.legacy.cli import group
from idp.legacy.models import LegacyRow
from idp.second_person.rules import Filer

DAY = click.DateTime(["%Y-%m-%d"])
REASONS = {None: "open", entry.ENDED: "closed: its last day is over", entry.USED_UP: "closed: no log-in is left"}
# who may not: see the roles of the act
WHY = {"request_waiting": "the same waits for confirmation already", "reason_long": "--reason is too long"}
system_option = click.option("--system", required=True, help="Code of the business system.")
username_option = click.option("--username", help="Only this old user: the name in that system.")
enterprise_option = click.option("--enterprise", default="", help="Enterprise code or USCC, where several enterprises have the name.")


@group.group("entry")
def entry_() -> None:
    """Legacy entries: how they stand; let them last longer, close them, begin a count anew."""


def _terms() -> entry.Terms:
    return entry.terms(web.runtime().settings)


def _rows(system: str, username: str | None, enterprise: str) -> list[LegacyRow] | None:
    """The old user that is meant; None = all of the system."""
    entry_orders.system(system)
    if username is None and enterprise:
        raise BadInput("belongs to --username", field="--enterprise")
    return entry_orders.find(system, username, enterprise) if username is not None else None


def _line(row: LegacyRow) -> str:
    """One old user in words."""
    terms, now = _terms(), web.now()
    state, last = entry.state(row, terms, now), entry.last_day(row, terms)
    left = "not counted now" if state.remaining is None else f"{state.remaining} left"
    key = f" · e-key {row.key_serial}" if row.key_serial else ""
    account = f"account {row.account_id}" if row.account_id else "no account"
    return shown(
        f"{row.system}: {row.username}{key} · {account} · {REASONS[state.closed]} · {left} · {row.entry_logins} of "
        f"{terms.logins + row.entry_extra} used · last day {last or '–'}"
    )


@entry_.command("show")
@system_option
@username_option
@enterprise_option
def show(system: str, username: str | None, enterprise: str) -> None:
    """How the entry of a system, or of one old user, stands."""
    rows = _rows(system, username, enterprise)
    for row in rows or ():
        click.echo(_line(row))
    if rows is None:
        _show_system(system)


def _show_system(system: str) -> None:
    terms, now = _terms(), web.now()
    used = (LegacyRow.system == system, LegacyRow.entry_logins > 0)
    people, log_ins = session.execute(select(func.count(), func.coalesce(func.sum(LegacyRow.entry_logins), 0)).where(*used)).one()
    none_left = LegacyRow.entry_logins >= terms.logins + LegacyRow.entry_extra
    full = session.scalar(select(func.count()).where(LegacyRow.system == system, none_left))
    since = min((notice.at for notice in cutover.notices(now) if notice.come and system in notice.systems), default=None)
    last = entry.system_last_day(system, terms)
    click.echo(
        f"{system}: {'over' if entry.over(system, terms, now) else 'open'} · last day {last or '–'} · {terms.logins} log-ins for each old user"
    )
    click.echo(
        f"{people} old users logged in {log_ins} times since it counts · {full} have none left{f' · cut over {since:%Y-%m-%d}' if since else ''}"
    )


@entry_.command("extend")
@system_option
@username_option
@enterprise_option
@click.option("--until", type=DAY, help="The new last day (Beijing).")
@click.option("--logins", type=click.IntRange(1, 100), help="So many further log-ins.")
@named_operator
def extend(system: str, username: str | None, enterprise: str, until: datetime | None, logins: int | None) -> None:
    """Let one old user, or all of a system, use the entry to a later day, or for further log-ins."""
    if until is None and logins is None:
        raise click.UsageError("give --until, --logins or both")
    now = web.now()
    with transaction():
        rows = _rows(system, username, enterprise)
        if until is not None:
            entry_orders.extend_until(system, rows, until.date(), _terms(), now)
        if logins is not None:
            entry_orders.extend_logins(system, rows, logins, now)
    _tell(system, rows)


@entry_.command("close")
@system_option
@username_option
@enterprise_option
@click.option("--from", "first", type=DAY, help="The first day on which it is closed (Beijing); default today.")
@named_operator
def close(system: str, username: str | None, enterprise: str, first: datetime | None) -> None:
    """Close the entry for one old user, or for all of a system, whatever was granted to single ones."""
    now = web.now()
    today = entry.today(now)
    day = first.date() if first is not None else today
    if day < today:
        raise BadInput("has passed", field="--from")
    with transaction():
        rows = _rows(system, username, enterprise)
        entry_orders.close(system, rows, _before(day), _terms(), now)
    _tell(system, rows)


def _before(day: date) -> date:
    return day - timedelta(days=1)


def _tell(system: str, rows: Sequence[LegacyRow] | None) -> None:
    """How it stands now."""
    session.expire_all()
    for row in rows or ():
        click.echo(_line(row))
    if rows is None:
        _show_system(system)


@entry_.command("reset")
@system_option
@click.option("--username", required=True, help="The old user: the name in that system.")
@enterprise_option
@named_operator
def reset(system: str, username: str, enterprise: str) -> None:
    """File, for an officer to confirm, that the count of an old user begins anew."""
    origin, now, acts = current.get(), web.now(), web.runtime().hooks.acts
    with transaction():
        rows = _rows(system, username, enterprise) or []
        number = entry_orders.file_reset(rows, origin.why, Filer(None, origin.operator), acts, now)
    if isinstance(number, Refusal):
        raise BadInput(WHY.get(number.code, number.code), field="--username")
    click.echo(f"request {number} waits for an officer")
