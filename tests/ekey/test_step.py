"""The sign-in with the e-key through the pages; the card is a key in memory."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp import app as wiring
from idp.accounts.models import Account
from idp.audit.models import AuditEvent
from idp.db import session, transaction
from idp.ekey import binding, chain, crl, leaf, protocol, revocation_cache, withdrawal
from idp.ekey.models import CachedCrl, EKeyBinding
from idp.entitlements import systems
from idp.key_register.models import EKey
from idp.oidc import keys, revocation
from idp.oidc.keys import NewKey
from idp.oidc.registration import DEVICE_CODE
from idp.second_person import rules as second_person
from idp.second_person.models import SecondPersonRequest
from idp.sessions.models import Session
from idp.settings import Settings
from tests import people
from tests.command_line import idp
from tests.conftest import SECRET
from tests.ekey.bad_pki import AUTHORITY, NOW, Card, Issued, Pki, holder, make, proof, revocation_list, subject
from tests.fakes import FakeClock
from tests.officers.staff import officer
from tests.people import NAME, NEW
from tests.person import Person
from tests.relying_party import ISSUER, RelyingParty, answer_of, body_of, claims_of, store_keys

SERIAL, PASSWORD, LIST = "EK76DA6FAE991C57", "Strong1Passw0rd", "http://crl.example.cn/list.crl"
BY = ("--operator", "zhang", "--reason", "stolen")
EKEY, ONLY_PASSWORD = "urn:licence:acr:ekey", "urn:licence:acr:password"


@pytest.fixture
def pki() -> Pki:
    return Pki()


@pytest.fixture
def settings(tmp_path: Path, database_url: str, pki: Pki) -> Settings:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pki.root.certificate.public_bytes(Encoding.PEM))
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, ekey_roots_file=roots, ekey_crl_urls=(LIST,), device_grant="on")


@pytest.fixture(scope="module")
def signing_keys() -> list[NewKey]:
    return [keys.make(alg, SECRET) for alg in keys.ALGORITHMS for _ in range(2)]


@dataclass
class World:
    """The platform, an account with one key of the office's list, and the card that goes with it."""

    app: Flask
    clock: FakeClock
    pki: Pki
    card: Card
    account_id: int

    def publish(self, *revoked: Card) -> None:
        made = revocation_list(self.pki.root, *(card.issued for card in revoked), number=9 if revoked else 7)
        with self.app.app_context(), transaction():
            assert revocation_cache.keep(LIST, crl.read(made, (self.pki.root.certificate,), NOW), NOW) is None

    def client(self, name: str = "rp", **members: str) -> RelyingParty:
        return RelyingParty(self.app, self.clock, name, scope="openid", grant_types=["authorization_code", "refresh_token"], **members)

    def sessions(self) -> list[Session]:
        with self.app.app_context():
            return list(session.scalars(select(Session).where(Session.ended_at.is_(None))))

    def refusals(self) -> list[str]:
        with self.app.app_context():
            found = session.scalars(select(AuditEvent).where(AuditEvent.event == "ekey.refused").order_by(AuditEvent.id))
            return [event.detail["reason"] for event in found]


@pytest.fixture
def world(app: Flask, clock: FakeClock, pki: Pki, signing_keys: list[NewKey]) -> World:
    with app.app_context(), transaction():
        systems.load()
        store_keys(signing_keys, clock.now())
        row = people.account(people.enterprise(), [NAME], user_class=3)
        people.former(row, PASSWORD)
        people.key(row, ["export"], SERIAL)
        row.email_proven_at = clock.now()
        session.flush()
        account_id = row.id
    made = World(app, clock, pki, pki.card(subject=holder(serial=SERIAL)), account_id)
    made.publish()
    return made


