"""The guard of endpoints that clients call: POST, a form and nothing else, nothing in the query, no parameter twice, bounded size."""

from flask import request
from werkzeug.exceptions import HTTPException

from idp.oidc import forms
from idp.oidc.refusal import Refused

MAX_BODY_BYTES = 64 * 1024
FORM = "application/x-www-form-urlencoded"
# Routes of endpoints that programs call take every method, so that a wrong one is answered in JSON as well.
ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")


def raw(most: int) -> bytes | None:
    """The body as it came; None if it has more than `most` bytes, or breaks off. No more is read, whatever Content-Length says or leaves out."""
    # one more than is allowed: at its end the stream of a body without Content-Length cannot say whether there was more
    request.max_content_length = most + 1
    try:
        sent = request.get_data(cache=False)
    except HTTPException:
        return None
    return sent if len(sent) <= most else None


def form() -> dict[str, str] | Refused:
    """The parameters of the body, each once; only `resource` may be repeated, if it says the same (RFC 8707 §2)."""
    # RFC 6749 §3.2
    if request.method != "POST":
        return Refused("invalid_request", "method", 405)
    if request.mimetype != FORM:
        return Refused("invalid_request", "body")
    # RFC 6749 §2.3.1: credentials never in a URL, so nothing is read from there
    if request.query_string:
        return Refused("invalid_request", "query")
    sent = raw(MAX_BODY_BYTES)
    read = forms.parse(sent) if sent is not None else None
    if read is None:
        return Refused("invalid_request", "body")
    if "resource" in read:
        read["resource"] = list(dict.fromkeys(read["resource"]))
    repeated = sorted(name for name, values in read.items() if len(values) > 1)
    if repeated:
        return Refused("invalid_target" if repeated == ["resource"] else "invalid_request", "repeated")
    return {name: values[0] for name, values in read.items()}
