"""The sign-in by the browser's certificate as operators run it: nginx, one port, two server names, of which one asks for certificates."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from idp.app import create_app
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.ekey import crl, revocation_cache
from idp.ekey.dev_ca import CARD_DAYS, DevelopmentCa, Holder
from idp.sessions.models import Session
from idp.settings import Settings
from tests import people
from tests.certificates import Certified
from tests.conftest import SECRET as PEPPER
from tests.ekey.served_app import LIST, PASSWORD, SERIAL, furnish, served
from tests.interop.nginx import HEADER, SECRET, Authority, nginx_of_keys
from tests.interop.served import free_ports
from tests.person import ShownPage

pytestmark = [pytest.mark.slow, pytest.mark.requirement("R67")]
NAMES = ("sso.idp.test", "keys.idp.test")
Files = tuple[str, str]


@dataclass(frozen=True)
class Place:
    """The platform behind nginx, both its addresses and the one behind them, and the files of cards by what is the matter with them."""

    app: Flask
    own: Authority
    issuer: str
    keys: str
    upstream: str
    cards: dict[str, Files]

    def refusals(self) -> list[str]:
        with self.app.app_context():
            found = session.scalars(select(AuditEvent).where(AuditEvent.event == "ekey.refused").order_by(AuditEvent.id))
            return [event.detail["reason"] for event in found]

    def proofs(self) -> list[tuple[str | None, bool | None]]:
        """Key and PIN of those who are signed in."""
        with self.app.app_context():
            return [(row.ekey_serial, row.ekey_pin) for row in session.scalars(select(Session).where(Session.ended_at.is_(None)))]


def _cards(ca: DevelopmentCa, other: DevelopmentCa, own: Authority, now: datetime) -> dict[str, Files]:
    found = {}
    for kind, by, serial, at in (
        ("good", ca, SERIAL, now),
        ("revoked", ca, "EK0000000000000A", now),
        ("expired", ca, "EK0000000000000B", now - timedelta(days=CARD_DAYS + 1)),
        ("stranger", other, SERIAL, now),
    ):
        (card,) = by.issue([Holder(serial, people.CODE, people.NAME)], "ec", at)
        assert isinstance(card.key, ec.EllipticCurvePrivateKey)
        found[kind] = own.stored(kind, Certified(card.key, card.certificate))
    return found


@contextmanager
def place(folder: Path, names: tuple[str, str]) -> Iterator[Place]:
    """A platform whose issuer and host of certificates have these names."""
    now, (upstream, port) = datetime.now(UTC), free_ports(2)
    ca, other = DevelopmentCa(folder / "ca"), DevelopmentCa(folder / "other-ca")
    ca.ensure(now)
    other.ensure(now)
    (folder / "nginx").mkdir()
    own = Authority(folder / "nginx")
    cards = _cards(ca, other, own, now)
    issuer, keys = (f"https://{name}:{port}" for name in names)
    app = create_app(
        Settings(
            data_dir=folder,
            secret_key=PEPPER,
            issuer=issuer,
            captcha="after_failures",
            ekey_roots_file=ca.roots_file,
            ekey_crl_urls=(LIST,),
            ekey_mtls_base_url=keys,
            trusted_proxy=("127.0.0.1",),
            client_cert_header=HEADER,
            client_cert_format="pem-escaped",
            client_cert_secret=SECRET,
        )
    )
    furnish(app, ca, now)
    ca.revoke("EK0000000000000A", now)
    with app.app_context(), transaction():
        assert revocation_cache.keep(LIST, crl.read(ca.lists(now)["ec"], ca.roots(), now), now) is None
    with served(app, upstream), nginx_of_keys(own, upstream, port, names, ca.roots_file):
        yield Place(app, own, issuer, keys, f"http://127.0.0.1:{upstream}", cards)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Under two names, which mean this computer while these tests run."""
    look_up = socket.getaddrinfo

    def here(host: Any, *more: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if host in NAMES else host, *more, **options)

    with pytest.MonkeyPatch.context() as patch, place(tmp_path_factory.mktemp("keys"), NAMES) as found:
        patch.setattr(socket, "getaddrinfo", here)
        yield found


class Surfer:
    """A browser without JavaScript that has this certificate."""

    def __init__(self, at: Place, card: str = "") -> None:
        self.place, self.session = at, requests.Session()
        self.session.trust_env, self.session.verify = False, str(at.own.file)
        self.session.cert = at.cards[card] if card else None
        self.page: requests.Response

    def open(self, url: str) -> requests.Response:
        self.page = self.session.get(urljoin(self.place.issuer, url), timeout=20)
        return self.page

    def submit(self, *, follow: bool = True, **typed: str) -> requests.Response:
        shown = ShownPage()
        shown.feed(self.page.text)
        self.page = self.session.post(urljoin(self.page.url, shown.action), data=shown.fields | typed, allow_redirects=follow, timeout=20)
        return self.page

    def at_the_step(self) -> "Surfer":
        self.open("/loginCorp.html")
        self.submit(username=people.NAME, password=PASSWORD, ekey="use")
        assert self.page.url.endswith("/ekey"), self.page.text
        return self

    def leave(self) -> str:
        """Press 【使用浏览器证书】; where it leads."""
        there = self.submit(follow=False, action="certificate").headers["Location"]
        assert there.startswith(f"{self.place.keys}/ekey/certificate/")
        return str(there)

    def is_in(self) -> bool:
        return urlsplit(self.open("/hall").url).path == "/hall"


