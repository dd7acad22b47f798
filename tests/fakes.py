"""Stand-ins for the outside world: a clock that only moves when told, a letter box that keeps what is sent."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from idp.adapters import Fetched, Unreachable

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


class FakeWeb:
    """Servers elsewhere: `pages` are what a GET finds, `refused` what would never be called, `inside` what only the operator's word opens."""

    def __init__(self) -> None:
        self.pages: dict[str, Fetched] = {}
        self.refused: dict[str, str] = {}
        self.inside: set[str] = set()
        self.asked: list[str] = []
        self.posted: list[tuple[str, dict[str, str]]] = []
        self.pushed: list[tuple[str, str, str]] = []

    def get(self, url: str, *, most: int = 0) -> Fetched:
        self.asked.append(url)
        if url not in self.pages:
            raise Unreachable("connection")
        return self.pages[url]

    def post(self, url: str, form: Mapping[str, str], *, most: int = 0) -> Fetched:
        self.posted.append((url, dict(form)))
        return self.get(url)

    def push(self, url: str, kind: str, body: bytes, *, most: int = 0, headers: Mapping[str, str] | None = None) -> Fetched:
        self.pushed.append((url, kind, body.decode()))
        return self.get(url)

    def refuses(self, url: str) -> str | None:
        return self.refused.get(url)

    def together(self) -> "FakeWeb":
        return self

    def public_only(self) -> "PublicWeb":
        return PublicWeb(self)


class PublicWeb:
    """The same servers without those `inside`, which only the operator's word opens."""

    def __init__(self, whole: FakeWeb) -> None:
        self.whole = whole

    def get(self, url: str, *, most: int = 0) -> Fetched:
        if url in self.whole.inside:
            raise Unreachable("address")
        return self.whole.get(url, most=most)

    def post(self, url: str, form: Mapping[str, str], *, most: int = 0) -> Fetched:
        if url in self.whole.inside:
            raise Unreachable("address")
        return self.whole.post(url, form, most=most)

    def push(self, url: str, kind: str, body: bytes, *, most: int = 0, headers: Mapping[str, str] | None = None) -> Fetched:
        if url in self.whole.inside:
            raise Unreachable("address")
        return self.whole.push(url, kind, body, most=most)

    def refuses(self, url: str) -> str | None:
        return "address" if url in self.whole.inside else self.whole.refuses(url)

    def together(self) -> "PublicWeb":
        return self

    def public_only(self) -> "PublicWeb":
        return self
