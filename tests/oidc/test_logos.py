"""Logos: fetched by the worker alone, judged by their bytes, drawn anew, served from here; nothing that a client's server says breaks anything."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from idp.adapters import Fetched, Unreachable
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.oidc import logos
from idp.oidc.client_models import ClientLogo
from idp.outbox import queue
from idp.outbox.models import OutboxItem
from idp.settings import Settings
from tests.command_line import idp
from tests.conftest import SECRET
from tests.fakes import FakeClock, FakeWeb
from tests.oidc.conftest import Somebody
from tests.oidc.test_backchannel import work
from tests.oidc.test_consent import page
from tests.oidc.test_pictures import bomb, picture
from tests.oidc.test_register import allow, call, own, path_of, register, registered
from tests.relying_party import ISSUER, RelyingParty

LOGO = "https://rp.example/logo"
PATH = "/oauth2/clients/rp/logo.png"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, client_registration="on")


@pytest.fixture
def rp(platform: Flask, clock: FakeClock) -> RelyingParty:
    members = {"policy_uri": "https://rp.example/policy", "tos_uri": "https://rp.example/tos"}
    return RelyingParty(platform, clock, logo_uri=LOGO, first_party=False, client_name="物流<公司>", **members)


def served(platform: Flask, path: str = PATH, **headers: str) -> Any:
    return platform.test_client().get(path, headers=headers, base_url=ISSUER)


def told(platform: Flask) -> list[tuple[str, Any]]:
    with platform.app_context():
        rows = session.query(AuditEvent).filter(AuditEvent.event.startswith("oidc.client.logo.") | (AuditEvent.event == "outbox.given_up"))
        return [(row.event.rpartition(".")[2], row.detail.get("reason", row.detail.get("kind"))) for row in rows.order_by(AuditEvent.id)]


def waiting(platform: Flask) -> int:
    with platform.app_context():
        return session.query(OutboxItem).filter_by(kind=logos.LOGO).count()


# --- its life ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.spec("OIDC Registration", "2")
def test_it_is_fetched_by_the_worker_and_served_from_here(rp: RelyingParty, platform: Flask, far_servers: FakeWeb) -> None:
    far_servers.pages[LOGO] = Fetched(200, picture("JPEG"))
    assert far_servers.asked == []
    assert (served(platform).status_code, served(platform).headers["Cache-Control"]) == (404, "no-store")
    assert work(platform) == 1
    assert work(platform) == 0
    assert far_servers.asked == [LOGO]
    answer = served(platform)
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    assert answer.data.startswith(b"\x89PNG")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
    assert "Set-Cookie" not in answer.headers
    assert served(platform, **{"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert [event for event, _ in told(platform)] == ["kept"]


def test_pages_show_it_with_its_words(rp: RelyingParty, platform: Flask, far_servers: FakeWeb, beijing: Somebody) -> None:
    far_servers.pages[LOGO] = Fetched(200, picture())
    browser = rp.browser()
    # nothing while there is none
    assert "client-logo" not in browser.get(rp.authorize(browser).location, base_url=ISSUER, follow_redirects=True).text
    work(platform)
    at_signin = browser.get(rp.authorize(browser).location, base_url=ISSUER, follow_redirects=True).text
    browser = rp.browser(beijing.id)
    _, at_consent, _ = page(browser, rp.authorize(browser).location)
    for text in (at_signin, at_consent):
        tag = text.split('<img class="client-logo"')[1].split(">")[0]
        assert 'alt="物流&lt;公司&gt;的标志"' in tag
        src = tag.split('src="')[1].split('"')[0]
        assert src.startswith(PATH + "?v=")
        assert served(platform, src).status_code == 200
        for link in ("https://rp.example/policy", "https://rp.example/tos"):
            assert f'<a href="{link}" rel="noopener noreferrer">' in text
        assert LOGO + '"' not in text


def test_without_one_pages_show_nothing(platform: Flask, clock: FakeClock) -> None:
    plain = RelyingParty(platform, clock, "plain")
    browser = plain.browser()
    text = browser.get(plain.authorize(browser).location, base_url=ISSUER, follow_redirects=True).text
    assert "client-logo" not in text
    assert "隐私政策" not in text
    assert served(platform, "/oauth2/clients/plain/logo.png").status_code == 404
    assert waiting(platform) == 0


def test_a_yes_counts_for_the_logo_that_was_shown(rp: RelyingParty, platform: Flask, far_servers: FakeWeb, beijing: Somebody) -> None:
    browser = rp.browser(beijing.id)
    path, _, fields = page(browser, rp.authorize(browser).location)
    far_servers.pages[LOGO] = Fetched(200, picture())
    work(platform)
    assert browser.post(path, data={**fields, "action": "allow"}, base_url=ISSUER).location == path


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Fetched(200, b"<svg/>"), "format"),
        (Fetched(200, b"<html>"), "format"),
        (Fetched(200, bomb()), None),
        (Fetched(301, b""), "status"),
        (Fetched(302, picture()), "status"),
        (Fetched(404, picture()), "status"),
        ("address", "address"),
        ("size", "size"),
    ],
)
def test_what_is_no_logo_is_refused_once_and_recorded(
    rp: RelyingParty, platform: Flask, far_servers: FakeWeb, monkeypatch: pytest.MonkeyPatch, answer: Fetched | str, reason: str | None
) -> None:
    def get(url: str, *, most: int = 0) -> Fetched:
        if isinstance(answer, str):
            raise Unreachable(answer)
        return answer

    monkeypatch.setattr(far_servers, "get", get)
    assert work(platform) == 1
    assert waiting(platform) == 0
    [(event, said)] = told(platform)
    assert event == "refused"
    assert said == reason or (reason is None and said in ("pixels", "picture"))
    assert served(platform).status_code == 404


@pytest.mark.parametrize("status", [None, 500, 503, 429])
def test_a_server_that_is_away_is_asked_again_and_given_up(
    rp: RelyingParty, platform: Flask, clock: FakeClock, far_servers: FakeWeb, status: int | None
) -> None:
    if status is not None:
        far_servers.pages[LOGO] = Fetched(status, b"")
    for _ in range(queue.MAX_TRIES):
        assert work(platform) == 1
        clock.advance(hours=8)
    assert work(platform) == 0
    assert told(platform) == [("given_up", logos.LOGO)]


def test_strangers_reach_public_addresses_only(platform: Flask, far_servers: FakeWeb) -> None:
    far_servers.refused["https://10.0.0.1/l"] = "address"
    far_servers.inside.add("https://intranet.example/l")
    leave = allow(platform)
    for uri in ("https://10.0.0.1/l", "https://intranet.example/l", "http://rp.example/l"):
        answer = register(platform, leave, logo_uri=uri)
        assert (answer.status_code, answer.json["error"] if answer.json else "") == (400, "invalid_client_metadata")
    # a name that led outside when it was registered
    far_servers.pages[LOGO] = Fetched(200, picture())
    client_id = registered(platform, leave, logo_uri=LOGO)["client_id"]
    far_servers.inside.add(LOGO)
    assert work(platform) == 1
    assert told(platform) == [("refused", "address")]
    assert served(platform, f"/oauth2/clients/{client_id}/logo.png").status_code == 404


@pytest.mark.store
def test_over_http_it_follows_the_registration(platform: Flask, clock: FakeClock, far_servers: FakeWeb) -> None:
    other = "https://rp.example/other"
    far_servers.pages |= {LOGO: Fetched(200, picture()), other: Fetched(200, picture(size=(10, 10)))}
    told_ = registered(platform, allow(platform), logo_uri=LOGO)
    path = f"/oauth2/clients/{told_['client_id']}/logo.png"
    work(platform)
    first = served(platform, path)

    def put(**members: str) -> None:
        sent = {"client_id": told_["client_id"], "redirect_uris": told_["redirect_uris"], **members}
        assert call(platform, "PUT", path_of(told_), own(told_), sent).status_code == 200

    put(logo_uri=LOGO, client_name="neu")
    assert waiting(platform) == 0  # the same address is not asked again
    assert served(platform, path).data == first.data
    put(logo_uri=other)
    assert served(platform, path).status_code == 404  # the old one is no longer the client's
    assert work(platform) == 0  # not so soon after the last call
    clock.advance(seconds=30)
    assert work(platform) == 1
    assert served(platform, path).headers["ETag"] != first.headers["ETag"]
    put()
    assert served(platform, path).status_code == 404
    assert waiting(platform) == 0
    put(logo_uri=LOGO)
    clock.advance(seconds=30)
    assert work(platform) == 1
    assert served(platform, path).status_code == 200
    assert call(platform, "DELETE", path_of(told_), own(told_)).status_code == 204
    assert served(platform, path).status_code == 404
    with platform.app_context():
        assert session.query(ClientLogo).count() == 0


def test_changing_itself_makes_it_call_no_more_often(platform: Flask, clock: FakeClock, far_servers: FakeWeb) -> None:
    told_ = registered(platform, allow(platform), logo_uri=LOGO)
    work(platform)
    for number in range(20):
        sent = {"client_id": told_["client_id"], "redirect_uris": told_["redirect_uris"], **({"logo_uri": f"{LOGO}{number}"} if number % 3 else {})}
        call(platform, "PUT", path_of(told_), own(told_), sent)
        assert waiting(platform) <= 1
        work(platform)
    assert len(far_servers.asked) == 1
    clock.advance(seconds=30)
    work(platform)
    assert len(far_servers.asked) == 2


def test_an_operators_file_brings_it_and_mends_it(platform: Flask, clock: FakeClock, far_servers: FakeWeb, tmp_path: Path) -> None:
    file = tmp_path / "rp.toml"
    file.write_text(f'client_id = "rp"\nredirect_uris = ["https://rp.example/cb"]\nlogo_uri = "{LOGO}"\n')
    far_servers.pages[LOGO] = Fetched(200, b"<svg/>")
    assert idp(platform, "client", "apply", file).code == 0
    work(platform)
    assert served(platform).status_code == 404
    far_servers.pages[LOGO] = Fetched(200, picture())
    clock.advance(minutes=1)
    assert "unchanged" in idp(platform, "client", "apply", file).out
    work(platform)
    assert served(platform).status_code == 200
    assert idp(platform, "client", "apply", file).code == 0
    assert waiting(platform) == 0


def test_a_client_that_is_off_shows_none_and_is_not_called(rp: RelyingParty, platform: Flask, clock: FakeClock, far_servers: FakeWeb) -> None:
    far_servers.pages[LOGO] = Fetched(200, picture())
    idp(platform, "client", "disable", "rp")
    assert work(platform) == 1
    assert far_servers.asked == []
    idp(platform, "client", "enable", "rp")
    assert work(platform) == 1
    assert served(platform).status_code == 200
    idp(platform, "client", "disable", "rp")
    assert served(platform).status_code == 404


@pytest.mark.store
@pytest.mark.parametrize("change", ["deleted", "other address"])
def test_what_changed_while_the_server_was_asked_wins(
    rp: RelyingParty, platform: Flask, clock: FakeClock, far_servers: FakeWeb, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    real = far_servers.get

    def meanwhile(url: str, *, most: int = 0) -> Fetched:
        with platform.app_context():
            if change == "deleted":
                idp(platform, "client", "delete", "rp", "--yes")
            else:
                with transaction():
                    session.get_one(ClientLogo, "rp").uri = "https://rp.example/other"
        return real(url, most=most)

    far_servers.pages[LOGO] = Fetched(200, picture())
    monkeypatch.setattr(far_servers, "get", meanwhile)
    assert work(platform) == 1
    assert waiting(platform) == 0
    assert served(platform).status_code == 404
    assert told(platform) == []
