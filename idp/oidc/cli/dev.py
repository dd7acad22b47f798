"""`idp dev …`: for trials only; refused in production."""

import json
import secrets
from datetime import timedelta
from typing import Any

import click
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from idp import web
from idp.accounts import argon2id
from idp.db import transaction
from idp.errors import BadInput
from idp.oidc import clients, conformance, dynamic_registration
from idp.oidc.cli.saying import as_json

dev_group = AppGroup("dev", help="For trials, never in production.")
# one plan registers some 40 clients
USES = 1000
LEAVE = timedelta(days=7)


@dev_group.command("conformance")
@click.option("--suite", default="https://localhost.emobix.co.uk:8443", show_default=True, help="Address of the OpenID Foundation's suite.")
@click.option("--alias", default="licence-idp", show_default=True, help="Alias of the test plan, which is part of the suite's addresses.")
@as_json
def prepare(suite: str, alias: str, json_: bool) -> None:
    """Make what the certification suite needs: a user with every claim, two clients, an initial access token. Again = fresh secrets."""
    settings = web.runtime().settings
    if settings.production:
        raise BadInput("is refused in production: its clients go without PKCE", field="idp dev conformance")
    registrations = conformance.registrations(f"{suite.rstrip('/')}/test/a/{alias}")
    password, made = f"Aa1-{secrets.token_urlsafe(9)}", {each.client_id: clients.make_secret() for each in registrations}
    new_hash = argon2id.hasher(settings.argon2_memory_kib, settings.argon2_passes, settings.hash_concurrency).hash(password)
    now = web.now()
    with transaction():
        conformance.person(new_hash, now)
        for each in registrations:
            conformance.register(each, made[each.client_id], now)
        token = dynamic_registration.allow("certification", USES, now + LEAVE, now)
    _answer(
        json_,
        {
            "issuer": settings.issuer,
            "discovery": f"{settings.issuer}/.well-known/openid-configuration",
            "user": {"username": conformance.USER, "password": password},
            "clients": [{"client_id": client_id, "client_secret": secret} for client_id, secret in made.items()],
            "initial_access_token": token,
            "notes": _notes(str(registrations[0].backchannel_logout_uri)),
        },
    )


def _notes(called: str) -> list[str]:
    """What still stands between this platform and a run."""
    settings, notes = web.runtime().settings, []
    if settings.client_registration == "off":
        notes.append("IDP_CLIENT_REGISTRATION=on is needed for the Dynamic plan")
    if settings.captcha == "always":
        notes.append("IDP_CAPTCHA=after_failures lets the suite's browser sign in")
    if web.runtime().adapters.outbound.refuses(called):
        notes.append("IDP_OUTBOUND_ALLOW must name the suite's host:port for jwks_uri, sector_identifier_uri and logout")
    return notes


def _answer(json_: bool, facts: dict[str, Any]) -> None:
    if json_:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    rows = [("discovery", facts["discovery"]), *facts["user"].items()]
    rows += [(client["client_id"], client["client_secret"]) for client in facts["clients"]]
    for name, value in [*rows, ("initial access token", facts["initial_access_token"])]:
        table.add_row(name, value)
    console = Console(width=160, highlight=False)
    console.print(table)
    for note in facts["notes"]:
        console.print(f"note: {note}", markup=False)
