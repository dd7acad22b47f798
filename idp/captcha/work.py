"""The proof of work in the picture's place (D16): the person's browser looks for a number, nobody types anything.

Altcha's challenge (version 1): SHA-256 of salt and number; the salt is the question's id, so a solution belongs to one question, which is spent once.
Its expiry is the question's own.
"""

import base64
import binascii
import json
from typing import Any, Literal

from altcha.v1 import ChallengeOptions, Payload, create_challenge, verify_solution

from idp import opaque_tokens

PURPOSE = "captcha-work"
ALGORITHM: Literal["SHA-256"] = "SHA-256"
# half of it on average: a quarter of a second on a desk, one or two seconds on a slow telephone
HIGHEST = 100_000
MEMBERS = {"algorithm": str, "challenge": str, "number": int, "salt": str, "signature": str}
LONGEST = 1000


def challenge(challenge_id: str, secret: str) -> str:
    """What the page's script needs for this question, as JSON. Another number each time; each of them counts, once together."""
    key = opaque_tokens.derived_key(secret, PURPOSE)
    made = create_challenge(ChallengeOptions(ALGORITHM, HIGHEST, hmac_key=key, salt=challenge_id))
    return json.dumps(made.to_dict() | {"maxnumber": HIGHEST})


def is_solution(typed: str) -> bool:
    """Whether this is meant as one; digits are none."""
    return len(typed) > len("eyJ") and typed.startswith("eyJ")


def solves(typed: str, challenge_id: str, secret: str) -> bool:
    """Whether the work was done for this question."""
    payload = _read(typed)
    if payload is None or payload["salt"].rstrip("&") != challenge_id:
        return False
    return verify_solution(Payload(**payload), opaque_tokens.derived_key(secret, PURPOSE), check_expires=False)[0]


def _read(typed: str) -> dict[str, Any] | None:
    if len(typed) > LONGEST:
        return None
    try:
        payload = json.loads(base64.b64decode(typed, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(payload, dict) or payload.keys() != MEMBERS.keys():
        return None
    right = all(type(payload[name]) is kind for name, kind in MEMBERS.items())
    return payload if right else None
