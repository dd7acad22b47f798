"""/account/sessions: where the account is signed in, and ending that (R75); /session: how long this one lasts (R77)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, abort, redirect, render_template, url_for
from sqlalchemy import select

from idp import web
from idp.db import session, transaction
from idp.portal import hall
from idp.sessions import lifecycle
from idp.sessions.models import Session
from idp.signin.views import lately, system_names

pages = Blueprint("sessions", __name__)
LARGEST_NUMBER = 2**31 - 1


@dataclass(frozen=True)
class Shown:
    """One session on the page. `browser`, `system`: as in `sessions.device`; `near`: in the network that asks; `only`: that system alone (R54)."""

    id: int
    here: bool
    browser: str
    system: str
    near: bool
    factors: list[str]
    started_at: datetime
    used_at: datetime
    only: str


def _live(account_id: int) -> list[Session]:
    mine = (Session.account_id == account_id, Session.ended_at.is_(None))
    rows = session.scalars(select(Session).where(*mine).order_by(Session.used_at.desc(), Session.id.desc()))
    idle, now = web.runtime().settings.session_idle_seconds, web.now()
    return [row for row in rows if lifecycle.is_live(row, now, idle)]


def _shown(row: Session) -> Shown:
    browser, _, system = row.device.partition(".")
    factors = [name for name in ("password", "totp", "ekey") if getattr(row, f"{name}_at") is not None]
    here, near = row.id == web.signed_in().session_id, row.network == web.caller_network()
    only = system_names.listed([row.only_system]) if row.only_system else ""
    return Shown(row.id, here, browser or "other", system or "other", near, factors, row.started_at, row.used_at, only)


@pages.get("/account/sessions")
@web.access.person
def show() -> str:
    """Every live session, this one first."""
    account_id = web.signed_in().account_id
    shown = sorted((_shown(row) for row in _live(account_id)), key=lambda one: not one.here)
    return render_template("account/sessions.html", person=hall.person(account_id), sessions=shown)


@pages.post("/account/sessions/<int:number>/end")
@web.access.person
def end(number: int) -> Any:
    """End one that is not this one; what belongs to somebody else is not there (threats H)."""
    present = web.signed_in()
    row = session.get(Session, number) if number <= LARGEST_NUMBER else None
    if row is None or row.account_id != present.account_id or row.id == present.session_id:
        abort(404)
    again = lately.ask(url_for("sessions.show"))
    if again is not None:
        return again
    with transaction():
        lifecycle.end(row, "ended_elsewhere", web.now(), web.runtime().hooks.session_ended)
    return redirect(url_for("sessions.show"), 303)


@pages.post("/account/sessions/end")
@web.access.person
def end_others() -> Any:
    """End all but this one."""
    again, present = lately.ask(url_for("sessions.show")), web.signed_in()
    if again is not None:
        return again
    with transaction():
        lifecycle.end_all(present.account_id, "ended_elsewhere", web.now(), web.runtime().hooks.session_ended, keep=present.session_id)
    return redirect(url_for("sessions.show"), 303)


# --- how long it lasts ----------------------------------------------------------------------------------------------------------------------


def _left() -> dict[str, int]:
    present = web.principal()
    row = session.get(Session, present.session_id, populate_existing=True) if present is not None else None
    if row is None:
        return {}
    idle = row.used_at + timedelta(seconds=web.runtime().settings.session_idle_seconds)
    return {name: max(int((end - web.now()).total_seconds()), 0) for name, end in (("idle", idle), ("absolute", row.absolute_end))}


@pages.get("/session")
@web.access.anyone
def life() -> Any:
    """Seconds until the idle and the absolute end, for the page's script; asking is no activity (R77). 401: over."""
    left = _left()
    return (left, 200) if left else ({}, 401)


@pages.post("/session")
@web.access.anyone
def extend() -> Any:
    """【继续使用】: the person is there."""
    present = web.principal()
    if present is None:
        return {}, 401
    with transaction():
        lifecycle.touch(present.session_id, web.now())
    return _left()
