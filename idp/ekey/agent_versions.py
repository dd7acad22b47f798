"""Is an e-key driver too old? One rule, here and in `static/ekey.js`: up to four numbers between dots, compared as numbers, missing ones are 0."""

import re

from idp.ekey_settings import AGENT_VERSION

NAME = "licence-idp-agent"  # before the slash of a token's appVersion
PARTS = 4


def read(text: str) -> tuple[int, ...] | None:
    """The four numbers of a version; None if it is none of ours."""
    if not re.fullmatch(AGENT_VERSION, text):
        return None
    numbers = [int(part) for part in text.split(".")]
    return tuple(numbers + [0] * (PARTS - len(numbers)))


def outdated(app_version: str, minimum: str) -> bool:
    """Whether the driver that calls itself `app_version` ("licence-idp-agent/0.1.0") is older than `minimum` ("" = any will do).

    Where a minimum is set, a foreign driver, or one whose version cannot be read, counts as too old. The card does not sign this text: it spares
    people the trouble that a known fault makes, and keeps no attacker out.
    """
    if not minimum:
        return False
    name, _, version = app_version.partition("/")
    found, needed = read(version), read(minimum)
    return name != NAME or found is None or needed is None or found < needed