def test_a_good_certificate_signs_in(named: Place) -> None:
    surfer = Surfer(named, "good").at_the_step()
    surfer.submit(action="certificate")
    assert surfer.page.url.startswith(named.issuer)
    assert surfer.page.url.endswith("/ekey/certificate"), surfer.page.text
    assert people.NAME in surfer.page.text
    assert named.proofs() == []
    surfer.submit()
    assert surfer.is_in()
    assert named.proofs() == [(SERIAL, False)]


@pytest.mark.parametrize(
    ("card", "reason", "text"),
    [
        ("", "no_certificate", "浏览器没有出示证书"),
        ("revoked", "revoked", "已吊销"),
        # nginx itself refuses this one; the platform says why
        ("expired", "expired", "过期，请办理更新"),
        ("stranger", "path", "不是本平台认可的机构"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(named: Place, card: str, reason: str, text: str) -> None:
    before, surfer = len(named.refusals()), Surfer(named, card).at_the_step()
    answer = surfer.submit(action="certificate")
    assert answer.status_code == 200
    assert answer.url.startswith(named.issuer)
    assert text in answer.text
    assert named.refusals()[before:] == [reason]
    assert not surfer.is_in()


def test_nobody_outside_can_write_the_header(named: Place) -> None:
    """A certificate is public; who only has its text shows nothing, at neither host and by neither spelling of a header."""
    forged, keys_host, before = quote(Path(named.cards["good"][0]).read_text(), safe=""), urlsplit(named.keys).netloc, len(named.refusals())
    for value in (forged, f"{SECRET[:-1]}x {forged}"):
        for name in (HEADER, HEADER.replace("-", "_")):
            surfer = Surfer(named).at_the_step()
            answer = surfer.session.get(surfer.leave(), headers={name: value}, timeout=20)
            assert "浏览器没有出示证书" in answer.text, name
        # past the proxy, from a place that the platform trusts
        surfer = Surfer(named).at_the_step()
        straight = surfer.leave().replace(named.keys, named.upstream)
        said = {HEADER: value, "X-Forwarded-Host": keys_host, "X-Forwarded-Proto": "https"}
        back = requests.get(straight, headers=said, allow_redirects=False, timeout=20)
        assert "浏览器没有出示证书" in surfer.open(back.headers["Location"]).text
        # the issuer's host has no such address
        there = Surfer(named).at_the_step().leave().replace(named.keys, named.issuer)
        for more in ({}, {"X-Forwarded-Host": keys_host}):
            assert requests.get(there, headers={HEADER: value, **more}, verify=str(named.own.file), timeout=20).status_code == 404
    # a connection under the one name is none under the other
    assert requests.get(there, headers={"Host": keys_host}, verify=str(named.own.file), timeout=20).status_code == 421
    assert named.refusals()[before:] == ["no_certificate"] * 6


def test_that_host_has_no_other_page(named: Place) -> None:
    surfer = Surfer(named, "good")
    for path in ("/", "/login", "/loginCorp.html", "/static/site.css", "/oauth2/token", "/ekey/certificate-return"):
        assert surfer.session.get(named.keys + path, timeout=20).status_code == 404, path


# --- Chromium -------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Under two names that browsers know as well."""
    with place(tmp_path_factory.mktemp("local"), ("localhost", "127.0.0.1")) as found:
        yield found


# werkzeug's server leaves a picture open whose reader has gone on
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.browser
@pytest.mark.requirement("R80")
@pytest.mark.parametrize("script", [True, False], ids=["js", "nojs"])
def test_chromium_shows_its_certificate(chromium: Browser, local: Place, script: bool) -> None:
    certificate, key = local.cards["good"]
    context = chromium.new_context(
        locale="zh-CN",
        java_script_enabled=script,
        ignore_https_errors=True,
        client_certificates=[{"origin": local.keys, "certPath": certificate, "keyPath": key}],
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.goto(f"{local.issuer}/loginCorp.html")
    page.fill("[name=username]", people.NAME)
    page.check("[name=ekey]")
    page.fill("[name=password]", PASSWORD)
    page.click("#continue")
    page.click("[value=certificate]")
    expect(page.locator("main")).to_contain_text(people.NAME)
    assert page.url.startswith(local.issuer)
    assert "handover" not in page.url
    page.click("#continue")
    page.wait_for_url("**/hall")
    context.close()
    assert local.proofs()[-1] == (SERIAL, False)
