"""/officers/keys: the key office finds a key, sees what is known of it and acts; every act names the state that the officer saw."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask_babel import force_locale

from idp import opaque_tokens, web
from idp.accounts import argon2id, initial_password, roles
from idp.audit import catalogue as audit
from idp.audit.origin import because
from idp.db import transaction
from idp.ekey import withdrawal
from idp.ekey.office import emergency, enrolment, listing, presented
from idp.ekey.views import step
from idp.ekey.withdrawal import Follow
from idp.enterprises import codes
from idp.errors import Refusal
from idp.key_register.office_list import SERIAL
from idp.second_person import rules as second_person
from idp.second_person.rules import Filer

bp = Blueprint("key_office", __name__)
ROLE = "key_office"
PAGE = "/officers/keys/<serial>"


@bp.get("/officers/keys")
@web.access.officer(ROLE)
def search() -> str:
    """Keys by serial, code, USCC or name."""
    sought = request.args.get("q", "")
    return render_template("ekey/office/keys.html", sought=sought[: listing.MAX_SOUGHT_CHARACTERS], keys=listing.find(sought, _regions()), errors=[])


def _page(serial: str, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    shown = _look(serial)
    waits = shown.account is not None and enrolment.awaits_first_signin(shown.account)
    name = request.form.get("username", shown.key.user_name)
    typed = {field: request.form.get(field, "") for field in ("replacement", "certificate_reason", *(field for _, field in ACTIONS.values()))}
    values = {"shown": shown, "seen": _mark(shown), "awaits": waits, "username": name, "existing": "existing" in request.form, **typed}
    return render_template("ekey/office/key.html", **values, errors=errors), status


def _regions() -> frozenset[str]:
    """R90: an officer of a region sees and does nothing elsewhere."""
    return roles.regions(_by(), [ROLE])


def _look(serial: str) -> listing.Shown:
    return listing.look(serial, web.today(), _regions()) or abort(404)


def _mark(shown: listing.Shown) -> str:
    return opaque_tokens.digest(shown.state)


@bp.get(PAGE)
@web.access.officer(ROLE)
def show(serial: str) -> tuple[str, int]:
    """One key."""
    return _page(serial, [])


@bp.post(PAGE)
@web.access.officer(ROLE)
def act(serial: str) -> Any:
    """Do one thing to the key, for a reason, if nothing has changed since the officer saw it."""
    done, field = ACTIONS.get(request.form.get("action", "")) or abort(404)
    reason = request.form.get(field, "")
    with transaction(), because(reason):
        fault = _changed(serial) or second_person.reason_fault(reason)
        found = _at(field, fault) if fault is not None else done(serial)
    return _answer(serial, found)


def _changed(serial: str) -> Refusal | None:
    # held, in one order, so that of two officers at once the second finds what the first one did
    for each in sorted({serial, _replacement()}):
        enrolment.held(each)
    same = opaque_tokens.same(_mark(_look(serial)), request.form.get("seen", ""))
    return None if same else Refusal("key_changed")


def _answer(serial: str, found: str | Refusal) -> Any:
    if isinstance(found, Refusal):
        return _page(serial, [found], 422)
    return redirect(found or url_for("key_office.show", serial=serial), 303)


@bp.post(f"{PAGE}/certificate")
@web.access.officer(ROLE)
def present(serial: str) -> Any:
    """Judge a certificate that somebody brought; if it counts, another officer is asked to confirm that it is this key's (R90)."""
    sent, words = request.files.get("certificate"), step.source()
    content = sent.read(presented.MAX_FILE_BYTES + 1) if sent is not None else b""
    judged = presented.judge(content, step.rules(), words, web.now())
    with transaction():
        words.keep()
        fault, reason = _changed(serial), request.form.get("certificate_reason", "")
        number = fault or presented.file(serial, judged, presented.Request(Filer(_by()), reason, web.runtime().hooks.acts), web.now(), web.today())
    return _answer(serial, _at("certificate_reason", number) if isinstance(number, Refusal) else url_for("second_person.show", number=number))


def _at(field: str, fault: Refusal) -> Refusal:
    """A fault of the reason, at the field of its own form."""
    return replace(fault, field=field) if fault.field == "reason" else fault


def _replacement() -> str:
    """The serial of the key in another's place, as the list writes it; "" if none is named."""
    typed = codes.normalise(request.form.get("replacement", ""))
    return typed if SERIAL.fullmatch(typed) else ""


