"""Stand-ins for the outside world: a clock that only moves when told, a letter box that keeps what is sent."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


class FakeClock:
    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, **parts: float) -> None:
        self.at += timedelta(**parts)


class LetterBox:
    def __init__(self) -> None:
        self.mails: list[tuple[str, str, str]] = []
        self.texts: list[tuple[str, str]] = []

    def mail(self) -> "FakeMail":
        return FakeMail(self)

    def sms(self) -> "FakeSms":
        return FakeSms(self)


class FakeMail:
    def __init__(self, box: LetterBox) -> None:
        self.box = box

    def send(self, to: str, subject: str, text: str) -> None:
        self.box.mails.append((to, subject, text))


class FakeSms:
    def __init__(self, box: LetterBox) -> None:
        self.box = box

    def send(self, to: str, text: str) -> None:
        self.box.texts.append((to, text))
