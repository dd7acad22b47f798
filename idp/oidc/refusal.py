"""A "no" of the token side, as a value: what the client hears, what the audit learns, and what ends with it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """`error` and `status` go to the client; `reason` (a stable code) only to the audit; `ends_grant` ends in the same commit."""

    error: str
    reason: str
    status: int = 400
    client_id: str | None = None
    ends_grant: int | None = None
