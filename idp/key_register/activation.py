"""Activation codes (R88): what the key office may hand out with a new key, to be typed at the first sign-in. Only a keyed digest is kept.

The digest is keyed outside the database, so that a stolen table cannot be searched by guessing, and the same for the same code, so that a list
that comes again changes nothing.
"""

import re

from idp import opaque_tokens

CODE = re.compile(r"[\x21-\x7e]{6,40}")


def digest(secret: str, serial: str, code: str) -> str:
    """What is kept of the code for the key `serial`."""
    return opaque_tokens.keyed_digest(secret, "activation-code", f"{serial}:{code}")
