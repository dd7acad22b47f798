"""/officers/keys: the key office finds a key, sees what is known of it and acts; every act names the state that the officer saw."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask_babel import force_locale

from idp import opaque_tokens, web
from idp.accounts import argon2id, initial_password
from idp.audit import catalogue as audit
from idp.db import transaction
from idp.ekey import withdrawal
from idp.ekey.office import enrolment, listing
from idp.ekey.withdrawal import Follow
from idp.errors import Refusal
from idp.second_person import rules as second_person

bp = Blueprint("key_office", __name__)
ROLE = "key_office"
WITHDRAW = "ekey.withdraw"
PAGE = "/officers/keys/<serial>"


@bp.get("/officers/keys")
@web.access.officer(ROLE)
def search() -> str:
    """Keys by serial, code, USCC or name."""
    sought = request.args.get("q", "")
    return render_template("ekey/office/keys.html", sought=sought[: listing.MAX_SOUGHT_CHARACTERS], keys=listing.find(sought), errors=[])


def _page(serial: str, errors: list[Refusal], status: int = 200) -> tuple[str, int]:
    shown = listing.look(serial, web.today()) or abort(404)
    waits = shown.account is not None and enrolment.awaits_first_signin(shown.account)
    name = request.form.get("username", shown.key.user_name or f"{shown.key.enterprise.prefix}-")
    values = {"shown": shown, "seen": _mark(shown), "awaits": waits, "username": name, "reason": request.form.get("reason", "")}
    return render_template("ekey/office/key.html", **values, errors=errors), status


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
    """Do one thing to the key, if nothing has changed since the officer saw it."""
    done = ACTIONS.get(request.form.get("action", ""))
    if done is None:
        abort(404)
    with transaction():
        # held, so that of two officers at once the second finds what the first one did
        enrolment.held(serial)
        shown = listing.look(serial, web.today()) or abort(404)
        same = opaque_tokens.same(_mark(shown), request.form.get("seen", ""))
        found = done(serial) if same else Refusal("key_changed")
    if isinstance(found, Refusal):
        return _page(serial, [found], 422)
    return redirect(found or url_for("key_office.show", serial=serial), 303)


def _by() -> int:
    return web.signed_in().account_id


def _enrol(serial: str) -> str | Refusal:
    existing = "existing" in request.form
    found = enrolment.enrol(serial, request.form.get("username", ""), existing, str(_by()), web.now(), web.today())
    if isinstance(found, Refusal):
        return found
    return _letter(serial) if found.made else ""


def _letter(serial: str) -> str | Refusal:
    handle = enrolment.announce_letter(serial, _by(), web.now())
    return handle if isinstance(handle, Refusal) else url_for("key_office.letter", handle=handle)


def _lost(serial: str) -> str | Refusal:
    fault = second_person.reason_fault(request.form.get("reason", ""))
    if fault is not None:
        return fault
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


def _withdraw(serial: str) -> str | Refusal:
    """R90: only files it; another officer confirms."""
    number = second_person.file(WITHDRAW, serial, {"serial": serial}, request.form.get("reason", ""), _by(), web.now())
    return number if isinstance(number, Refusal) else url_for("second_person.show", number=number)


ACTIONS = {"enrol": _enrol, "letter": _letter, "lost": _lost, "lift": _lift, "withdraw": _withdraw}


def withdraw_confirmed(details: Mapping[str, Any], now: datetime) -> Refusal | None:
    """What ACTS in app.py runs once a second officer confirmed (inside a transaction)."""
    done = withdrawal.withdraw(details["serial"], now, web.runtime().hooks.key_lost, "officer")
    return Refusal("key_changed") if done is None else None


@bp.get("/officers/keys/letters/<handle>")
@web.access.officer(ROLE)
def letter(handle: str) -> Any:
    """The sealed letter, once: its password is made now and never shown again."""
    settings = web.runtime().settings
    password = initial_password.make()
    hashed = argon2id.hasher(settings.argon2_memory_kib, settings.argon2_passes, settings.hash_concurrency).hash(password)
    with transaction():
        serial = enrolment.fetch_letter(handle, _by(), hashed, settings.initial_password_days, web.now())
    if serial is None:
        return render_template("ekey/office/letter_gone.html"), 410
    with force_locale("zh_Hans_CN"):
        return render_template("ekey/letter.html", **listing.letter(serial, password), style="")
