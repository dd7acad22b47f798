"""`idp keys …`: how administrators look after the keys that sign tokens."""

import json

import click
from flask.cli import AppGroup

from idp import web
from idp.db import session, transaction
from idp.errors import BadInput
from idp.oidc import keys
from idp.oidc.cli.saying import as_json
from idp.oidc.models import SigningKey

keys_group = AppGroup("keys", help="The keys that sign tokens.")


def ensure_keys() -> int:
    """Make the signing keys that are missing; how many. Run by `idp init`; safe to run twice, also at once."""
    wanted = keys.missing()
    made = [(keys.make(alg, web.runtime().secret), state) for alg, state in wanted]
    with transaction():
        still = [(new, state) for new, state in made if (new.alg, state) in keys.missing()]
        for new, state in still:
            keys.add(new, state, web.now())
    return len(still)


def _times(key: SigningKey) -> dict[str, str]:
    named = {"published": key.published_at, "current": key.current_at, "retired": key.retired_at, "withdrawn": key.withdrawn_at}
    return {name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in named.items() if at is not None}


@keys_group.command("list")
@as_json
def list_keys(json_: bool) -> None:
    """Every signing key with its state and times (UTC)."""
    rows = [{"kid": key.kid, "alg": key.alg, "state": key.state, **_times(key)} for key in keys.listing()]
    text = "\n".join(f"{row['kid']}  {row['alg']:<6} {row['state']:<10} published {row['published']}" for row in rows)
    click.echo(json.dumps(rows) if json_ else text or "no keys yet; `idp init` makes them")


@keys_group.command("rotate")
@click.option("--alg", "algorithms", multiple=True, type=click.Choice(keys.ALGORITHMS), help="Only this algorithm; default: all.")
def rotate(algorithms: tuple[str, ...]) -> None:
    """New next keys are published at once; the next keys sign from now on and the current ones retire, if published 24 hours ago."""
    made = [keys.make(alg, web.runtime().secret) for alg in algorithms or keys.ALGORITHMS]
    with transaction():
        done = [(new, keys.rotate(new.alg, new, web.now())) for new in made]
    for new, ripe in done:
        said = "rotated" if ripe else "the current key still signs, because the next one was published less than 24 hours ago"
        click.echo(f"{new.alg}: {said}; {new.kid} is published as a next key")


@keys_group.command("withdraw")
@click.argument("kid")
def withdraw(kid: str) -> None:
    """Emergency: KID is gone at once, everything it signed is worthless; verifiers elsewhere learn it within 5 minutes."""
    found = session.get(SigningKey, kid)
    if found is None:
        raise BadInput("no such key", field=kid)
    new = keys.make(found.alg, web.runtime().secret)
    with transaction():
        keys.withdraw(kid, new, web.now())
    click.echo(f"{kid}: withdrawn")
