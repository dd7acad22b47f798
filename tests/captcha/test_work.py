"""The proof of work in the picture's place (D16, R60)."""

import base64
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from flask import Flask

from idp.captcha import rules, work
from idp.db import transaction
from tests.conftest import SECRET
from tests.fakes import START, FakeClock
from tests.people import NAME, beijing
from tests.person import Person

LIFE = 300


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def solved(asked: str, **changes: Any) -> str:
    """What the page's script sends: the number found by looking."""
    told = json.loads(work.challenge(asked, SECRET))
    number = next(n for n in range(told["maxnumber"] + 1) if sha256(f"{told['salt']}{n}".encode()).hexdigest() == told["challenge"])
    payload = {name: told[name] for name in ("algorithm", "challenge", "salt", "signature")} | {"number": number}
    return encoded({**payload, **changes})


def encoded(payload: Any) -> str:
    return base64.b64encode(json.dumps(payload).encode()).decode()


def ask(transaction_id: str = "t") -> str:
    with transaction():
        return rules.new(transaction_id, SECRET, START, LIFE)


def check(asked: str, typed: str, transaction_id: str = "t", seconds: int = 0) -> bool:
    clock = FakeClock()
    clock.advance(seconds=seconds)
    with transaction():
        return rules.check(asked, transaction_id, typed, SECRET, clock.now())


@pytest.mark.requirement("R60")
@pytest.mark.requirement("D16")
@pytest.mark.usefixtures("context")
def test_the_work_counts_once_for_its_question_within_five_minutes() -> None:
    asked, other, late, theirs = ask(), ask(), ask(), ask("another")
    payload = solved(asked)
    assert not check(other, payload), "another question"
    assert check(asked, payload)
    assert not check(asked, payload), "replayed"
    assert not check(late, solved(late), seconds=LIFE)
    assert not check(theirs, solved(theirs)), "another transaction"
    assert check(theirs, solved(theirs), "another")


FORGED: dict[str, Callable[[str], str]] = {
    "number": lambda asked: solved(asked, number=0),
    "signature": lambda asked: solved(asked, signature="0" * 64),
    "challenge": lambda asked: solved(asked, challenge=sha256(f"{asked}&7".encode()).hexdigest(), number=7),
    "salt": lambda asked: solved(asked, salt=f"{asked}&x=1&"),
    "algorithm": lambda asked: solved(asked, algorithm="SHA-1"),
    "negative": lambda asked: solved(asked, number=-1),
    "true": lambda asked: solved(asked, number=True),
    "huge": lambda asked: solved(asked, number=10**400),
    "text": lambda asked: solved(asked, number="7"),
    "list": lambda _asked: encoded([1]),
    "member": lambda asked: solved(asked, expires="1"),
    "missing": lambda _asked: encoded({"algorithm": "SHA-256"}),
    "deep": lambda _asked: "eyJ" + "W" * 900,
    "long": lambda asked: solved(asked, signature="0" * 2000),
    "broken": lambda _asked: "eyJ\u00e9",
    "nested": lambda asked: solved(asked, salt={"a": 1}),
}


@pytest.mark.requirement("R60")
@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("forged", FORGED)
def test_what_was_not_worked_for_opens_nothing_and_spends_the_question(forged: str) -> None:
    asked = ask()
    typed = FORGED[forged](asked)
    honest = solved(asked)
    assert not check(asked, typed)
    assert not check(asked, honest)


@pytest.mark.requirement("R25")
def test_the_answer_is_not_on_the_page_and_the_work_signs_in(app: Flask) -> None:
    with app.app_context(), transaction():
        beijing()
    person = Person(app)
    person.open("/login")
    fields = person.form().fields
    answer = person.read_captcha(fields["captcha_id"])
    assert answer not in person.text
    person.submit(username=NAME, password="wrong", captcha=solved(fields["captcha_id"]))
    assert "用户名或密码不正确" in person.text
    person.submit(username=NAME, password="wrong", captcha=solved(fields["captcha_id"]))
    assert "验证码不正确" in person.text, "the old question is spent"
