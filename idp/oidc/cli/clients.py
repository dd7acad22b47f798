"""`idp client …`: how administrators register business systems and other relying parties."""

import json
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from idp import web
from idp.db import session, transaction
from idp.entitlements.models import BusinessSystem
from idp.errors import BadInput, shown
from idp.oidc import certificates, client_addresses, client_file, clients, scopes
from idp.oidc.cli.saying import as_json, json_of, say
from idp.oidc.models import ClientRecord
from idp.oidc.registration import DEVICE_CODE, Registration, judge

client_group = AppGroup("client", help="Clients: the business systems and other relying parties.")
secret_file = click.option(
    "--secret-file",
    type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
    help="The client's secret: a 0600 file, or - for standard input. Left out, one is made and shown once.",
)


def _known(registration: Registration) -> Registration:
    """The registration again, if the systems it names exist and nothing it relies on is switched off."""
    settings = web.runtime().settings
    missing = certificates.not_offered(registration, settings)
    if missing is not None:
        raise BadInput(missing)
    if DEVICE_CODE in registration.grant_types and settings.device_grant == "off":
        raise BadInput("the device grant is switched off here; IDP_DEVICE_GRANT=on opens it", field="grant_types")
    for system in sorted({*scopes.systems_of(registration.scopes), *([registration.system] if registration.system else [])}):
        if session.get(BusinessSystem, system) is None:
            raise BadInput(f"there is no business system {system!r}", field="system" if system == registration.system else "scope")
    return registration


def _put(registration: Registration, brought: str | None) -> tuple[clients.Change, str | None]:
    """Add or update one client (inside a transaction); what happened, and a secret that was just made."""
    row, now = session.get(ClientRecord, _known(registration).client_id, with_for_update=True), web.now()
    made = clients.make_secret() if registration.has_secret and brought is None and (row is None or not row.secrets) else None
    if brought is not None and not registration.has_secret:
        raise BadInput("has no use for a secret", field="token_endpoint_auth_method")
    _open_from_hall(registration)
    if row is not None:
        return clients.update(row, registration, brought or made, now), made
    clients.add(registration, brought or made, now)
    return "added", made


def _open_from_hall(registration: Registration) -> None:
    """进入应用 in the hall leads where the ministry's own system starts its sign-in (OIDC Core §4)."""
    if registration.system and registration.first_party and registration.initiate_login_uri:
        session.get_one(BusinessSystem, registration.system).start_url = registration.start(web.runtime().settings.issuer)


@client_group.command("add")
@click.argument("client_id")
@click.option("--name", default="", help="What people are shown.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, required=True, help="Exact address of answers; may be repeated.")
@click.option("--post-logout-redirect-uri", "post_logout_redirect_uris", multiple=True, help="Exact address after a sign-out; may be repeated.")
@click.option("--scope", default=None, help="Scopes it may ask for, separated by blanks; default: the standard ones.")
@click.option("--system", default=None, help="Code of its business system.")
@click.option("--auth-method", default="client_secret_basic", show_default=True, help="token_endpoint_auth_method.")
@click.option("--id-token-alg", default="ES256", show_default=True, help="id_token_signed_response_alg.")
@click.option("--jwks-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Public keys for private_key_jwt (JWKS).")
@click.option("--first-party", is_flag=True, help="One of the ministry's own: no consent page.")
@secret_file
@as_json
def add(client_id: str, secret_file: Path | None, json_: bool, **given: Any) -> None:
    """Register a new client. Whatever has no option here stands in a file: `idp client apply`."""
    names = {"name": "client_name", "auth_method": "token_endpoint_auth_method", "id_token_alg": "id_token_signed_response_alg"}
    members = {names.get(option, option): value for option, value in given.items() if value not in (None, "", ()) and option != "jwks_file"}
    if given["jwks_file"] is not None:
        members["jwks"] = _jwks(given["jwks_file"])
    registration, brought = judge({**members, "client_id": client_id}), client_file.secret(secret_file)
    client_addresses.judge(registration, web.runtime().adapters.outbound)
    with transaction():
        if session.get(ClientRecord, client_id) is not None:
            raise BadInput("there is a client of that id already; `idp client apply` changes it", field="client_id")
        _, made = _put(registration, brought)
    once = {"client_secret": made} if made else {}
    say(json_, {"client_id": client_id, "change": "added", **once}, f"{client_id}: added" + (f"\nsecret (shown once): {made}" if made else ""))


def _jwks(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(str(error), file=str(file)) from error


@client_group.command("apply")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@secret_file
@as_json
def apply(files: tuple[Path, ...], secret_file: Path | None, json_: bool) -> None:
    """Make clients equal to TOML FILES, one client each; all of them or none. Applied again, nothing changes."""
    if secret_file is not None and len(files) > 1:
        raise BadInput("one secret is for one file", field="--secret-file")
    read, brought = [(file, _called(file, client_file.read(file))) for file in files], client_file.secret(secret_file)
    done: list[dict[str, Any]] = []
    with transaction():
        for file, registration in read:
            try:
                change, made = _put(registration, brought)
            except BadInput as error:
                raise BadInput(error.reason, file=str(file), field=error.field) from error
            done.append({"client_id": registration.client_id, "change": change, **({"client_secret": made} if made else {})})
    if json_:
        click.echo(json_of(done))
        return
    for each in done:
        click.echo(f"{each['client_id']}: {each['change']}" + (f"\nsecret (shown once): {each['client_secret']}" if "client_secret" in each else ""))


def _called(file: Path, registration: Registration) -> Registration:
    """The registration again, if every address in it that we would call may be called; asked before the transaction."""
    try:
        client_addresses.judge(registration, web.runtime().adapters.outbound)
    except BadInput as error:
        raise BadInput(error.reason, file=str(file), field=error.field) from error
    return registration


def _state(row: ClientRecord) -> str:
    return "disabled" if row.disabled_at else "enabled"


@client_group.command("list")
@as_json
def list_(json_: bool) -> None:
    """Every client, by id."""
    rows = [
        {"client_id": row.client_id, "client_name": row.registration.get("client_name", ""), "state": _state(row), "version": row.version}
        for row in clients.listing()
    ]
    text = "\n".join(shown(f"{row['client_id']:<28} {row['state']:<9} {row['client_name']}") for row in rows)
    click.echo(json_of(rows) if json_ else text or "no clients yet")


@client_group.command("show")
@click.argument("client_id")
@as_json
def show(client_id: str, json_: bool) -> None:
    """All that is registered of one client; of a secret only how many there are."""
    row = session.get(ClientRecord, client_id)
    if row is None:
        raise BadInput("no such client", field=client_id)
    whole = judge(row.registration).model_dump(mode="json", by_alias=True)
    facts = {
        **{name: value for name, value in whole.items() if value is not None},
        "state": _state(row),
        "version": row.version,
        "secrets": len(row.secrets),
    }
    say(json_, facts, "\n".join(f"{name} = {json_of(value)}" for name, value in facts.items()))
