"""One-time codes: sent sparingly, used once, bound to what they are for."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from idp import limits
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.one_time_codes import caps, codes, delivery
from idp.one_time_codes.codes import Sent, TooMany, Wait
from idp.one_time_codes.models import OneTimeCode
from idp.outbox.models import OutboxItem
from idp.worker import deliver
from tests.conftest import SECRET
from tests.fakes import START, FakeClock, LetterBox

MOBILE, OTHER = "+8613800138000", "+8613900139000"
# 11:00 in Beijing, at the beginning of an hour: windows of limits begin with the hour and the day (UTC)
pytestmark = pytest.mark.requirement("R58")


def send(subject: str = "s", recipient: str = MOBILE, purpose: str = "contacts", at: float = 0, **more: Any) -> Sent | Wait | TooMany:
    with transaction():
        return codes.send(purpose, subject, "mobile", recipient, START + timedelta(seconds=at), secret=SECRET, **more)


def spend(typed: str, subject: str = "s", recipient: str = MOBILE, purpose: str = "contacts", at: float = 0) -> str:
    with transaction():
        return codes.spend(purpose, subject, typed, START + timedelta(seconds=at), channel="mobile", recipient=recipient, secret=SECRET)


def newest(app: Flask, box: LetterBox) -> str:
    """What the person reads off the telephone."""
    app.extensions["idp"].adapters.clock.at = max(
        app.extensions["idp"].adapters.clock.at, session.scalars(select(func.max(OneTimeCode.sent_at))).one()
    )
    deliver(app, app.extensions["idp_handlers"])
    return str(re.findall(r"\d{6}", box.texts[-1][1])[0])


def another(code: str, n: int = 1) -> str:
    return f"{(int(code) + n) % 10**6:06}"


@pytest.fixture
def ready(context: Flask, clock: FakeClock, letter_box: LetterBox) -> Flask:
    adapters = context.extensions["idp"].adapters
    context.extensions["idp_handlers"] = {delivery.CODE: delivery.deliver(adapters, SECRET)}
    return context


@pytest.mark.store
def test_a_code_works_once(ready: Flask, letter_box: LetterBox) -> None:
    sent = send()
    assert sent == Sent(START + timedelta(seconds=60), START + timedelta(minutes=10))
    code = newest(ready, letter_box)
    assert letter_box.texts[0][0] == MOBILE
    assert spend(another(code)) == "wrong"
    assert spend(code) == "ok"
    assert spend(code) == "over"


@pytest.mark.parametrize("form", ["{0}{1}", " {0} {1} ", "{0}-{1}", "{0}　{1}"])
@pytest.mark.parametrize("wide", [False, True])
def test_digits_are_read_as_input_methods_write_them(ready: Flask, letter_box: LetterBox, form: str, wide: bool) -> None:
    send()
    code = newest(ready, letter_box)
    typed = code.translate(str.maketrans("0123456789", "０１２３４５６７８９")) if wide else code
    assert spend(form.format(typed[:3], typed[3:])) == "ok"


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "①②③④⑤⑥", "١٢٣٤٥٦", "1" * 10**6, "\x00", "\ud800"])
def test_what_can_be_no_code_is_wrong_and_no_try(ready: Flask, letter_box: LetterBox, typed: str) -> None:
    send()
    for _ in range(6):
        assert spend(typed) == "wrong"
    assert spend(newest(ready, letter_box)) == "ok"


@pytest.mark.store
def test_five_tries(ready: Flask, letter_box: LetterBox) -> None:
    send()
    code = newest(ready, letter_box)
    said = [spend(another(code, n)) for n in range(1, 6)]
    assert said == ["wrong"] * 4 + ["over"]
    assert spend(code) == "over"


def test_ten_minutes(ready: Flask, letter_box: LetterBox) -> None:
    send()
    code = newest(ready, letter_box)
    assert spend(code, at=600) == "over"
    assert spend(code, at=599) == "ok"


@pytest.mark.store
def test_a_newer_code_ends_the_older(ready: Flask, letter_box: LetterBox) -> None:
    send()
    old = newest(ready, letter_box)
    assert send(at=59) == Wait(START + timedelta(seconds=60))
    assert isinstance(send(at=60), Sent)
    new = newest(ready, letter_box)
    if new != old:
        assert spend(old, at=61) == "wrong"
    assert spend(new, at=61) == "ok"


@pytest.mark.parametrize("changed", [{"purpose": "recovery"}, {"subject": "t"}, {"recipient": OTHER}])
def test_it_is_good_for_nothing_else(ready: Flask, letter_box: LetterBox, changed: dict[str, Any]) -> None:
    send()
    code = newest(ready, letter_box)
    assert spend(code, **changed) == "over"
    # nor beside a code of that other kind
    send(**changed)
    ready.extensions["idp_handlers"] = {}
    if "recipient" not in changed:
        assert spend(code, **changed) in ("wrong", "over")
        assert spend(code) == "ok"


def test_a_row_that_is_moved_in_the_database_is_good_for_nothing(ready: Flask, letter_box: LetterBox) -> None:
    send()
    code = newest(ready, letter_box)
    for column in ("purpose", "subject"):
        with transaction():
            session.execute(update(OneTimeCode).values({column: "x"}))
        renamed: dict[str, Any] = {column: "x"}
        assert spend(code, **renamed) == "wrong"
        with transaction():
            session.execute(update(OneTimeCode).values({column: "contacts" if column == "purpose" else "s"}))
    assert spend(code) == "ok"


def test_another_recipient_need_not_wait_and_ends_the_first_one(ready: Flask, letter_box: LetterBox) -> None:
    """Wrong number, change it."""
    send()
    first = newest(ready, letter_box)
    assert isinstance(send(recipient=OTHER, at=5), Sent)
    second = newest(ready, letter_box)
    assert [to for to, _ in letter_box.texts] == [MOBILE, OTHER]
    assert spend(first, at=6) == "over"
    assert spend(second, recipient=OTHER, at=6) == "ok"


@pytest.mark.store
def test_caps_of_a_recipient_hold_for_every_subject_and_purpose(ready: Flask) -> None:
    for n in range(5):
        assert isinstance(send(f"s{n}", purpose=f"p{n}"), Sent)
    assert send("s9") == TooMany(START + timedelta(hours=1))
    assert isinstance(send("s9", recipient=OTHER), Sent)
    for n in range(5):
        assert isinstance(send(f"t{n}", at=3600), Sent)
    assert send("t9", at=7200) == TooMany(limits.window_end(caps.PER_RECIPIENT[1], START))


def test_strangers_do_not_use_up_the_codes_of_a_proven_contact(ready: Flask) -> None:
    for n in range(6):
        send(f"stranger{n}")
    said = [type(send(f"mine{n}", purpose="ekey", account_id=7, proven=True)) for n in range(6)]
    assert said == [Sent] * 5 + [TooMany]


def test_every_spelling_of_a_mailbox_is_one(ready: Flask) -> None:
    said = [type(send(f"s{n}", f"{name}@example.cn")) for n, name in enumerate(("abc", "Abc", "aBc", "abC", "ABC", "ABc"))]
    assert said == [Sent] * 5 + [TooMany]


def test_refused_sends_of_an_hour_do_not_use_up_the_day(ready: Flask) -> None:
    said = [type(send(f"s{n}")) for n in range(20)]
    assert said == [Sent] * 5 + [TooMany] * 15
    assert isinstance(send("t", at=3600), Sent)


def test_nobody_learns_whether_a_contact_is_known(ready: Flask, letter_box: LetterBox) -> None:
    """The same answers, waits and caps where nothing leaves the house."""
    told = []
    for deliver_it, recipient in ((True, MOBILE), (False, OTHER)):
        said: list[object] = [send(recipient, recipient, deliver=deliver_it), send(recipient, recipient, at=30, deliver=deliver_it)]
        said += [spend("000000", recipient, recipient, at=31) for _ in range(6)]
        said += [send(f"{recipient}{n}", recipient, at=61, deliver=deliver_it) for n in range(6)]
        told.append(said)
    assert told[0] == told[1]
    newest(ready, letter_box)
    assert {to for to, _ in letter_box.texts} == {MOBILE}


def test_neither_code_nor_recipient_can_be_read_off_the_database(ready: Flask, letter_box: LetterBox) -> None:
    send(account_id=None)
    held = [repr(session.scalars(select(OutboxItem.payload)).all())]
    code = newest(ready, letter_box)
    spend(another(code))
    spend(code)
    held += [repr([getattr(row, name.key) for name in table.__table__.columns]) for table in (OneTimeCode, AuditEvent, limits.LimitWindow)
             for row in session.scalars(select(table))]  # fmt: skip
    assert len(held) > 5
    # digests are hexadecimal: six digits may stand in them by chance
    readable = " ".join(re.sub(r"[0-9a-f]{64}", "", text) for text in held)
    assert not any(secret in readable for secret in (code, "13800138000"))


@pytest.mark.parametrize("fault", ["late", "newer", "spent"])
def test_a_code_that_is_no_longer_good_is_not_delivered(ready: Flask, clock: FakeClock, letter_box: LetterBox, fault: str) -> None:
    send()
    if fault == "late":
        clock.advance(minutes=10)
    if fault == "newer":
        clock.advance(seconds=60)
        send(at=60)
    if fault == "spent":
        with transaction():
            session.execute(update(OneTimeCode).values(spent_at=START))
    deliver(ready, ready.extensions["idp_handlers"])
    assert len(letter_box.texts) == (1 if fault == "newer" else 0)
    assert session.scalar(select(func.count()).select_from(OutboxItem)) == 0


def test_a_mail_has_a_subject_and_speaks_the_person_s_language(ready: Flask, letter_box: LetterBox) -> None:
    with transaction():
        codes.send("contacts", "s", "email", "a@example.cn", START, secret=SECRET, locale="en")
    deliver(ready, ready.extensions["idp_handlers"])
    to, subject, text = letter_box.mails[0]
    assert (to, subject) == ("a@example.cn", "Your verification code")
    assert re.search(r"Your e-mail code is \d{6}\.", text)


def test_the_page_learns_what_is_pending(ready: Flask) -> None:
    def pending(recipient: str, at: float) -> Sent | None:
        return codes.pending("contacts", "s", recipient, START + timedelta(seconds=at), secret=SECRET, channel="mobile")

    assert pending(MOBILE, 0) is None
    sent = send()
    assert pending(MOBILE, 599) == sent
    assert pending(MOBILE, 600) is None
    assert pending(OTHER, 0) is None


def test_sweep_and_forget(ready: Flask) -> None:
    send("a")
    send("b")
    with transaction():
        codes.forget("contacts", "a")
    assert session.scalars(select(OneTimeCode.subject)).all() == ["b"]
    for at, left in ((600, 1), (601, 0)):
        with transaction():
            codes.sweep(START + timedelta(seconds=at))
        assert session.scalar(select(func.count()).select_from(OneTimeCode)) == left


def at_once(app: Flask, times: int, what: Any) -> list[Any]:
    """The same thing in many threads, each with a context of its own."""
    gate, said = threading.Barrier(times), []

    def run(n: int) -> None:
        with app.app_context():
            gate.wait()
            said.append(what(n))
            session.remove()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


@pytest.mark.slow
@pytest.mark.store
def test_of_two_at_once_with_the_right_code_one_wins(ready: Flask, letter_box: LetterBox) -> None:
    for n in range(5):
        send(str(n), f"+861380013800{n}")
        code = newest(ready, letter_box)
        said = at_once(ready, 4, lambda _, n=n, code=code: spend(code, str(n), f"+861380013800{n}"))
        assert sorted(said) == ["ok", "over", "over", "over"]


@pytest.mark.slow
@pytest.mark.store
def test_of_fifty_guesses_at_once_five_are_judged(ready: Flask, letter_box: LetterBox) -> None:
    send()
    code = newest(ready, letter_box)
    said = at_once(ready, 50, lambda n: spend(another(code, n + 1)))
    session.rollback()
    assert said.count("wrong") <= 4
    assert session.scalar(select(func.count()).where(AuditEvent.detail["reason"].as_string() == "wrong")) == 5
    assert spend(code) == "over"


@pytest.mark.slow
@pytest.mark.store
def test_of_many_sends_at_once_one_message_leaves(ready: Flask, letter_box: LetterBox) -> None:
    said = at_once(ready, 8, lambda _: send())
    assert sorted(type(each).__name__ for each in said).count("Sent") == 1
    newest(ready, letter_box)
    assert len(letter_box.texts) == 1
