"""`idp ekey dev-ca | issue | revoke | crl`: a CA for trials, refused in production; `idp ekey take-crl`: a list from a file.

The key office's commands join the group (office/cli.py).
"""

import subprocess
import sys
from pathlib import Path

import click
from flask.cli import AppGroup
from sqlalchemy import select

from idp import web
from idp.accounts.models import Account, AccountKey
from idp.accounts.named_operator import named_operator
from idp.db import session, transaction
from idp.ekey import chain, crl, dev_ca, revocation_cache
from idp.ekey.dev_ca import MAX_NAME_CHARACTERS, Card, DevelopmentCa, Holder
from idp.errors import BadInput
from idp.key_register.models import EKey

group = AppGroup("ekey", help="E-keys: the key office's list and desk, a CA for trials.")
# where the lists of the development CA stand among the configured addresses; nobody is called there
LIST_ADDRESS = "http://dev-ca.invalid/{kind}.crl"


def _authority(command: str) -> DevelopmentCa:
    settings = web.runtime().settings
    if settings.production:
        raise BadInput("is refused in production: its keys lie in files", field=f"idp ekey {command}")
    return DevelopmentCa(settings.data_dir / "dev-ca")


def _existing(command: str) -> DevelopmentCa:
    authority = _authority(command)
    if not authority.roots_file.exists():
        raise BadInput("there is no development CA yet; make one with `idp ekey dev-ca`", field=f"idp ekey {command}")
    return authority


def _publish(authority: DevelopmentCa) -> int:
    """Fresh lists, straight into the cache as if the worker had fetched them; the number of the lists."""
    now = web.now()
    fresh = {kind: crl.read(der, authority.roots(), now) for kind, der in authority.lists(now).items()}
    with transaction():
        refused = [reason for kind, each in fresh.items() if (reason := revocation_cache.keep(LIST_ADDRESS.format(kind=kind), each, now))]
    if refused:
        raise BadInput(f"the platform does not take the fresh lists: {', '.join(refused)}", field="idp ekey crl")
    return len(fresh)


@group.command("dev-ca")
def make() -> None:
    """Make the development CA (ec, rsa, sm2) unless it is there, and publish its revocation lists."""
    authority = _authority("dev-ca")
    made = authority.ensure(web.now())
    _publish(authority)
    click.echo(f"development CA: {'made' if made else 'kept'} · revocation lists: {len(dev_ca.KINDS)}")
    click.echo(f"IDP_EKEY_ROOTS_FILE={authority.roots_file.absolute()}")
    click.echo(f"IDP_EKEY_CRL_URLS={','.join(LIST_ADDRESS.format(kind=kind) for kind in dev_ca.KINDS)}")


