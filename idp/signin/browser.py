"""The browser that asks: its secret ids, which bind transactions to it (kept in Flask's signed cookie), and what it may leave with us."""

from flask import request, session

from idp import opaque_tokens, web
from idp.errors import RequestBroken
from idp.sessions import cookie
from idp.signin import room
from idp.signin.models import SignInTransaction

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


def claim_room(*, sign_in: bool = False) -> SignInTransaction | None:
    """`room.claim` for whoever asks now; with `sign_in` a waiting one of this browser may come back, to be written over.

    RequestBroken (403) for what is no page in a window, such as a picture on a hostile page: it leaves nothing and uses up nothing.
    """
    if request.headers.get("Sec-Fetch-Dest", "document") != "document" or request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        raise RequestBroken("http_403", 403)
    return room.claim(web.caller_network(), web.now(), device_digest(), secrets() if sign_in and KEY in session else ())


def device_digest() -> str:
    """Digest of the device cookie, "" if there is none."""
    device = cookie.read(request, cookie.DEVICE, web.runtime().settings.https)
    return opaque_tokens.digest(device) if device else ""


def renew() -> str:
    """Another one from now on (threats H): somebody else may have planted or seen the one before."""
    former = secrets()[:KEPT]
    session[FORMER], session[KEY] = former, opaque_tokens.make()
    return secret()
