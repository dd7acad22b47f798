"""`idp …`: the command line of operators. Exit codes: 0 done · 1 refused, nothing written · 2 wrong usage · 3 done, but rows were left out."""

import sys

import click
from flask.cli import FlaskGroup

from idp.app import create_app
from idp.errors import IdpError


@click.group(cls=FlaskGroup, create_app=create_app, add_default_commands=False, add_version_option=False)
def cli() -> None:
    """The identity provider of the licence platform (许可证统一管理平台)."""


def main() -> None:
    """Run a command; our own errors become one clear message on standard error and exit code 1."""
    try:
        cli()
    except IdpError as error:
        click.echo(f"idp: {error}", err=True)
        sys.exit(1)
