"""`idp …`: the command line of operators. Exit codes: 0 done · 1 refused, nothing written · 2 wrong usage · 3 done, but rows were left out."""

import os
import secrets
import sys

import click
from flask.cli import FlaskGroup
from flask_migrate.cli import db as db_group

from idp.app import create_app
from idp.db import transaction, upgrade
from idp.ekey.office.cli import group as ekey_group
from idp.enterprises.cli import group as enterprise_group
from idp.entitlements import systems
from idp.errors import IdpError
from idp.legacy.cli import group as legacy_group
from idp.officers.cli import group as officer_group
from idp.oidc.cli import client_group, dev_group, ensure_keys, keys_group
from idp.settings import Settings, load


class Commands(FlaskGroup):
    """Flask's group without loading the app to list commands: `idp --help` and `idp init` work before there is a secret."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands below, in their order."""
        return click.Group.list_commands(self, ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """One of them."""
        return click.Group.get_command(self, ctx, name)


@click.group(cls=Commands, create_app=create_app, add_default_commands=False, add_version_option=False, load_dotenv=False)
def cli() -> None:
    """The identity provider of the licence platform (许可证统一管理平台)."""


cli.params.clear()  # Flask's own options (another app, debug, an .env file) have no place here
for group in (enterprise_group, ekey_group, officer_group, legacy_group, client_group, keys_group, dev_group, db_group):
    cli.add_command(group)


@cli.command("init", with_appcontext=False)
def init() -> None:
    """Make what is missing: data directory, master secret, database, business systems, signing keys. Safe to repeat."""
    settings = load()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = _make_secret(settings)
    app = create_app(settings)
    with app.app_context():
        upgrade()
        with transaction():
            count = systems.load()
        keys = ensure_keys()
    click.echo(f"secret: {'made' if made else 'kept'} · database: ready · business systems: {count} · signing keys made: {keys}")


def _make_secret(settings: Settings) -> bool:
    """Write a fresh master secret (0600) unless there is one; True if it was made."""
    if settings.secret_key.get_secret_value():
        return False
    try:
        descriptor = os.open(settings.secret_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
    return True


def main() -> None:
    """Run a command; our own errors become one clear message on standard error and exit code 1."""
    try:
        cli()
    except IdpError as error:
        click.echo(f"idp: {error}", err=True)
        sys.exit(1)
