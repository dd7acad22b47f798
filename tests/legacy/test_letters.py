import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from idp.adapters import Adapters
from idp.app import handlers
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.enterprises.models import Enterprise
from idp.legacy import letters
from idp.legacy.models import LegacyLetter
from idp.outbox.models import OutboxItem
from idp.settings import Settings
from idp.worker import deliver
from tests.command_line import OPERATED, Said, idp
from tests.conftest import SECRET
from tests.fakes import START, FakeClock, FakeWeb, LetterBox
from tests.legacy.dumps import CODE, KEY, OTHER_CODE, registers, row, take, write
from tests.legacy.test_cutover import cut_over

pytestmark = pytest.mark.requirement("R92")


@pytest.fixture
def ready(office: Flask, tmp_path: Path) -> Flask:
    """Two users on one key, one of another enterprise, one disabled; two systems' cut-overs are ordered."""
    registers()
    take(office, write(tmp_path, row("beijing"), row("gone", mobile="13800000009", status="0"), row("other", code=OTHER_CODE, key="", mobile="")))
    take(office, write(tmp_path, row("tianjin", mobile="13800000002"), name="import.csv"), "import")
    take(office, write(tmp_path, row("control", mobile="13800000003"), name="dual.csv"), "dual_use")
    with transaction():
        cut_over("export", 10)
        cut_over("import", 20)
    return office


def send(app: Flask, *more: object) -> Said:
    return idp(app, "legacy", "letters", *more, *OPERATED)


def words_of(file: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", file.read_text("utf-8"), flags=re.DOTALL))


@pytest.mark.parametrize("merged", [False, True])
def test_a_letter_says_what_to_type_from_when_on_and_holds_no_contact(ready: Flask, tmp_path: Path, merged: bool) -> None:
    if merged:
        assert idp(ready, "legacy", "merge", "--apply", "--unprobed", *OPERATED).code == 0
    out = tmp_path / "out"
    assert send(ready, "--folder", out).out == "2 letters · 0 messages\n"
    letter = words_of(out / "0441" / f"{CODE}.html")
    for said in (
        "登录方式变更告知书",
        "甲",
        KEY,
        "beijing",
        f"{CODE}-beijing",
        f"{CODE}-tianjin",
        "以下任一系统的原密码均可",
        "12335",
        "http://127.0.0.1:8000",
    ):
        assert said in letter
    assert letter.count("年") == 3  # two days of cut-over, and the letter's own
    # disabled users are told nothing, and neither are systems without a day
    assert not any(unsaid in out.joinpath("0441", f"{CODE}.html").read_text("utf-8") for unsaid in ("gone", "control", "1380000", "某人"))
    assert re.findall(r'href="([^"]+)"', (out / "index.html").read_text("utf-8")) == [
        "0100/0100123456785.html",
        f"0441/{CODE}.html",
    ]
    assert (out / "index.html").stat().st_mode & 0o77 == 0


def test_without_a_day_there_is_nothing_to_tell(ready: Flask, tmp_path: Path) -> None:
    refused = send(ready, "--folder", tmp_path / "out", "--system", "dual_use")
    assert refused.code == 1
    assert "no cut-over is ordered" in refused.err


@pytest.mark.store
def test_each_contact_is_told_once(ready: Flask, settings: Settings, clock: FakeClock) -> None:
    assert send(ready, "--send").out == "2 letters · 2 messages\n"
    assert send(ready, "--send").out == "2 letters · 0 messages\n"
    box = LetterBox()
    ways = handlers(Adapters(clock=clock, mail=box.mail(), sms=box.sms(), outbound=FakeWeb()), settings, SECRET)
    assert deliver(ready, ways) == 2
    assert sorted(to for to, _text in box.texts) == ["+8613800000001", "+8613800000002"]
    told = dict(box.texts)["+8613800000002"]
    assert "甲：自" in told
    assert f"用户名：{CODE}-tianjin" in told
    with transaction():
        event = session.scalars(select(AuditEvent).where(AuditEvent.event == "legacy.letter.sent")).one()
        assert (event.detail["contacts"], "1380000" in str(event.detail)) == (2, False)
        assert not any("1380000" in row.contact_digest for row in session.scalars(select(LegacyLetter)))


def test_an_interrupted_run_goes_on(ready: Flask) -> None:
    with transaction():
        firm = session.scalars(select(Enterprise).where(Enterprise.code == CODE)).one()
        letter, contacts = letters.writer(START.date(), SECRET).letters([firm.id])[0]
        assert letters.announce(letter, contacts[:1], START) == 1
    assert send(ready, "--send").out == "2 letters · 1 messages\n"
    assert session.scalar(select(func.count()).select_from(OutboxItem)) == 2


def test_a_contact_whose_cutover_was_taken_back_is_told_nothing(ready: Flask, settings: Settings, clock: FakeClock) -> None:
    assert send(ready, "--send").code == 0
    assert idp(ready, "legacy", "cutover", "--revert", 1, "--revert", 2, *OPERATED).code == 0
    box = LetterBox()
    ways = handlers(Adapters(clock=clock, mail=box.mail(), sms=box.sms(), outbound=FakeWeb()), settings, SECRET)
    assert deliver(ready, ways) == 2
    assert box.texts == []


@pytest.mark.requirement("R1")
def test_the_sign_in_page_says_when_systems_are_cut_over_and_that_they_were(ready: Flask, browser: FlaskClient, clock: FakeClock) -> None:
    def banner() -> list[str]:
        page = browser.get("/login", follow_redirects=True).get_data(as_text=True)
        return [re.sub(r"<[^>]+>", "", found).strip() for found in re.findall(r'<div class="notice cutover">(.*?)</div>', page, re.DOTALL)]

    before = banner()
    assert [("自" in each, "已于" in each) for each in before] == [(True, False)] * 2
    clock.advance(days=10)
    assert ["原系统登录已于" in each for each in banner()] == [True, False]
    clock.advance(days=57)
    assert len(banner()) == 1
    clock.advance(days=20)
    assert banner() == []