@group.command("issue")
@click.argument("serials", nargs=-1)
@click.option("--all", "every", is_flag=True, help="For every key of the key office's list, whatever its state.")
@click.option("--kind", type=click.Choice(dev_ca.KINDS), default="ec", show_default=True, help="Kind of the private key.")
@click.option("--name", help="User name on the certificate of the one SERIAL; default: the account's, else made from code and serial.")
@click.option("--format", "form", type=click.Choice(("pem", "p12")), default="pem", show_default=True, help="What is written; SM2 only in pem.")
@click.option("--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="First line = password of the PKCS#12 files.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the files `<serial>.pem` or `.p12` (0600).")
@click.option("--card", "reader", is_flag=False, flag_value="", help="Instead: onto the card in the reader of this name, or in the only reader.")
def issue(
    serials: tuple[str, ...], every: bool, kind: str, name: str | None, form: str, password_file: Path | None, out: Path | None, reader: str | None
) -> None:
    """Issue certificates for keys of the key office's list, with fresh private keys in files, or one on a card and nowhere else."""
    authority, now = _existing("issue"), web.now()
    if bool(serials) == every or (name is not None and len(serials) != 1):
        raise BadInput("name the serials, or --all; --name goes with one serial", field="idp ekey issue")
    if (out is None) == (reader is None):
        raise BadInput("either a folder for files, or --card", field="--out")
    keys = _keys(serials)
    if out is None:
        _onto_card(authority, keys, kind, name, reader or "")
        return
    password = _password(password_file, form, kind)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for card in authority.issue([_holder(key, name) for key in keys], kind, now):
        dev_ca.write_private(out / f"{card.holder.serial}.{form}", _written(card, password))
    click.echo(f"issued: {len(keys)} · {kind} · {out}")


def _onto_card(authority: DevelopmentCa, keys: list[EKey], kind: str, name: str | None, reader: str) -> None:
    """The agent writes the card, in a process of its own: the server touches no reader. The private key goes through a pipe and lies nowhere."""
    if len(keys) != 1:
        raise BadInput("takes one SERIAL", field="--card")
    (card,) = authority.issue([_holder(keys[0], name)], kind, web.now())
    command = [sys.executable, "-m", "idp.ekey.agent", "personalise", "-", *(["--reader", reader] if reader else [])]
    ended = subprocess.run(command, input=card.pem(), capture_output=True, check=False)  # noqa: S603  # fixed command
    if ended.returncode:
        raise BadInput((ended.stderr.decode(errors="replace").strip().splitlines() or ["the agent did not start"])[-1], field="--card")
    click.echo(f"written: {card.holder.serial} · {kind} · {ended.stdout.decode(errors='replace').strip()}")


def _password(file: Path | None, form: str, kind: str) -> str:
    """The password of PKCS#12 files, "" for PEM."""
    if form == "pem":
        return ""
    lines = file.read_text().splitlines() if file is not None else []
    if kind == "sm2" or not lines or not lines[0]:
        raise BadInput("p12 needs --password-file, and holds no SM2 key", field="--format")
    return lines[0]


def _written(card: Card, password: str) -> bytes:
    return card.p12(password) if password else card.pem()


def _keys(serials: tuple[str, ...]) -> list[EKey]:
    """The rows of these serials, all rows for none; BadInput for one that is not in the list."""
    wanted = select(EKey).order_by(EKey.serial)
    found = list(session.scalars(wanted.where(EKey.serial.in_(serials)) if serials else wanted))
    absent = set(serials) - {key.serial for key in found}
    if absent:
        raise BadInput(f"not in the key office's list: {', '.join(sorted(absent))}", field="SERIALS")
    return found


def _holder(key: EKey, name: str | None) -> Holder:
    return Holder(key.serial, key.enterprise.prefix, name or _account_name(key) or f"{key.enterprise.prefix}-{key.serial}")


def _account_name(key: EKey) -> str:
    """The name of the account that the key belongs to, if it fits on a certificate; "" otherwise."""
    owner = session.get(AccountKey, key.serial)
    name = session.get_one(Account, owner.account_id).canonical_name if owner is not None else ""
    return name if len(name) <= MAX_NAME_CHARACTERS else ""


@group.command("revoke")
@click.argument("serials", nargs=-1, required=True)
def revoke(serials: tuple[str, ...]) -> None:
    """Revoke the certificates of these keys and publish fresh lists."""
    authority, now = _existing("revoke"), web.now()
    count = sum(authority.revoke(serial, now) for serial in serials)
    _publish(authority)
    click.echo(f"revoked: {count}")
    if not count:
        raise BadInput("no certificate of these keys counts", field="SERIALS")


@group.command("take-crl")
@click.argument("address")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@named_operator
def take(address: str, file: Path) -> None:
    """Take a revocation list from FILE, as if the worker had fetched it from ADDRESS, one of IDP_EKEY_CRL_URLS: for CAs that are not on the net."""
    settings, now = web.runtime().settings, web.now()
    if address not in settings.ekey_crl_urls:
        raise BadInput("is none of IDP_EKEY_CRL_URLS", field="ADDRESS")
    if file.stat().st_size > revocation_cache.MAX_CRL_BYTES:
        raise BadInput(f"is longer than {revocation_cache.MAX_CRL_BYTES} bytes", field=str(file))
    trust = chain.load(settings.ekey_roots_file, settings.ekey_intermediates_file)
    judged = crl.read(file.read_bytes(), trust.authorities, now)
    with transaction():
        refused = revocation_cache.keep(address, judged, now)
    if isinstance(judged, str) or refused:
        raise BadInput(f"is no list that counts: {refused}", field=str(file))
    click.echo(f"taken: number {int(judged.number, 16)}, good until {judged.next_update:%Y-%m-%d %H:%M} UTC")


@group.command("crl")
def publish() -> None:
    """Publish fresh revocation lists of the development CA."""
    click.echo(f"revocation lists: {_publish(_existing('crl'))}")
