"""The outside world, as small Protocols, and the record that carries them.

create_app() receives one Adapters; production fills it from the settings, tests with fakes. Rules take plain values (`now`) instead.
"""

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
