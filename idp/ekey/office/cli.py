"""`idp ekey import | enrol | bind | replace | withdraw | show`: the key office. Who changes something says who they are, and why (R90)."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
from flask import render_template
from flask_babel import force_locale

from idp import import_command, web
from idp.accounts import argon2id, initial_password
from idp.accounts.named_operator import named_operator
from idp.audit.origin import current
from idp.db import session, transaction
from idp.ekey.cli import group as group  # the commands of both
from idp.ekey.office import emergency, enrolment, listing, presented
from idp.ekey.views import step
from idp.errors import BadInput, Refusal
from idp.key_register import office_list
from idp.key_register.models import EKey
from idp.second_person.rules import Filer

STYLE = Path(__file__).parent.parent.parent / "static" / "letter.css"
# refusal → what the operator reads
WHY = {
    "key_not_listed": "is not in the key office's list",
    "key_dead": "does not count: expired, revoked, reported, or its enterprise is cancelled",
    "key_taken": "belongs to an account already",
    "too_many_keys": "its enterprise has all the live keys that it may have",
    "username_missing": "the list has no user name for it; give --name",
    "name_foreign": "--name begins with the code of another enterprise",
    "name_unfit": "--name holds what no user name may",
    "name_taken": "the name is taken; give another, or --existing",
    "name_unknown": "no one account of its enterprise has this name",
    "no_letter": "its account has had its first sign-in, or belongs to no new user; the way in is recovery",
    "no_activation_code": "the list has no activation code for it; give --letter",
    "key_no_account": "belongs to no account yet; enrol it first",
    "key_changed": "was replaced before",
    "key_over": "was reported lost, withdrawn or replaced before",
    "replacement_same": "cannot take its own place",
    "replacement_unknown": "NEW is no key of the same enterprise in the key office's list",
    "replacement_dead": "NEW does not count: expired, revoked or reported",
    "replacement_taken": "NEW belongs to another account",
    "certificate_missing": "FILE is empty",
    "certificate_large": "FILE is longer than a certificate",
    "certificate_private": "FILE holds a private key, which nobody but the card may have",
    "certificate_file": "FILE is not one certificate in PEM or DER",
    "certificate_bound": "the certificate is bound to a key already",
    "certificate_other_key": "the certificate names another key",
    "certificate_other_enterprise": "the certificate names another enterprise",
    "request_waiting": "the same waits for confirmation already",
}


def told(found: Any, serial: str) -> Any:
    """What came of it; a refusal becomes a sentence for the operator."""
    if isinstance(found, Refusal):
        refused = f"the certificate does not count: step {found.args.get('step')}, {found.args.get('reason')}"
        raise BadInput(refused if found.code == "certificate_refused" else WHY.get(found.code, found.code), field=serial)
    return found


@group.command("import")
@import_command.strict_option
@import_command.file_argument
@named_operator
def import_(files: tuple[Path, ...], strict: bool) -> None:
    """Add and update e-keys from UTF-8 FILES: serial,enterprise_code,holder,licences,issued,expires,status (active | expired | revoked).

    Optional, for new keys: user_name,activation_code.
    """
    now, secret = web.now(), web.runtime().secret
    import_command.run([(file, lambda path, report: office_list.import_file(path, report, secret, now)) for file in files], strict)


@group.command("enrol")
@click.argument("serial")
@click.option("--name", default="", help="User name; without enterprise code it is put before. Default: the list's.")
@click.option("--existing", is_flag=True, help="Give the key to the enterprise's account of that name instead of making one.")
@click.option("--letter", type=click.Path(dir_okay=False, path_type=Path), help="New file (0600) for the sealed letter: a page to print.")
@named_operator
def enrol(serial: str, name: str, existing: bool, letter: Path | None) -> None:
    """Make the account of a key of the office's list, with an initial password: of a printed letter, or the list's activation code.

    Again for a key whose user has not signed in yet: a new letter, and the one before opens nothing more.
    """
    settings, now = web.runtime().settings, web.now()
    if letter is not None and letter.exists():
        raise BadInput("is there already", file=str(letter), field="--letter")
    hasher = argon2id.hasher(settings.argon2_memory_kib, settings.argon2_passes, settings.hash_concurrency)
    password = initial_password.make() if letter is not None else ""
    hashed = hasher.hash(password) if letter is not None else ""
    with transaction():
        known = enrolment.owner(serial)
        if known is None or name or existing:
            known = told(enrolment.enrol(serial, name, existing, "", now, web.today()), serial).account
        if not existing or enrolment.awaits_first_signin(known):
            _open(serial, hashed, settings.initial_password_days, now)
        username = known.canonical_name
    if letter is not None:
        write_private(letter, letter_page(serial, password))
    click.echo(f"{serial}: {username}")


def _open(serial: str, hashed: str, days: int, now: Any) -> None:
    told(enrolment.print_letter(serial, hashed, days, "", now) if hashed else enrolment.use_code(serial, days, "", now), serial)


def letter_page(serial: str, password: str) -> str:
    """The whole letter as one file, in Chinese."""
    with _speaking_chinese():
        return render_template("ekey/letter.html", **listing.letter(serial, password), style=STYLE.read_text("utf-8"))


def _speaking_chinese() -> AbstractContextManager[None]:
    chinese: AbstractContextManager[None] = force_locale("zh_Hans_CN")
    return chinese


def write_private(file: Path, text: str) -> None:
    """A new file that only its owner reads."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise BadInput(f"cannot be written: {error.strerror}; run the command again for a new letter", file=str(file)) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as written:
        written.write(text)


