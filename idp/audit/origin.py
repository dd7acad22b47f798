"""Where a change comes from: the request or the command, known to every event without being passed through the rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Origin:
    """The request (number, keyed digest of the address, kind of browser) or the operator at the command line; why they, or an officer, do it."""

    request_id: str = ""
    network: str = ""
    device: str = ""
    operator: str = ""
    why: str = ""


NOWHERE = Origin()
current: ContextVar[Origin] = ContextVar("origin", default=NOWHERE)


@contextmanager
def because(why: str) -> Iterator[None]:
    """Every event that is written in here carries this reason."""
    before = current.set(replace(current.get(), why=why.strip()))
    try:
        yield
    finally:
        current.reset(before)
