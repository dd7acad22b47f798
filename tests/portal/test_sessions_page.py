"""Where one is signed in, what happened, and how long a session lasts (R75, R77; threats H)."""

import re

import pytest
from flask import Flask
from sqlalchemy import select

from idp.db import session, transaction
from idp.entitlements import systems
from idp.sessions import device
from idp.sessions.models import Session
from idp.signin.views.password import hasher
from tests import people
from tests.fakes import FakeClock
from tests.people import NAME
from tests.person import Person

PASSWORD, OTHER = "Strong1Passw0rd", "0441987654321-other"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
WECHAT = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 MicroMessenger/8.0.49"
KYLIN = "Mozilla/5.0 (X11; Linux x86_64; Kylin V10) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36 QIHU 360ENT"


@pytest.fixture
def owner(app: Flask, clock: FakeClock) -> int:
    with app.app_context():
        made = hasher().hash(PASSWORD)
        with transaction():
            systems.load()
            firm = people.enterprise()
            for name in (NAME, OTHER):
                row = people.account(firm, [name])
                row.password_hash, row.mobile, row.mobile_proven_at = made, "+8613800138000", clock.now()
                row.contacts_given_at = clock.now()
                session.flush()
        return row.id - 1


def come(app: Flask, agent: str = CHROME, name: str = NAME) -> Person:
    person = Person(app)
    person.client.environ_base["HTTP_USER_AGENT"] = agent
    person.type_password(name, PASSWORD)
    assert person.at == "/hall", person.text
    return person


