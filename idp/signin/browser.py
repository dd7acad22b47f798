"""The browser's secret ids, which bind transactions and requests to it: kept in Flask's signed cookie, the first made at first use."""

from flask import session

from idp import opaque_tokens

KEY, FORMER = "browser", "former_browser"
# tabs that were opened before a sign-in go on after it
KEPT = 5


def secret() -> str:
    """The browser's secret id, for what begins now."""
    found = session.get(KEY)
    if not isinstance(found, str):
        found = session[KEY] = opaque_tokens.make()
    return found


def secrets() -> list[str]:
    """It and the ones it had before, for what is looked up."""
    former = session.get(FORMER)
    return [secret(), *(each for each in (former if isinstance(former, list) else []) if isinstance(each, str))]


def renew() -> str:
    """Another one from now on (threats H): somebody else may have planted or seen the one before."""
    former = secrets()[:KEPT]
    session[FORMER], session[KEY] = former, opaque_tokens.make()
    return secret()
