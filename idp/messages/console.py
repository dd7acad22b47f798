"""Delivery for development: prints, and says so. Refused off loopback by the settings."""

import logging

log = logging.getLogger(__name__)


class Mail:
    """Mails go to the log."""

    def send(self, to: str, subject: str, text: str) -> None:
        """Print instead of sending."""
        log.warning("NOT SENT (console delivery): mail to %s: %s\n%s", to, subject, text)


class Sms:
    """Short messages go to the log."""

    def send(self, to: str, text: str) -> None:
        """Print instead of sending."""
        log.warning("NOT SENT (console delivery): SMS to %s: %s", to, text)