class Holder(Person):
    """A person with a card; what the page's script and the agent do is done here."""

    def type_name(self, *, ekey: bool = True, password: str = PASSWORD) -> TestResponse:
        """From the page of user name and password on."""
        return self.submit(username=NAME, password=password, **({"ekey": "use"} if ekey else {}))

    def challenge(self) -> str:
        answer = self.client.post(f"{self.at}/challenge", data={"csrf_token": self.form().fields["csrf_token"]})
        assert answer.status_code == 200, answer.status
        return str(answer.get_json()["nonce"])

    def use(self, card: Card, origin: str = ISSUER, nonce: str | None = None, signed: str | None = None) -> TestResponse:
        """Sign a fresh challenge (or `signed` in its place) and send it."""
        nonce = nonce or self.challenge()
        return self.submit(nonce=nonce, token=token(card, signed or nonce, origin))

    def wants(self, rp: RelyingParty, **changes: str | None) -> TestResponse:
        """Come from a business system, as far as pages of ours go."""
        answer = self.client.get("/oauth2/authorize", query_string=rp.request(**changes), base_url=ISSUER)
        return self.follow(answer)

    def follow(self, answer: TestResponse) -> TestResponse:
        while answer.status_code == 303 and not answer.location.startswith("https://rp.example"):
            answer = self.client.get(answer.location)
        self.page = answer
        return answer

    def submit_only(self, **typed: str) -> TestResponse:
        action, fields = self.prepare(**typed)
        return self.follow(self.client.post(action, data=fields))


def token(card: Card, nonce: str, origin: str = ISSUER) -> str:
    return proof(card.issued, origin, nonce).to_json()


def claims_at(rp: RelyingParty, answer: TestResponse) -> dict[str, object]:
    tokens = rp.redeem(answer_of(answer)["code"])
    assert tokens.status_code == 200
    return claims_of(tokens.get_json()["id_token"])


@pytest.mark.store
@pytest.mark.requirement("R18")
@pytest.mark.requirement("R20")
def test_password_and_key_sign_in_and_the_first_use_binds(world: World) -> None:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    assert person.at.endswith("/ekey")
    assert world.sessions() == [], "nobody is signed in before the key is right"
    person.use(world.card)
    assert person.at == "/hall"
    (row,) = world.sessions()
    assert (row.password_at, row.ekey_at, row.ekey_serial) == (NOW, NOW, SERIAL)
    rp = world.client()
    told = claims_at(rp, person.wants(rp))
    assert (told["acr"], told["amr"]) == (EKEY, ["pwd", "hwk", "pin"])


@pytest.mark.requirement("R21")
def test_without_the_key_all_is_as_before(world: World) -> None:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name(ekey=False)
    assert person.at == "/hall"
    rp = world.client()
    told = claims_at(rp, person.wants(rp))
    assert (told["acr"], told["amr"]) == (ONLY_PASSWORD, ["pwd"])


def test_skipping_signs_in_with_less(world: World) -> None:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.submit(action="skip")
    assert person.at == "/hall"
    assert world.sessions()[0].ekey_at is None


def test_only_the_key_pages_speak_to_the_agent(world: World) -> None:
    person = Holder(world.app)
    agent = "http://127.0.0.1:24817"
    for path, speaks in (("/loginCorp.html", True), ("/help", False), ("/ekey/return", False)):
        headers = person.open(path).headers
        policy = {part.split()[0]: part for part in headers["Content-Security-Policy"].split("; ")}
        assert (agent in policy["connect-src"], agent in policy["form-action"]) == (speaks, speaks), path
        assert headers["Referrer-Policy"] == ("origin" if speaks else "same-origin")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("challenge", "再点一次"),
        ("signature", "再点一次"),
        ("malformed", "不能用于登录"),
        ("unknown_issuer", "不是本平台认可的机构"),
        ("expired", "已于 2026年3月1日 过期"),
        ("revoked", "已吊销"),
        ("not_bound", "尚未与用户绑定"),
    ],
)
@pytest.mark.requirement("R67")
def test_what_is_wrong_with_a_key_is_said_and_the_key_does_not_count(world: World, reason: str, text: str) -> None:
    person, good = Holder(world.app), world.card
    person.open("/loginCorp.html")
    person.type_name()
    if reason == "challenge":
        person.use(good, nonce="n" * 44)
    elif reason == "signature":
        person.use(good, origin="https://evil.example")
    elif reason == "malformed":
        person.submit(nonce=person.challenge(), token="{}")
    elif reason == "unknown_issuer":
        person.use(replace(good, issued=_stranger(world)))
    elif reason == "expired":
        person.use(world.pki.card(subject=holder(serial=SERIAL), end=NOW.replace(year=2026, month=3, day=1)))
    elif reason == "revoked":
        world.publish(good)
        person.use(good)
    else:
        person.use(world.pki.card(subject=holder(serial="EK0000000000000A")))
    assert (person.page.status_code, text in person.text) == (422, True)
    assert world.refusals() == [reason]
    assert world.sessions() == []
    if reason != "revoked":
        person.use(good)
        assert person.at == "/hall"