@group.command("bind")
@click.argument("serial")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@named_operator
def bind(serial: str, file: Path) -> None:
    """File, for an officer of the key office to confirm, that the certificate in FILE (PEM or DER) is this key."""
    words = step.source()
    with file.open("rb") as opened:
        content = opened.read(presented.MAX_FILE_BYTES + 1)
    judged = presented.judge(content, step.rules(), words, web.now())
    origin = current.get()
    asked = presented.Request(Filer(None, origin.operator), origin.why, web.runtime().hooks.acts)
    with transaction():
        words.keep()
        enrolment.held(serial)
        number = presented.file(serial, judged, asked, web.now(), web.today())
    click.echo(f"{serial}: request {told(number, serial)} waits for an officer")


@group.command("replace")
@click.argument("serial")
@click.argument("new")
@named_operator
def replace(serial: str, new: str) -> None:
    """Let the key NEW of the same enterprise take the place of SERIAL, which is dead at once; its account goes on with NEW."""
    with transaction():
        for each in sorted({serial, new}):
            enrolment.held(each)
        found = enrolment.replace(serial, new, "", web.runtime().hooks.key_lost, web.now(), web.today())
    told(found, serial)
    click.echo(f"{serial}: replaced by {new}")


@group.command("withdraw")
@click.argument("serials", nargs=-1, required=True)
@named_operator
def withdraw(serials: tuple[str, ...]) -> None:
    """File, for an officer of the key office to confirm, that keys count no more, for ever: all of SERIALS or none."""
    origin, now = current.get(), web.now()
    with transaction():
        by, acts = Filer(None, origin.operator), web.runtime().hooks.acts
        filed = {serial: told(emergency.file(serial, origin.why, by, acts, now), serial) for serial in dict.fromkeys(serials)}
    for serial, number in filed.items():
        click.echo(f"{serial}: request {number} waits for an officer")


@group.command("show")
@click.argument("serial")
def show(serial: str) -> None:
    """What is known of a key: the office's word, the platform's, its account, licences, certificates and the last events."""
    if session.get(EKey, serial) is None:
        raise BadInput(WHY["key_not_listed"], field=serial)
    for label, text in listing.lines(serial, web.today()):
        click.echo(f"{label}: {text}")
