"""Query strings and form bodies, read strictly: what a sender repeats, leaves empty or mis-encodes is seen, never guessed."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

MAX_PARAMETERS = 100
Form = Mapping[str, Sequence[str]]


def parse(raw: bytes) -> dict[str, list[str]] | None:
    """Name → values; None if it is no UTF-8 in percent-encoding or has too many parameters.

    A parameter without a value counts as left out (RFC 6749 §3.1).
    """
    try:
        pairs = parse_qsl(raw.decode("ascii"), errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:  # UnicodeDecodeError is one
        return None
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form