def _stranger(world: World) -> Issued:
    return world.pki.card(subject=holder(serial=SERIAL), issuer=make(replace(AUTHORITY, subject=subject("别处")))).issued


def test_a_signature_counts_once_in_time_and_in_its_own_sign_in(world: World) -> None:
    first, second = Holder(world.app), Holder(world.app)
    for person in (first, second):
        person.open("/loginCorp.html")
        person.type_name()
    nonce = first.challenge()
    # of another transaction, in another browser
    second.use(world.card, nonce=nonce)
    # too late
    world.clock.advance(seconds=121)
    first.use(world.card, nonce=nonce)
    # a second time: the first one was refused for its signature
    nonce = first.challenge()
    first.use(world.card, nonce=nonce, signed="x" * 44)
    first.use(world.card, nonce=nonce)
    assert world.refusals() == ["challenge", "challenge", "signature", "challenge"]
    assert world.sessions() == []


def test_another_account_s_key_does_not_help(world: World) -> None:
    with world.app.app_context(), transaction():
        other = people.account(people.enterprise("0100123456785"), ["0100123456785-x"])
        people.key(other, ["export"], "EKFFFFFFFFFFFFFF")
        card = world.pki.card(subject=holder("0100123456785-x", "EKFFFFFFFFFFFFFF", "0100123456785"))
        path = chain.path(card.issued.certificate, card.trust, NOW)
        found = leaf.identity(path, "CN")  # type: ignore[arg-type]  # a good card
        binding.bind(found, "EKFFFFFFFFFFFFFF", other.id, NOW)  # type: ignore[arg-type]  # as above
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.use(card)
    assert world.refusals() == ["bound_to_other"]
    assert "该电子钥匙对应的用户名为 0100123456785-x" in person.text


def test_challenges_run_out(world: World) -> None:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    for _ in range(30):
        person.challenge()
    answer = person.client.post(f"{person.at}/challenge", data={"csrf_token": person.form().fields["csrf_token"]})
    assert (answer.status_code, answer.get_json()) == (429, {"error": "start_anew"})
    told = person.open(person.at).text.split('<template data-fault="start_anew">')[1].split("</template>")[0]
    assert "请重新登录" in told
    assert 'href="/hall"' in told, "where this sign-in came from"


@pytest.mark.requirement("R67")
@pytest.mark.parametrize("demanded", [False, True])
@pytest.mark.parametrize("word", ["lost", "damaged", "unchecked"])
def test_what_no_further_try_mends_says_how_to_go_on(world: World, word: str, *, demanded: bool) -> None:
    first, person = Holder(world.app), Holder(world.app)
    first.open("/loginCorp.html")
    first.type_name()
    first.use(world.card)
    person.open("/loginCorp.html")
    if demanded:
        person.wants(world.client(), claims=f'{{"id_token":{{"acr":{{"essential":true,"value":"{EKEY}"}}}}}}')
    person.type_name()
    with world.app.app_context(), transaction():
        if word == "unchecked":
            session.query(CachedCrl).delete()
        else:
            withdrawal.report(SERIAL, word, "officer", 15, withdrawal.Follow(revocation.on_key_lost, lambda _row, _now: None), NOW, NOW.date())
    person.use(world.card)
    said = person.text.split("<main")[1]
    assert ("请点击【跳过】" in said) != demanded
    assert ("请联系发放机构，或拨打服务热线 12335" in said) == demanded
    assert "请使用用户名和密码登录" not in said


