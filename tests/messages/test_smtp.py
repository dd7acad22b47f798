"""Mail over a real socket to a small SMTP server of our own."""

import socket
import threading
from email import message_from_bytes, policy

import pytest

from idp.messages.absent import Sms
from idp.messages.smtp import Mail


class Server(threading.Thread):
    """Speaks just enough SMTP for one message; keeps what it got."""

    def __init__(self, refuse: bool = False) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.refuse = refuse
        self.received: list[str] = []

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with connection, self.listener, connection.makefile("rw", newline="\r\n", encoding="utf-8") as lines:
            self.say(lines, "220 test")
            data = False
            for line in lines:
                text = line.rstrip("\r\n")
                self.received.append(text)
                if data:
                    data = text != "."
                    if not data:
                        self.say(lines, "250 kept")
                elif text.upper() == "DATA":
                    data = True
                    self.say(lines, "354 go on")
                elif text.upper().startswith("RCPT") and self.refuse:
                    self.say(lines, "550 nobody")
                elif text.upper() == "QUIT":
                    self.say(lines, "221 bye")
                    return
                else:
                    self.say(lines, "250 ok")

    @staticmethod
    def say(lines: object, text: str) -> None:
        lines.write(text + "\r\n")  # type: ignore[attr-defined]  # a text stream
        lines.flush()  # type: ignore[attr-defined]  # a text stream


def test_a_chinese_mail_arrives_whole() -> None:
    server = Server()
    server.start()
    Mail(f"smtp://127.0.0.1:{server.port}", "no-reply@example.cn").send("a@example.cn", "统一平台账号", "您在出口许可证的用户")
    server.join(5)
    body = server.received[server.received.index("data") + 1 : server.received.index(".")]
    message = message_from_bytes("\n".join(body).encode(), policy=policy.default)
    assert message["Subject"] == "统一平台账号"
    assert message["To"] == "a@example.cn"
    assert message.get_content().strip() == "您在出口许可证的用户"


def test_a_refused_recipient_is_an_oserror_that_the_outbox_understands() -> None:
    server = Server(refuse=True)
    server.start()
    with pytest.raises(OSError, match="nobody"):
        Mail(f"smtp://127.0.0.1:{server.port}", "no-reply@example.cn").send("a@example.cn", "s", "t")


def test_no_header_can_be_smuggled_in() -> None:
    server = Server()
    server.start()
    with pytest.raises(ValueError, match="linefeed"):
        Mail(f"smtp://127.0.0.1:{server.port}", "no-reply@example.cn").send("a@example.cn\r\nBcc: evil@example.cn", "s", "t")


def test_without_a_gateway_nothing_is_taken_for_sent() -> None:
    with pytest.raises(OSError, match="gateway"):
        Sms().send("+8613800138000", "123456")
