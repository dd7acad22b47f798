"""Officers for tests: made in the tables, and let in with a session of the wanted factors."""

from datetime import datetime

from flask import Flask
from flask.testing import FlaskClient

from idp import opaque_tokens
from idp.accounts import directory, roles
from idp.accounts.models import Account
from idp.db import session, transaction
from idp.sessions import lifecycle
from tests.fakes import START


def officer(name: str, *held: str, display_name: str = "") -> Account:
    """One with these roles; inside a transaction."""
    row = Account(sub=opaque_tokens.make(), user_class=roles.OFFICER_CLASS, display_name=display_name or name, created_at=START, updated_at=START)
    directory.add_name(row, name, canonical=True)
    session.add(row)
    session.flush()
    for role in held:
        assert roles.give(row, role, "", "tester", START) is None
    return row


def let_in(app: Flask, account: Account, *factors: str, now: datetime = START) -> FlaskClient:
    """A browser with a session of `password` and these factors; outside of transactions."""
    client = app.test_client()
    with app.app_context(), transaction():
        secret = lifecycle.start(account.id, account.epoch, dict.fromkeys(("password", *factors), now), now, 12 * 3600)[1]
    client.set_cookie("session", secret, domain="127.0.0.1")
    return client


def token_of(page: str) -> str:
    """The CSRF token of a page's form."""
    return page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
