"""`idp officer …`: who the officers are (R90)."""

import click
from flask.cli import AppGroup
from sqlalchemy import select

from idp import web
from idp.accounts import contacts, directory, roles
from idp.accounts.contacts import Contacts
from idp.accounts.models import Account, AccountRole
from idp.accounts.named_operator import named_operator
from idp.audit.origin import current
from idp.db import session, transaction
from idp.errors import BadInput
from idp.officers import enrolment
from idp.officers.enrolment import NewOfficer

group = AppGroup("officer", help="Officers: their roles, and the one-time links by which they enrol.")
MAX_NAME_CHARACTERS = 100
# GB/T 2260
REGION_DIGITS = (2, 4, 6)
PROVINCE_RANGES = ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 82))
PROVINCES = frozenset(str(code) for first, last in PROVINCE_RANGES for code in range(first, last + 1))
REFUSED = {
    "name_taken": ("NAME", "is the name of an enterprise's user; an officer needs one of their own"),
    "roles_apart": ("--role", "a security officer and an auditor are never one person"),
    "role_operator": ("--role", "has run commands here as an operator, who is never security officer or auditor"),
}


@group.command("add")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(roles.ROLES), help="Add another by running the command again.")
@click.option("--region", default="", help="Only for enterprises of this region, such as 440000 or 4403; default: everywhere.")
@click.option("--display-name", required=True, help="The name that others see.")
@click.option("--mobile", default="", help="Mobile number; the officer proves it later.")
@click.option("--email", default="", help="Mail address; the officer proves it later.")
@named_operator
def add(name: str, role: str, region: str, display_name: str, mobile: str, email: str) -> None:
    """Make an officer, or give one another role; prints a one-time enrolment link where one is needed."""
    new = NewOfficer(_spelled(name), role, _region(region), _display(display_name), _contacts(mobile, email))
    if directory.name_key(name) == current.get().operator:
        raise BadInput("nobody makes themselves an officer", field="NAME")
    with transaction():
        account = enrolment.add(new, current.get().operator, web.now())
        if isinstance(account, str):
            field, reason = REFUSED[account]
            raise BadInput(reason, field=field)
        token = enrolment.make_link(account, web.now(), web.runtime().hooks.session_ended) if account.password_hash is None else ""
    click.echo(f"officer: {new.name} · {role} · {region or '*'}")
    _print_link(token)


def _print_link(token: str) -> None:
    """The link, for a terminal or a sealed envelope: nothing keeps it."""
    if token:
        click.echo(f"enrolment link, once, within 72 hours: {web.runtime().settings.issuer}/officers/enrol/{token}")


def _spelled(name: str) -> str:
    spelled = directory.normalise(name)
    if not spelled:
        raise BadInput("is no name", field="NAME")
    return spelled


def _region(region: str) -> str:
    """As enterprises' regions begin: 440000 is the whole of 44. BadInput for what is no region, for its officer would see nothing."""
    if region and not (region.isascii() and region.isdigit() and len(region) in REGION_DIGITS and region[:2] in PROVINCES):
        raise BadInput("is no region: the code of a province, city or county, such as 440000, 4403 or 44", field="--region")
    while region.endswith("00"):
        region = region.removesuffix("00")
    return region


def _display(name: str) -> str:
    if not 0 < len(name.strip()) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise BadInput(f"must have 1 to {MAX_NAME_CHARACTERS} characters", field="--display-name")
    return name.strip()


def _contacts(mobile: str, email: str) -> Contacts | None:
    if not mobile and not email:
        return None
    given = contacts.read(mobile, email)
    if isinstance(given, list):
        raise BadInput("cannot be used", field=f"--{given[0].field}")
    return given


@group.command("link")
@click.argument("name")
@named_operator
def link(name: str) -> None:
    """Print a fresh enrolment link: the one before, the officer's authenticator app and every session are over."""
    with transaction():
        token = enrolment.make_link(_known(name), web.now(), web.runtime().hooks.session_ended)
    _print_link(token)


@group.command("remove")
@click.argument("name")
@click.option("--role", type=click.Choice(roles.ROLES), help="Default: every role; the account is closed then.")
@named_operator
def remove(name: str, role: str | None) -> None:
    """Take a role from an officer, at once."""
    with transaction():
        taken = enrolment.remove(_known(name), role, web.now(), web.runtime().hooks.session_ended)
    if not taken:
        raise BadInput("has no such role", field="NAME")
    click.echo(f"taken: {', '.join(taken)}")


def _known(name: str) -> Account:
    """The officer of this name, held."""
    found = roles.officer(name)
    if found is None or not roles.held(found.id):
        raise BadInput("is no officer", field="NAME")
    return session.get_one(Account, found.id, populate_existing=True, with_for_update=True)


@group.command("list")
def list_() -> None:
    """Every officer with roles, regions and whether they have enrolled."""
    rows = session.execute(
        select(Account, AccountRole).join(AccountRole, AccountRole.account_id == Account.id).order_by(Account.id, AccountRole.role)
    )
    for account, role in rows:
        state = "enrolled" if account.password_hash else "not enrolled yet"
        click.echo(f"{account.canonical_name} · {role.role} · {role.region or '*'} · {state}")