def token_of(person: Person) -> str:
    """Of any form on the page, the frame's too."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', person.text)
    assert found, person.text
    return found[1]


def live(app: Flask) -> list[Session]:
    with app.app_context():
        return list(session.scalars(select(Session).where(Session.ended_at.is_(None)).order_by(Session.id)))


@pytest.mark.parametrize(
    ("agent", "found"),
    [
        (CHROME, "chrome.windows"),
        (WECHAT, "wechat.ios"),
        (KYLIN, "360.kylin"),
        (CHROME.replace("Safari/537.36", "Safari/537.36 Edg/126.0"), "edge.windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605 (KHTML, like Gecko) Version/17.5 Safari/605", "safari.mac"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "firefox.linux"),
        ("", "other.other"),
        ("x" * 100_000 + "Chrome/1", "other.other"),
        ("<script>", "other.other"),
    ],
)
def test_a_browser_is_two_words(agent: str, found: str) -> None:
    assert device.read(agent) == found
    assert len(found) <= 40


@pytest.mark.store
@pytest.mark.requirement("R75")
def test_each_session_is_shown_and_can_be_ended(app: Flask, clock: FakeClock, owner: int) -> None:
    there = come(app, WECHAT)
    clock.advance(minutes=5)
    person = come(app)
    come(app, name=OTHER)
    person.open("/account/sessions")
    assert person.text.index("Windows 上的 Chrome · 本机") < person.text.index("苹果手机或平板上的微信")
    assert person.text.count("<section") == 3, "the frame's, and two sessions"
    number = live(app)[0].id
    answer = person.client.post(f"/account/sessions/{number}/end", data={"csrf_token": token_of(person)}, follow_redirects=True)
    assert "微信" not in answer.text
    assert there.open("/hall").request.path.startswith("/signin/")
    assert person.open("/hall").request.path == "/hall"
    with app.app_context():
        assert session.get_one(Session, number).end_reason == "ended_elsewhere"


@pytest.mark.requirement("R75")
def test_all_others_at_once_and_only_ones_own(app: Flask, owner: int) -> None:
    others = [come(app) for _ in range(3)]
    stranger, person = come(app, name=OTHER), come(app)
    person.open("/account/sessions")
    person.client.post("/account/sessions/end", data={"csrf_token": token_of(person)})
    assert [one.open("/hall").request.path.startswith("/signin/") for one in others] == [True] * 3
    assert (stranger.open("/hall").request.path, person.open("/hall").request.path) == ("/hall", "/hall")


@pytest.mark.requirement("R75")
def test_what_is_somebody_elses_or_this_very_one_is_not_there(app: Flask, owner: int) -> None:
    come(app, name=OTHER)
    person = come(app)
    person.open("/account/sessions")
    theirs, mine = [row.id for row in live(app)]
    token = token_of(person)
    for number in (theirs, mine, 999, 99999999999999999999):
        assert person.client.post(f"/account/sessions/{number}/end", data={"csrf_token": token}).status_code == 404, number
    assert len(live(app)) == 2


@pytest.mark.requirement("R75")
def test_ending_asks_for_the_password_again_after_ten_minutes(app: Flask, clock: FakeClock, owner: int) -> None:
    come(app)
    person = come(app)
    clock.advance(minutes=11)
    person.open("/account/sessions")
    number = live(app)[0].id
    for path in (f"/account/sessions/{number}/end", "/account/sessions/end"):
        answer = person.client.post(path, data={"csrf_token": token_of(person)})
        assert "/signin/" in answer.location, path
    assert len(live(app)) == 2


# --- the log --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R75")
@pytest.mark.requirement("R85")
def test_the_log_tells_what_happened_to_this_account_without_private_reasons(app: Flask, clock: FakeClock, owner: int) -> None:
    wrong = Person(app)
    wrong.client.environ_base["HTTP_USER_AGENT"] = WECHAT
    wrong.type_password(NAME, "Wrong1Passw0rd")
    come(app, name=OTHER, agent=KYLIN)
    person = come(app)
    person.open("/account/log")
    assert "登录未成功" in person.text
    assert "苹果手机或平板上的微信" in person.text
    assert "麒麟" not in person.text, "somebody else's"
    assert "password" not in person.text.split("<main", 1)[1].split("</main", 1)[0].replace("/account/password", "")
    assert "与您当前相同的网络" in person.text
    clock.advance(days=91)
    assert "登录未成功" not in come(app).open("/account/log").get_data(as_text=True)


@pytest.mark.requirement("R75")
def test_the_log_is_read_page_by_page(app: Flask, clock: FakeClock, owner: int) -> None:
    for _ in range(30):
        person = come(app)
        person.client.post("/signout", data={"csrf_token": token_of(person)})
        clock.advance(minutes=1)
    person = come(app)
    first = person.open("/account/log").get_data(as_text=True)
    assert first.count("<li>") - first.split("<main", 1)[0].count("<li>") == 50
    link = first.split('href="/account/log?before=')[1].split('"')[0]
    second = person.open(f"/account/log?before={link}").get_data(as_text=True)
    assert second.count("<li>") - second.split("<main", 1)[0].count("<li>") == 11
    for odd in ("x", "-1", "²", "9" * 40, ""):
        assert person.open(f"/account/log?before={odd}").status_code == 200, odd


# --- how long it lasts ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R77")
def test_asking_is_no_activity_and_staying_is(app: Flask, clock: FakeClock, owner: int) -> None:
    person = come(app)
    token = token_of(person)
    clock.advance(minutes=29)
    assert person.client.get("/session").get_json() == {"idle": 60, "absolute": 12 * 3600 - 29 * 60}
    assert person.client.post("/session", data={"csrf_token": token}).get_json()["idle"] == 1800
    clock.advance(minutes=29)
    assert person.client.get("/session").get_json()["idle"] == 60
    clock.advance(minutes=1)
    assert [person.client.get("/session").status_code, person.client.post("/session", data={"csrf_token": token}).status_code] == [401, 401]


@pytest.mark.requirement("R77")
def test_the_absolute_end_stays_where_it_is(app: Flask, clock: FakeClock, owner: int) -> None:
    person = come(app)
    token = token_of(person)
    for _ in range(28):
        clock.advance(minutes=25)
        person.client.post("/session", data={"csrf_token": token})
    assert person.client.get("/session").get_json() == {"idle": 1800, "absolute": 1200}


@pytest.mark.requirement("R77")
def test_staying_needs_the_forms_token(app: Flask, clock: FakeClock, owner: int) -> None:
    person = come(app)
    clock.advance(minutes=29)
    assert person.client.post("/session").status_code in (400, 403)
    assert person.client.get("/session").get_json()["idle"] == 60