def _by() -> int:
    return web.signed_in().account_id


def _enrol(serial: str) -> str | Refusal:
    existing = "existing" in request.form
    found = enrolment.enrol(serial, request.form.get("username", ""), existing, str(_by()), web.now(), web.today())
    if isinstance(found, Refusal):
        return found
    return _letter(serial) if found.made else ""


def _enrol_with_code(serial: str) -> str | Refusal:
    """R88: without a letter, which would end the code that the office has handed out with the key."""
    key = enrolment.held(serial)
    if key is None or key.activation_digest is None:
        return Refusal("no_activation_code")
    found = enrolment.enrol(serial, request.form.get("username", ""), "existing" in request.form, str(_by()), web.now(), web.today())
    if isinstance(found, Refusal):
        return found
    return _code(serial) if found.made else ""


def _code(serial: str) -> str | Refusal:
    return enrolment.use_code(serial, web.runtime().settings.initial_password_days, str(_by()), web.now()) or ""


def _letter(serial: str) -> str | Refusal:
    handle = enrolment.announce_letter(serial, _by(), web.now())
    return handle if isinstance(handle, Refusal) else url_for("key_office.letter", handle=handle)


def _lost(serial: str) -> str | Refusal:
    hooks = web.runtime().hooks
    follow = Follow(hooks.key_lost, hooks.session_ended)
    report = withdrawal.report(serial, "lost", "officer", 0, follow, web.now(), web.today())
    audit.ekey_acted(web.now(), account_id=report.account_id, serial=serial, by=str(_by()), act="lost")
    return ""


def _lift(serial: str) -> str | Refusal:
    if not withdrawal.lift(serial, web.now()):
        return Refusal("key_changed")
    audit.ekey_acted(web.now(), account_id=None, serial=serial, by=str(_by()), act="lift")
    return ""


def _replace(serial: str) -> str | Refusal:
    hooks = web.runtime().hooks
    return enrolment.replace(serial, _replacement(), str(_by()), hooks.key_lost, web.now(), web.today()) or ""


def _withdraw(serial: str) -> str | Refusal:
    """R90: only files it; another officer confirms."""
    number = emergency.file(serial, request.form.get("reason", ""), Filer(_by()), web.runtime().hooks.acts, web.now())
    return number if isinstance(number, Refusal) else url_for("second_person.show", number=number)


# what a form asks for: what does it, and the field of its reason, which every event of it keeps
ACTIONS: dict[str, tuple[Callable[[str], str | Refusal], str]] = {
    "enrol": (_enrol, "enrol_reason"),
    "enrol_with_code": (_enrol_with_code, "enrol_reason"),
    "letter": (_letter, "letter_reason"),
    "code": (_code, "letter_reason"),
    "lost": (_lost, "reason"),
    "lift": (_lift, "reason"),
    "replace": (_replace, "replace_reason"),
    "withdraw": (_withdraw, "reason"),
}


def withdraw_confirmed(details: Mapping[str, Any], now: datetime) -> Refusal | None:
    """What ACTS in app.py runs once a second officer confirmed (inside a transaction)."""
    return emergency.withdraw(details, web.runtime().hooks.key_lost, now)


@bp.get("/officers/keys/letters/<handle>")
@web.access.officer(ROLE)
def letter(handle: str) -> Any:
    """The button that prints the announced letter; to look at it spends nothing."""
    serial = enrolment.announced(handle, _by(), web.now())
    return render_template("ekey/office/letter_ready.html", serial=serial, handle=handle) if serial is not None else _letter_gone()


@bp.post("/officers/keys/letters/<handle>")
@web.access.officer(ROLE)
def print_letter(handle: str) -> Any:
    """The sealed letter, once: its password is made now and never shown again."""
    settings = web.runtime().settings
    password = initial_password.make()
    hashed = argon2id.hasher(settings.argon2_memory_kib, settings.argon2_passes, settings.hash_concurrency).hash(password)
    with transaction():
        serial = enrolment.fetch_letter(handle, _by(), hashed, settings.initial_password_days, web.now())
    if serial is None:
        return _letter_gone()
    back = url_for("key_office.show", serial=serial)
    with force_locale("zh_Hans_CN"):
        return render_template("ekey/letter.html", **listing.letter(serial, password), style="", back=back)


def _letter_gone() -> tuple[str, int]:
    return render_template("ekey/office/letter_gone.html"), 410
