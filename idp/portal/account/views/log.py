"""/account/log: what has happened to the account, for its owner (R75). Reasons that are not theirs to know stay in the audit."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, render_template, request
from sqlalchemy import select

from idp import web
from idp.audit.models import AuditEvent
from idp.db import session
from idp.portal import hall

pages = Blueprint("log", __name__)
KEPT = timedelta(days=90)
PAGE = 50
LARGEST_NUMBER = 2**31 - 1
# the events that are shown; the words: log.<event>
SHOWN = (
    *("session.started", "signin.refused", "signin.locked", "session.ended", "account.password.changed", "account.password.rehashed"),
    *("account.contact.proven", "account.contact.changed", "account.contact.waits", "account.contact.stopped"),
    *("account.totp.on", "account.totp.off", "account.totp.refused", "account.recovery_codes.made", "account.recovery_codes.used"),
    *(
        "account.name.chosen",
        "account.right.proven",
        "account.linked",
        "account.unlinked",
        "ekey.bound",
        "ekey.reported",
        "ekey.repaired",
        "ekey.lost",
    ),
)
# events whose cause their owner may know better than we: shown so that they can object
ALARMING = frozenset(["signin.refused", "signin.locked", "account.totp.refused", "account.totp.off"])


@dataclass(frozen=True)
class Line:
    """One event; `factors`: of a sign-in; `near`: from the network that asks now, None where no network is known."""

    at: datetime
    event: str
    browser: str
    system: str
    near: bool | None
    factors: list[str]
    alarming: bool


def _line(row: AuditEvent) -> Line:
    browser, _, system = row.device.partition(".")
    near = row.network == web.caller_network() if row.network else None
    factors = row.detail["amr"] if row.event == "session.started" else []
    return Line(row.at, row.event, browser, system, near, factors, row.event in ALARMING)


@pages.get("/account/log")
@web.access.person
def show() -> str:
    """The newest first, a page at a time; `before`: the event after which the page begins."""
    account_id, before = web.signed_in().account_id, request.args.get("before", "")
    older = before.isascii() and before.isdecimal() and len(before) < len(str(LARGEST_NUMBER))
    mine = (AuditEvent.account_id == account_id, AuditEvent.event.in_(SHOWN), AuditEvent.at > web.now() - KEPT)
    further = (AuditEvent.id < int(before),) if older else ()
    rows = session.scalars(select(AuditEvent).where(*mine, *further).order_by(AuditEvent.id.desc()).limit(PAGE + 1)).all()
    following = rows[PAGE - 1].id if len(rows) > PAGE else None
    lines = [_line(row) for row in rows[:PAGE]]
    shown = {"lines": lines, "following": following, "first": not older, "days": KEPT.days}
    return render_template("account/log.html", person=hall.person(account_id), **shown)
