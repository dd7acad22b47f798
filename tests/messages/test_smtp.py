"""Mail to a real SMTP server on loopback."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from idp.messages.absent import Sms
from idp.messages.smtp import Mail


class Post:
    """Keeps what was delivered; `refuses`: nobody has a mailbox here."""

    def __init__(self, refuses: bool = False) -> None:
        self.kept: list[tuple[list[str], EmailMessage]] = []
        self._refuses = refuses

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802  # aiosmtpd's name
        if self._refuses:
            return "550 nobody"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # as above
        message: EmailMessage = message_from_bytes(envelope.content, policy=policy.default)
        self.kept.append((envelope.rcpt_tos, message))
        return "250 OK"


@contextmanager
def open_post(post: Post) -> Iterator[Mail]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(post, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield Mail(f"smtp://127.0.0.1:{port}", "no-reply@example.cn")
    finally:
        controller.stop()


def parts(message: EmailMessage) -> dict[str, str]:
    return {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}


def test_a_chinese_mail_arrives_whole_as_text_and_as_html() -> None:
    post = Post()
    with open_post(post) as mail:
        mail.send("a@example.cn", "统一平台账号", "您在出口许可证的用户\n<b>请打开 https://sso.example.cn/contacts/stop/7/ab。")
    [(recipients, message)] = post.kept
    assert (recipients, message["Subject"], message["To"]) == (["a@example.cn"], "统一平台账号", "a@example.cn")
    found = parts(message)
    assert found["text/plain"].replace("\r\n", "\n").strip() == "您在出口许可证的用户\n<b>请打开 https://sso.example.cn/contacts/stop/7/ab。"
    page = found["text/html"]
    assert "您在出口许可证的用户<br>&lt;b&gt;请打开 " in page
    assert '<a href="https://sso.example.cn/contacts/stop/7/ab">' in page
    assert "<b>" not in page
    assert "src=" not in page


def test_a_refused_recipient_is_an_oserror_that_the_outbox_understands() -> None:
    with open_post(Post(refuses=True)) as mail, pytest.raises(OSError, match="nobody"):
        mail.send("a@example.cn", "s", "t")


def test_a_server_that_is_away_is_an_oserror() -> None:
    with open_post(Post()) as mail:
        pass
    with pytest.raises(OSError):  # noqa: PT011  # whatever the system calls it
        mail.send("a@example.cn", "s", "t")


def test_no_header_can_be_smuggled_in_and_no_second_recipient() -> None:
    post = Post()
    with open_post(post) as mail:
        with pytest.raises(ValueError, match="linefeed"):
            mail.send("a@example.cn\r\nBcc: evil@example.cn", "s", "t")
        assert post.kept == []


def test_without_a_gateway_nothing_is_taken_for_sent() -> None:
    with pytest.raises(OSError, match="gateway"):
        Sms().send("+8613800138000", "123456")
