"""`idp ekey enrol | show`: what the key office does at the command line. Commands that change something name who does it, and why (R90)."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import click
from flask import render_template
from flask_babel import force_locale

from idp import web
from idp.accounts import argon2id, initial_password, roles
from idp.audit import catalogue as audit
from idp.audit.origin import Origin, current
from idp.db import session, transaction
from idp.ekey.cli import group as group  # the commands of all three
from idp.ekey.office import enrolment, listing
from idp.errors import BadInput, Refusal
from idp.key_register.models import EKey

Command = TypeVar("Command", bound=Callable[..., Any])
MAX_OPERATOR_CHARACTERS, MAX_REASON_CHARACTERS = 64, 200
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
}


def named(command: Command) -> Command:
    """--operator and --reason of a changing command."""
    reason = click.option("--reason", required=True, help="Why, for the audit; no personal data.")
    return reason(click.option("--operator", required=True, help="Who does it: your own name.")(command))


def acting(operator: str, reason: str, command: str, serial: str) -> None:
    """Judge who acts and name them in every event of this command; BadInput if they may not."""
    if not operator.strip() or len(operator) > MAX_OPERATOR_CHARACTERS or not operator.isprintable():
        raise BadInput(f"up to {MAX_OPERATOR_CHARACTERS} printable characters", field="--operator")
    if not reason.strip() or len(reason) > MAX_REASON_CHARACTERS or not reason.isprintable():
        raise BadInput(f"up to {MAX_REASON_CHARACTERS} printable characters", field="--reason")
    # R90
    if not roles.may_operate(operator):
        raise BadInput("a security officer or auditor changes nothing at the command line", field="--operator")
    current.set(Origin(operator=operator.strip()))
    with transaction():
        audit.command_run(web.now(), command=command, serial=serial, reason=reason.strip())


def told(found: Any, serial: str) -> Any:
    """What came of it; a refusal becomes a sentence for the operator."""
    if isinstance(found, Refusal):
        raise BadInput(WHY.get(found.code, found.code), field=serial)
    return found


@group.command("enrol")
@click.argument("serial")
@click.option("--name", default="", help="User name; without enterprise code it is put before. Default: the list's.")
@click.option("--existing", is_flag=True, help="Give the key to the enterprise's account of that name instead of making one.")
@click.option("--letter", type=click.Path(dir_okay=False, path_type=Path), help="New file (0600) for the sealed letter: a page to print.")
@named
def enrol(serial: str, name: str, existing: bool, letter: Path | None, operator: str, reason: str) -> None:
    """Make the account of a key of the office's list, with an initial password: of a printed letter, or the list's activation code.

    Again for a key whose user has not signed in yet: a new letter, and the one before opens nothing more.
    """
    settings, now = web.runtime().settings, web.now()
    if letter is not None and letter.exists():
        raise BadInput("is there already", file=str(letter), field="--letter")
    acting(operator, reason, "ekey enrol", serial)
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


@group.command("show")
@click.argument("serial")
def show(serial: str) -> None:
    """What is known of a key: the office's word, the platform's, its account, licences, certificates and the last events."""
    if session.get(EKey, serial) is None:
        raise BadInput(WHY["key_not_listed"], field=serial)
    for label, text in listing.lines(serial, web.today()):
        click.echo(f"{label}: {text}")
