"""Mail by SMTP (STARTTLS where the server offers it, or SMTPS); one message to one recipient."""

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

TIMEOUT_SECONDS = 10


class Mail:
    """`url` = `smtp://[user:password@]host[:port]` or `smtps://…`."""

    def __init__(self, url: str, sender: str) -> None:
        """`sender` is the From address."""
        self._url = urlsplit(url)
        self._sender = sender

    def _connect(self) -> smtplib.SMTP:
        host, context = self._url.hostname or "", ssl.create_default_context()
        if self._url.scheme == "smtps":
            return smtplib.SMTP_SSL(host, self._url.port or 465, timeout=TIMEOUT_SECONDS, context=context)
        connection = smtplib.SMTP(host, self._url.port or 25, timeout=TIMEOUT_SECONDS)
        connection.ehlo()
        if connection.has_extn("starttls"):
            connection.starttls(context=context)
        return connection

    def send(self, to: str, subject: str, text: str) -> None:
        """Deliver or raise OSError (smtplib's errors are OSErrors)."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, to, subject
        message.set_content(text)
        with self._connect() as connection:
            if self._url.username:
                connection.login(unquote(self._url.username), unquote(self._url.password or ""))
            connection.send_message(message)
