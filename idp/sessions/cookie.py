"""The session cookie and the long-lived device cookie: names, attributes, nothing else.

https issuer → `__Host-` and Secure; http on loopback → the same names without either (cookies are shared over ports).
"""

from werkzeug.wrappers import Request, Response

SESSION, DEVICE = "session", "device"
DEVICE_SECONDS = 400 * 24 * 3600


def name(kind: str, https: bool) -> str:
    """The cookie's name under this kind of issuer."""
    return f"__Host-{kind}" if https else kind


def read(request: Request, kind: str, https: bool) -> str:
    """The cookie's value, "" if there is none or it is no handle of ours."""
    value = request.cookies.get(name(kind, https), "")
    return value if len(value) <= 64 else ""


def write(response: Response, kind: str, value: str, https: bool) -> None:
    """Set it: HttpOnly, Lax, path /, no domain; the device cookie lives 400 days, the session cookie as long as the browser."""
    max_age = DEVICE_SECONDS if kind == DEVICE else None
    response.set_cookie(name(kind, https), value, max_age=max_age, secure=https, httponly=True, samesite="Lax", path="/")


def clear(response: Response, kind: str, https: bool) -> None:
    """Take it away."""
    response.delete_cookie(name(kind, https), secure=https, httponly=True, samesite="Lax", path="/")
