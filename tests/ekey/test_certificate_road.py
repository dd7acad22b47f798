"""The browser's own certificate, handed on by the proxy of a host that asks for nothing else."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp.db import session, transaction
from idp.ekey import leaf
from idp.ekey.models import EKeyBinding
from idp.settings import Settings
from tests import people
from tests.certificates import Certified
from tests.conftest import SECRET
from tests.ekey.bad_pki import NOW, Card, Pki, holder
from tests.ekey.test_step import LIST, SERIAL, Holder, World, claims_at
from tests.ekey.test_step import pki as pki
from tests.ekey.test_step import signing_keys as signing_keys
from tests.ekey.test_step import world as world
from tests.relying_party import ISSUER

KEYS, PROXY = "https://keys.idp.test", "127.0.0.1"
PROXY_SECRET = "proxy-alone-knows-0123456789-abcdef"
pytestmark = [pytest.mark.requirement("R67"), pytest.mark.store]


@pytest.fixture
def settings(tmp_path: Path, database_url: str, pki: Pki) -> Settings:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pki.root.certificate.public_bytes(Encoding.PEM))
    proxied = {"trusted_proxy": (PROXY,), "client_cert_header": "Client-Cert", "client_cert_secret": PROXY_SECRET}
    return Settings(
        data_dir=tmp_path,
        secret_key=SECRET,
        database_url=database_url,
        ekey_roots_file=roots,
        ekey_crl_urls=(LIST,),
        ekey_mtls_base_url=KEYS,
        **proxied,  # type: ignore[arg-type]  # pydantic checks the values
    )


def header(card: Card) -> str:
    return f"{PROXY_SECRET} {Certified(card.issued.key, card.issued.certificate).rfc9440}"  # type: ignore[arg-type]  # an EC key


def at_the_step(world: World) -> Holder:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    assert person.at.endswith("/ekey")
    return person


def leave(person: Holder) -> str:
    """Press 【使用浏览器证书】; where it leads."""
    action, fields = person.prepare(action="certificate")
    answer = person.client.post(action, data=fields)
    assert answer.status_code == 303
    assert answer.location.startswith(f"{KEYS}/ekey/certificate/")
    return str(answer.location)


def shown(world: World, url: str, sent: str | None, came_from: str = PROXY) -> TestResponse:
    """What any browser gets that follows `url`; the other host sees no cookie."""
    headers = {"X-Forwarded-Host": urlsplit(url).netloc, "X-Forwarded-Proto": "https"} | ({"Client-Cert": sent} if sent is not None else {})
    parts = urlsplit(url)
    stranger = world.app.test_client(use_cookies=False)
    return stranger.get(f"{parts.path}?{parts.query}", base_url=KEYS, headers=headers, environ_base={"REMOTE_ADDR": came_from})


def visit(world: World, person: Holder, card: Card) -> Holder:
    back = shown(world, leave(person), header(card))
    person.open(back.location)
    return person


def test_the_certificate_is_shown_confirmed_and_counts_without_a_pin(world: World) -> None:
    person = visit(world, at_the_step(world), world.card)
    assert person.at.endswith("/ekey/certificate")
    assert people.NAME in person.text
    assert world.sessions() == [], "not before the person said whose it is"
    person.submit()
    assert person.at == "/hall"
    (row,) = world.sessions()
    assert (row.ekey_at, row.ekey_serial, row.ekey_pin) == (NOW, SERIAL, False)
    rp = world.client()
    told = claims_at(rp, person.wants(rp))
    assert (told["acr"], told["amr"]) == ("urn:licence:acr:ekey", ["pwd", "hwk"])


def test_who_follows_another_s_link_gives_nothing_away(world: World) -> None:
    """A link of the attacker's own sign-in, opened by the holder of the key."""
    attacker, victim = at_the_step(world), Holder(world.app)
    back = shown(world, leave(attacker), header(world.card)).location
    victim.open(back)
    assert victim.page.status_code == 410
    attacker.open(back)
    assert attacker.page.status_code == 410, "used up by whoever brought it first"
    assert world.sessions() == []
    assert attacker.client.get("/signin/" + "x" * 43 + "/ekey/certificate").status_code == 410


