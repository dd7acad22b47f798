"""JSON that a program sent: one object, each member once, and texts that a database can keep."""

import json
from typing import Any


def members(body: bytes) -> dict[str, Any] | str:
    """The members of the one object in `body`; a sentence for the program's author if it is none."""
    try:
        sent = json.loads(body.decode("utf-8"), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        return f"not JSON: line {error.lineno}, character {error.colno}"
    except (ValueError, RecursionError):
        return "not JSON in UTF-8, or a member twice"
    return sent if isinstance(sent, dict) else "not one JSON object"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member twice")
    return dict(pairs)


def is_text(value: object, most: int) -> bool:
    """Whether it is a text of at most `most` characters without NUL and without half a character, which JSON can write and no database keeps."""
    return isinstance(value, str) and len(value) <= most and not any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in value)
