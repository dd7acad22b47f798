"""What an id_token_hint proves, the same at authorization and at sign-out (OIDC Core §3.1.2.1, RP-Initiated Logout §2)."""

from datetime import datetime
from typing import Any

from idp.oidc import jose
from idp.oidc.keys import RETIRED_FOR_HINTS, KeySet


def claims(hint: str, keys: KeySet, issuer: str, now: datetime) -> dict[str, Any] | None:
    """The claims of an ID token that we issued, an expired one too; None for anything else.

    A signed userinfo answer has the same issuer, audience and type, but none of the times and hashes of a sign-in.
    """
    found = keys.verified(hint, ("JWT",), now, RETIRED_FOR_HINTS)
    if found is None or found.get("iss") != issuer:
        return None
    named = all(isinstance(found.get(name), str) for name in ("sub", "aud", "at_hash"))
    timed = all(jose.number(found.get(name)) is not None for name in ("exp", "iat", "auth_time"))
    return found if named and timed else None