def test_each_secret_counts_once_and_in_time(world: World) -> None:
    person = at_the_step(world)
    there = leave(person)
    first = shown(world, there, header(world.card)).location
    assert "fault=again" in shown(world, there, header(world.card)).location
    world.clock.advance(seconds=61)
    person.open(first)
    assert person.page.status_code == 410
    late = leave(at_the_step(world))
    world.clock.advance(seconds=121)
    assert "fault=again" in shown(world, late, header(world.card)).location
    # read for too long
    slow = visit(world, at_the_step(world), world.card)
    world.clock.advance(seconds=301)
    slow.submit()
    assert slow.at.endswith("/ekey/certificate")
    assert slow.page.status_code == 422
    assert world.sessions() == []


@pytest.mark.parametrize("sent", ["none", "placeholder", "two", "garbage", "empty", "no_secret"])
def test_what_is_no_certificate_is_said_and_never_a_fault_of_ours(world: World, sent: str) -> None:
    good = header(world.card)
    value = {
        "none": None,
        "placeholder": PROXY_SECRET + " {http.request.tls.client.certificate_der_base64}",
        "two": good + ", " + good,
        "garbage": PROXY_SECRET + " :AAAA:",
        "empty": "",
        "no_secret": good.removeprefix(PROXY_SECRET + " "),
    }[sent]
    person = at_the_step(world)
    answer = shown(world, leave(person), value)
    assert answer.status_code == 303
    person.open(answer.location)
    assert ("不能用于登录" if sent == "garbage" else "浏览器没有出示证书") in person.text
    assert world.sessions() == []


def test_only_the_proxy_is_believed_and_only_there(world: World) -> None:
    person = at_the_step(world)
    there = leave(person)
    person.open(shown(world, there, header(world.card), came_from="192.0.2.1").location)
    assert "浏览器没有出示证书" in person.text
    path = urlsplit(leave(at_the_step(world)))
    stranger = world.app.test_client()
    assert stranger.get(f"{path.path}?{path.query}", base_url=ISSUER, headers={"Client-Cert": header(world.card)}).status_code == 404
    for other in ("/", "/login", "/static/site.css", "/oauth2/token", "/ekey/certificate-return"):
        assert stranger.get(other, base_url=KEYS).status_code == 404, other


def test_revoked_and_expired_certificates_are_told(world: World) -> None:
    old = world.pki.card(subject=holder(serial=SERIAL), end=NOW.replace(year=2026, month=3, day=1))
    assert "已于 2026年3月1日 过期" in visit(world, at_the_step(world), old).text
    world.publish(world.card)
    assert "已吊销" in visit(world, at_the_step(world), world.card).text
    assert world.refusals() == ["expired", "revoked"]
    assert world.sessions() == []


def test_a_certificate_of_another_user_offers_that_user_s_sign_in(world: World) -> None:
    other_name, other_serial = "0100123456785-x", "EKFFFFFFFFFFFFFF"
    card = world.pki.card(subject=holder(other_name, other_serial, "0100123456785"))
    with world.app.app_context(), transaction():
        other = people.account(people.enterprise("0100123456785"), [other_name])
        people.key(other, ["export"], other_serial)
        found = leaf.identity([card.issued.certificate, world.pki.root.certificate], "CN")
        assert isinstance(found, leaf.Identity)
        session.add(EKeyBinding(serial=other_serial, issuer=found.issuer, subject=found.subject, not_after=found.not_after, bound_at=NOW))
    person = visit(world, at_the_step(world), card)
    assert other_name in person.text
    person.submit()
    assert f"该电子钥匙对应的用户名为 {other_name}，与您输入的不一致" in person.text
    person.submit(action="owner")
    assert person.at.endswith("/password")
    assert person.form().fields["username"] == other_name
    with world.app.app_context():
        assert session.scalars(select(EKeyBinding.serial)).all() == [other_serial]
