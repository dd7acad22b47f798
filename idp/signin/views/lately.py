"""Re-authentication before changes to an account (threats G): whoever proved themselves a while ago signs in once more, by all they have."""

from datetime import timedelta

from flask import redirect
from werkzeug.wrappers import Response

from idp import web
from idp.accounts import totp
from idp.accounts.models import Account
from idp.db import session
from idp.sessions.models import Session
from idp.signin.views import entry

LATELY = timedelta(minutes=10)


def ask(return_to: str) -> Response | None:
    """None if the person of this page has proven password and, where the account has one, second factor lately; else to a sign-in that comes back."""
    present = web.signed_in()
    if _proven(present):
        return None
    name = session.get_one(Account, present.account_id).canonical_name
    return redirect(entry.begin(return_to, name), 303)


def _proven(present: web.Principal) -> bool:
    row, since = session.get_one(Session, present.session_id), web.now() - LATELY
    second = [at for at in (row.totp_at, row.ekey_at) if at is not None and at > since]
    return row.password_at is not None and row.password_at > since and (bool(second) or not totp.is_on(present.account_id))
