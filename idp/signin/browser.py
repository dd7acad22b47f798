"""The browser's secret id, which binds transactions and requests to it: kept in Flask's signed cookie, made at first use."""

from flask import session

from idp import opaque_tokens

KEY = "browser"


def secret() -> str:
    """The browser's secret id."""
    found = session.get(KEY)
    if not isinstance(found, str):
        found = session[KEY] = opaque_tokens.make()
    return found
