"""Short messages where no gateway is configured: every try fails, so that nothing is taken for sent."""


class Sms:
    """Raises; the outbox tries again and at last gives up with an audit event."""

    def send(self, to: str, text: str) -> None:
        """Never delivers."""
        raise OSError("no SMS gateway is configured")
