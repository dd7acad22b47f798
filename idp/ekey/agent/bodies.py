"""The two bodies that the agent reads. Nothing but a nonce, and on the form road a state, ever comes in; there is no PIN among them."""

import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

LARGEST_BODY = 4096  # bytes
NONCE = re.compile(r"[A-Za-z0-9+/_-]{43,128}={0,2}")  # at least 256 bits (Web eID asks for that)
STATE = re.compile(r"[A-Za-z0-9._~-]{1,256}")


@dataclass(frozen=True)
class Form:
    """What the form road brings."""

    nonce: str
    state: str


def nonce_of(body: bytes) -> str | None:
    """The nonce of `{"nonce": …}`; None for anything else, further members too."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, dict) or set(members) != {"nonce"} or not isinstance(members["nonce"], str):
        return None
    return members["nonce"] if NONCE.fullmatch(members["nonce"]) else None


def form_of(body: bytes) -> Form | None:
    """`nonce` and `state`, each once and nothing else; None otherwise."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=2)
    except ValueError:
        return None
    if sorted(name for name, _ in pairs) != ["nonce", "state"]:
        return None
    form = Form(**dict(pairs))
    return form if NONCE.fullmatch(form.nonce) and STATE.fullmatch(form.state) else None
