"""`idp dev …`: for trials only; refused in production."""

import json
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table

from idp import web
from idp.accounts import argon2id
from idp.db import transaction
from idp.errors import BadInput
from idp.oidc import clients, conformance, conformance_fapi, dynamic_registration
from idp.oidc.cli.saying import as_json

dev_group = AppGroup("dev", help="For trials, never in production.")
# one plan registers some 40 clients
USES = 1000
LEAVE = timedelta(days=7)


@dev_group.command("conformance")
@click.option("--suite", default="https://localhost.emobix.co.uk:8443", show_default=True, help="Address of the OpenID Foundation's suite.")
@click.option("--alias", default="licence-idp", show_default=True, help="Alias of the test plan, which is part of the suite's addresses.")
@click.option("--fapi", is_flag=True, help="Also two clients for each variant of the FAPI 2.0 plans.")
@click.option(
    "--fapi-keys", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="What was printed under fapi before: its keys are kept."
)
@as_json
def prepare(suite: str, alias: str, fapi: bool, fapi_keys: Path | None, json_: bool) -> None:
    """Make what the certification suite needs: a user with every claim, clients, an initial access token. Again = fresh secrets and keys."""
    settings = web.runtime().settings
    if settings.production:
        raise BadInput("is refused in production: its clients go without PKCE", field="idp dev conformance")
    base = f"{suite.rstrip('/')}/test/a/{alias}"
    registrations, plans = conformance.registrations(base), _plans(_kept(fapi_keys)) if fapi or fapi_keys else {}
    keyed = [each for variant, told in plans.items() for each in conformance_fapi.registrations(variant, told, base)]
    password, made = f"Aa1-{secrets.token_urlsafe(9)}", {each.client_id: clients.make_secret() for each in registrations}
    new_hash = argon2id.hasher(settings.argon2_memory_kib, settings.argon2_passes, settings.hash_concurrency).hash(password)
    now = web.now()
    with transaction():
        conformance.person(new_hash, now)
        for each in registrations:
            conformance.register(each, made[each.client_id], now)
        for each in keyed:
            conformance.register(each, None, now)
        token = dynamic_registration.allow("certification", USES, now + LEAVE, now)
    _answer(
        json_,
        {
            "issuer": settings.issuer,
            "discovery": f"{settings.issuer}/.well-known/openid-configuration",
            "user": {"username": conformance.USER, "password": password},
            "clients": [{"client_id": client_id, "client_secret": secret} for client_id, secret in made.items()],
            "initial_access_token": token,
            "fapi": {
                variant: conformance_fapi.suite(told, variant, alias, settings.issuer, settings.mtls_base_url or "")
                for variant, told in plans.items()
            },
            "notes": _notes(str(registrations[0].backchannel_logout_uri), fapi=bool(plans)),
        },
    )


def _plans(kept: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The clients of the variants that can be run here, as the suite's configuration holds them."""
    offered = web.runtime().settings.client_cert_header
    able = [variant for variant in conformance_fapi.VARIANTS if offered or not conformance_fapi.by_certificate(variant)]
    return {variant: conformance_fapi.configuration(variant, kept.get(variant, {}), web.now()) for variant in able}


def _kept(file: Path | None) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8")) if file is not None else {}
    except (OSError, ValueError) as error:
        raise BadInput(str(error), file=str(file)) from error
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise BadInput("must be an object of objects, as it was printed under fapi", file=str(file))
    return found


def _notes(called: str, *, fapi: bool) -> list[str]:
    """What still stands between this platform and a run."""
    settings, notes = web.runtime().settings, []
    if settings.client_registration == "off":
        notes.append("IDP_CLIENT_REGISTRATION=on is needed for the Dynamic plan")
    if settings.captcha == "always":
        notes.append("IDP_CAPTCHA=after_failures lets the suite's browser sign in")
    if web.runtime().adapters.outbound.refuses(called):
        notes.append("IDP_OUTBOUND_ALLOW must name the suite's host:port for jwks_uri, sector_identifier_uri and logout")
    if fapi and not (settings.client_cert_header and settings.mtls_base_url):
        notes.append("IDP_CLIENT_CERT_HEADER and IDP_MTLS_BASE_URL are needed for the variants with mutual TLS")
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
    for variant, told in facts["fapi"].items():
        click.echo(f"{variant}: {json.dumps(told)}")
    for note in facts["notes"]:
        console.print(f"note: {note}", markup=False)
