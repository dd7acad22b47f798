"""The outside world, as small Protocols, and the record that carries them.

create_app() receives one Adapters; production fills it from the settings, tests with fakes. Rules take plain values (`now`) instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

# China has one time zone and no summer time; a fixed offset needs no zone database.
BEIJING = timezone(timedelta(hours=8))


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class Mail(Protocol):
    """One mail to one recipient."""

    def send(self, to: str, subject: str, text: str) -> None:
        """Deliver or raise OSError; the outbox tries again."""
        ...


class Sms(Protocol):
    """One short message to one number (E.164)."""

    def send(self, to: str, text: str) -> None:
        """Deliver or raise OSError; the outbox tries again."""
        ...


@dataclass(frozen=True)
class Fetched:
    """What another server answered; redirects are not followed, so any status may stand here."""

    status: int
    body: bytes


@dataclass
class Unreachable(OSError):
    """No answer: `reason` is a stable code (url, scheme, name, address, connection, tls, time, size)."""

    reason: str

    def __str__(self) -> str:
        """The stable code."""
        return self.reason


class Outbound(Protocol):
    """HTTP requests to addresses that clients registered. Never inside a transaction."""

    def get(self, url: str, *, most: int = ...) -> Fetched:
        """GET, at most `most` bytes of body; Unreachable if there is no answer."""
        ...

    def post(self, url: str, form: Mapping[str, str], *, most: int = ...) -> Fetched:
        """POST of a form; Unreachable if there is no answer."""
        ...

    def push(self, url: str, kind: str, body: bytes, *, most: int = ..., headers: Mapping[str, str] = ...) -> Fetched:
        """POST of a body of the media type `kind`, with further headers; Unreachable if there is no answer."""
        ...

    def refuses(self, url: str) -> str | None:
        """Whether `url` would never be called (a private address, plain http), as a stable code; asked when it is registered."""
        ...

    def together(self) -> "Outbound":
        """The same, whose calls have together the time of one, which begins now: for whoever makes a caller wait."""
        ...

    def public_only(self) -> "Outbound":
        """The same without what the operator allows in private networks: for addresses that strangers gave."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Adapters:
    """What the outside world is in this process."""

    clock: Clock
    mail: Mail
    sms: Sms
    outbound: Outbound
