"""Where a change comes from: the request or the command, known to every event without being passed through the rules."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """The request (its number, a keyed digest of the address) or the operator at the command line, and why they run the command."""

    request_id: str = ""
    network: str = ""
    operator: str = ""
    why: str = ""


NOWHERE = Origin()
current: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)
