"""More of `idp client …`: switching off and on, removing, new secrets, and leave for clients to register themselves."""

import re
from datetime import timedelta
from pathlib import Path

import click

from idp import web
from idp.db import transaction
from idp.errors import BadInput
from idp.oidc import client_file, client_lifecycle, clients, dynamic_registration
from idp.oidc.cli.clients import client_group, secret_file
from idp.oidc.cli.saying import as_json, say

LONGEST = timedelta(days=90)
MOST_USES = 10_000
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])\Z")


def span(text: str) -> timedelta:
    """`30m`, `24h`, `7d`; BadInput for anything else, and beyond 90 days."""
    found = _SPAN.match(text)
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if length is None or length > LONGEST:
        raise BadInput("must be a time such as 30m, 24h or 7d, at most 90d", field="--expires")
    return length


def _done(client_id: str, change: str, json_: bool) -> None:
    say(json_, {"client_id": client_id, "change": change}, f"{client_id}: {change}")


@client_group.command("disable")
@click.argument("client_id")
@as_json
def disable(client_id: str, json_: bool) -> None:
    """Switch CLIENT_ID off at once: no sign-in, no token, no registration access; what it was given ends."""
    with transaction():
        changed = client_lifecycle.disable(client_id, web.now())
    _done(client_id, "disabled" if changed else "unchanged", json_)


@client_group.command("enable")
@click.argument("client_id")
@as_json
def enable(client_id: str, json_: bool) -> None:
    """Switch CLIENT_ID on again. People have to sign in there anew; `idp client token --for` lets it manage itself again."""
    with transaction():
        changed = client_lifecycle.enable(client_id, web.now())
    _done(client_id, "enabled" if changed else "unchanged", json_)


@client_group.command("delete")
@click.argument("client_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def delete(client_id: str, yes: bool, json_: bool) -> None:
    """Remove CLIENT_ID with its consents and everything it was given; the audit keeps what happened."""
    if not yes:
        click.confirm(f"Remove {client_id} for good?", abort=True, err=True)
    with transaction():
        client_lifecycle.remove(client_id, web.now())
    _done(client_id, "deleted", json_)


@client_group.command("rotate-secret")
@click.argument("client_id")
@click.option("--at-once", is_flag=True, help="The old secret dies now; default: it lives on for 24 hours.")
@secret_file
@as_json
def rotate_secret(client_id: str, at_once: bool, secret_file: Path | None, json_: bool) -> None:
    """A new secret for CLIENT_ID; one that is made here is shown once. Its registration access token ends: `idp client token --for` renews it."""
    brought = client_file.secret(secret_file)
    made = clients.make_secret() if brought is None else None
    with transaction():
        overlap = clients.NO_OVERLAP if at_once else clients.SECRET_OVERLAP
        client_lifecycle.rotate_secret(client_id, brought or made or "", web.now(), overlap)
    facts = {"client_id": client_id, "change": "secret_rotated", **({"client_secret": made} if made else {})}
    say(json_, facts, f"{client_id}: secret rotated" + (f"\nsecret (shown once): {made}" if made else ""))


@client_group.command("token")
@click.option("--uses", type=click.IntRange(1, MOST_USES), default=1, show_default=True, help="How many clients it may register.")
@click.option("--expires", default="24h", show_default=True, help="How long it counts: 30m, 24h, 7d; at most 90d.")
@click.option(
    "--policy",
    type=click.Choice(sorted(dynamic_registration.POLICIES)),
    default="default",
    show_default=True,
    help="What its clients may be; `certification` lets them go without PKCE, and is refused in production.",
)
@click.option("--for", "client_id", default=None, help="Instead: a fresh registration access token for this client (RFC 7592); its old one ends.")
@as_json
def token(uses: int, expires: str, policy: str, client_id: str | None, json_: bool) -> None:
    """An initial access token: leave for clients to register themselves at /oauth2/register (RFC 7591). Shown once."""
    if client_id is not None:
        _renewed(client_id, json_)
        return
    settings, until = web.runtime().settings, web.now() + span(expires)
    if policy == "certification" and settings.production:
        raise BadInput("is refused in production", field="--policy certification")
    if settings.client_registration == "off":
        click.echo("note: registration is switched off; IDP_CLIENT_REGISTRATION=on opens it", err=True)
    with transaction():
        made = dynamic_registration.allow(policy, uses, until, web.now())
    facts = {"initial_access_token": made, "policy": policy, "uses": uses, "expires_at": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    say(json_, facts, f"{policy}, {uses} uses, until {facts['expires_at']}\ninitial access token (shown once): {made}")


def _renewed(client_id: str, json_: bool) -> None:
    with transaction():
        made = client_lifecycle.renew_access(client_id, web.now())
    facts = {"client_id": client_id, "registration_access_token": made}
    say(json_, facts, f"{client_id}: registration access token (shown once): {made}")
