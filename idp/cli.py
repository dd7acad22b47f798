"""`idp …`: the command line of operators. Exit codes: 0 done · 1 refused, nothing written · 2 wrong usage · 3 done, but rows were left out."""

import sys

import click
from flask.cli import FlaskGroup

from idp.app import create_app
from idp.enterprises.cli import group as enterprise_group
from idp.errors import IdpError
from idp.key_register.cli import group as ekey_group
from idp.legacy.cli import group as legacy_group


@click.group(cls=FlaskGroup, create_app=create_app, add_default_commands=False, add_version_option=False)
def cli() -> None:
    """The identity provider of the licence platform (许可证统一管理平台)."""


for group in (enterprise_group, ekey_group, legacy_group):
    cli.add_command(group)


def main() -> None:
    """Run a command; our own errors become one clear message on standard error and exit code 1."""
    try:
        cli()
    except IdpError as error:
        click.echo(f"idp: {error}", err=True)
        sys.exit(1)