# --- step-up --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.spec("OIDC Core", "5.5.1.1")
@pytest.mark.parametrize("by", ["client", "claim"])
@pytest.mark.requirement("R69")
def test_who_is_signed_in_by_password_is_led_to_the_key(world: World, by: str) -> None:
    rp = world.client(**({"require_acr": EKEY} if by == "client" else {}))
    asked = {} if by == "client" else {"claims": f'{{"id_token":{{"acr":{{"essential":true,"value":"{EKEY}"}}}}}}'}
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name(ekey=False)
    (before,) = world.sessions()
    world.clock.advance(seconds=60)
    assert answer_of(person.wants(rp, prompt="none", **asked))["error"] == "login_required"
    person.wants(rp, **asked)
    assert person.at.endswith("/ekey")
    assert "须使用电子钥匙" in person.text
    assert 'value="skip"' not in person.text
    assert person.submit_only(action="skip").status_code == 422
    nonce = person.challenge()
    told = claims_at(rp, person.submit_only(nonce=nonce, token=token(world.card, nonce)))
    assert (told["acr"], told["amr"]) == (EKEY, ["pwd", "hwk", "pin"])
    assert told["auth_time"] == int(NOW.timestamp()), "the oldest factor that the level needs"
    (after,) = world.sessions()
    assert (after.id, after.password_at) == (before.id, NOW)
    assert after.secret_digest != before.secret_digest


def test_a_device_whose_system_demands_the_key_leads_to_it_and_back(world: World) -> None:
    tv = RelyingParty(world.app, world.clock, "tv", scope="openid", grant_types=[DEVICE_CODE], redirect_uris=[], require_acr=EKEY)
    code = body_of(tv.call("device", scope="openid"))
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name(ekey=False)
    person.open(f"/device?user_code={code['user_code']}")
    person.submit()
    assert person.at.endswith("/ekey")
    person.use(world.card)
    assert person.at == "/device"
    person.submit()
    person.submit(action="allow")
    assert person.at == "/device/allowed"
    assert claims_of(body_of(tv.call("token", grant_type=DEVICE_CODE, device_code=code["device_code"]))["id_token"])["acr"] == EKEY


def test_a_sign_in_for_a_client_that_demands_the_key_asks_for_both(world: World) -> None:
    rp, person = world.client(require_acr=EKEY), Holder(world.app)
    person.wants(rp)
    assert person.at.endswith("/password")
    person.submit_only(username=NAME, password=PASSWORD)
    assert person.at.endswith("/ekey")
    nonce = person.challenge()
    assert claims_at(rp, person.submit_only(nonce=nonce, token=token(world.card, nonce)))["acr"] == EKEY


def test_a_step_up_gives_nobody_a_session(world: World) -> None:
    """Signed out in another tab meanwhile: the key alone signs nobody in."""
    rp, person = world.client(require_acr=EKEY), Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name(ekey=False)
    person.wants(rp)
    step, nonce, csrf = person.at, person.challenge(), person.form().fields["csrf_token"]
    person.open("/signout")
    person.submit()
    assert world.sessions() == []
    answer = person.client.post(step, data={"csrf_token": csrf, "nonce": nonce, "token": token(world.card, nonce)})
    assert answer.status_code == 410
    assert world.sessions() == []


def test_a_step_up_belongs_to_its_session(world: World) -> None:
    """Somebody else has signed in in this browser meanwhile."""
    rp, person = world.client(require_acr=EKEY), Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name(ekey=False)
    person.wants(rp)
    step, nonce, csrf = person.at, person.challenge(), person.form().fields["csrf_token"]
    with world.app.app_context(), transaction():
        other = people.account(people.enterprise("0100123456785"), ["0100123456785-x"]).id
    rp.sign_in(person.client, other)
    answer = person.client.post(step, data={"csrf_token": csrf, "nonce": nonce, "token": token(world.card, nonce)})
    assert answer.status_code == 303
    with world.app.app_context():
        assert session.scalars(select(Session.ekey_at)).all() == [None, None]


def test_an_old_key_does_not_make_a_fresh_password_old(world: World) -> None:
    rp, person = world.client(), Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.use(world.card)
    world.clock.advance(seconds=600)
    person.wants(rp, max_age="300")
    assert person.at.endswith("/password")
    told = claims_at(rp, person.submit_only(username=NAME, password=PASSWORD))
    assert told["acr"] == ONLY_PASSWORD


