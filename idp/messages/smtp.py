"""Mail by SMTP (STARTTLS where the server offers it, or SMTPS); one message to one recipient."""

import html
import re
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

TIMEOUT_SECONDS = 10
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]*[A-Za-z0-9/]")


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
        message.add_alternative(_page(text), subtype="html")
        with self._connect() as connection:
            if self._url.username:
                connection.login(unquote(self._url.username), unquote(self._url.password or ""))
            connection.send_message(message)


def _page(text: str) -> str:
    """The same words for programs that show HTML: nothing is fetched, and an address can be followed."""
    parts = [_LINK.sub(lambda found: f'<a href="{found[0]}">{found[0]}</a>', html.escape(part)) for part in text.split("\n")]
    style = "font: 16px/1.7 sans-serif; color: #1b2430; max-width: 36em"
    return f'<!doctype html><meta charset="utf-8"><div style="{style}">{"<br>".join(parts)}</div>\n'