# --- withdrawal -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R68")
@pytest.mark.parametrize("how", ["withdrawn", "listed", "command"])
def test_a_key_that_is_withdrawn_takes_what_rested_on_it(world: World, how: str) -> None:
    rp, weaker = world.client(), world.client("weaker")
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name(ekey=False)
    by_password = weaker.redeem(answer_of(person.wants(weaker))["code"]).get_json()
    person.wants(rp, claims=f'{{"id_token":{{"acr":{{"essential":true,"value":"{EKEY}"}}}}}}')
    nonce = person.challenge()
    by_key = rp.redeem(answer_of(person.submit_only(nonce=nonce, token=token(world.card, nonce)))["code"]).get_json()
    with world.app.app_context(), transaction():
        assert withdrawal.fall_back(NOW.date(), NOW, revocation.on_key_lost) == 0, "a live key stays"
        if how == "command":
            pass
        elif how == "withdrawn":
            assert withdrawal.withdraw(SERIAL, NOW, revocation.on_key_lost) == 1
        else:
            session.get_one(EKey, SERIAL).status = "revoked"
            session.flush()
            wiring.end_dead_keys(NOW)
    if how == "command":
        assert idp(world.app, "ekey", "withdraw", SERIAL, *BY).code == 0
        with world.app.app_context(), transaction():
            (number,) = session.scalars(select(SecondPersonRequest.id))
            assert rp.userinfo(by_key["access_token"]).status_code == 200, "another officer confirms first"
            assert second_person.confirm(number, officer("wang", "key_office").id, wiring.ACTS, NOW) is None
        assert idp(world.app, "ekey", "withdraw", SERIAL, *BY).code == 1, "once and for ever"
    assert rp.refresh(by_key["refresh_token"]).status_code == 400
    assert rp.userinfo(by_key["access_token"]).status_code == 401
    assert weaker.refresh(by_password["refresh_token"]).status_code == 200
    assert claims_at(rp, person.wants(rp))["acr"] == ONLY_PASSWORD
    person.open("/loginCorp.html")
    assert person.at == "/hall", "the session itself stays"


@pytest.mark.store
@pytest.mark.requirement("R68")
def test_a_key_that_is_withdrawn_before_the_sign_in_ends_was_never_shown(world: World) -> None:
    with world.app.app_context(), transaction():
        session.get_one(Account, world.account_id).user_class = 1
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.use(world.card)
    assert person.at.endswith("/change")
    with world.app.app_context(), transaction():
        withdrawal.withdraw(SERIAL, NOW, revocation.on_key_lost)
    person.submit(new_password=NEW, confirm_password=NEW)
    assert (person.at.rsplit("/", 1)[1], world.sessions()) == ("ekey", [])
    person.use(world.card)
    assert world.refusals() == ["key_withdrawn"]
    person.submit(action="skip")
    assert [one.ekey_at for one in world.sessions()] == [None]


def test_an_account_closed_meanwhile_is_not_signed_in(world: World) -> None:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    nonce = person.challenge()
    with world.app.app_context(), transaction():
        session.get_one(Account, world.account_id).status = "disabled"
    assert person.use(world.card, nonce=nonce).status_code == 410
    assert world.sessions() == []
    with world.app.app_context():
        assert session.scalars(select(EKeyBinding)).all() == []


@pytest.mark.requirement("R77")
def test_after_an_idle_end_the_password_alone_revives_no_key(world: World) -> None:
    rp = world.client()
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.use(world.card)
    (before,) = world.sessions()
    world.clock.advance(minutes=31)
    person.open("/hall")
    person.type_name(ekey=False)
    assert person.at == "/hall"
    (after,) = world.sessions()
    assert after.id == before.id
    claims = claims_at(rp, person.wants(rp))
    assert (claims["acr"], claims["amr"]) == (ONLY_PASSWORD, ["pwd"])


def test_the_longest_token_is_refused_before_it_is_read(world: World) -> None:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.submit(nonce=person.challenge(), token="x" * (protocol.LARGEST_TOKEN + 1))
    assert person.page.status_code == 422


@pytest.mark.parametrize("fault", ["no_agent", "blocked", "pin_wrong", "pin_blocked", "card_removed", "<script>"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_form_road_comes_back_with_its_fault_in_words(world: World, fault: str, language: str) -> None:
    person = Holder(world.app)
    person.open("/loginCorp.html")
    person.type_name()
    person.page = person.client.get(person.at, query_string={"fault": fault, "tries": "7", "ui_locales": language})
    assert person.page.status_code == 200
    assert 'id="error-summary"' in person.text
    assert "error.ekey" not in person.text
    summary = person.text.split('id="error-summary"')[1].split("</ul>")[0]
    assert ("7" in summary) == (fault == "pin_wrong")
