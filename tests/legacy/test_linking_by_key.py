"""Linking one's other account by that account's e-key (R87): through the pages; the card is a key in memory."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp.accounts.models import AccountKey, AccountLink, AccountRole
from idp.db import session, transaction
from idp.ekey import crl, revocation_cache
from idp.ekey.models import EKeyBinding
from idp.key_register import reports
from idp.key_register.models import EKey
from idp.legacy import link_proof
from idp.sessions.models import Session
from idp.settings import Settings
from idp.signin import flow
from idp.signin.models import SignInTransaction
from tests import people
from tests.conftest import SECRET
from tests.ekey.bad_pki import NOW, Card, Pki, holder, revocation_list
from tests.ekey.test_step import LIST, Holder, token
from tests.legacy.dumps import CODE, KEY, OTHER_KEY
from tests.legacy.linkable import MINE, OTHER, OTHER_PASSWORD, PASSWORD, THIRD, TO_OTHER, World
from tests.relying_party import ISSUER

NOT_THIS_ONE = "这把电子钥匙不属于可以关联的另一账号"


@pytest.fixture
def pki() -> Pki:
    return Pki()


@pytest.fixture
def settings(tmp_path: Path, database_url: str, pki: Pki) -> Settings:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pki.root.certificate.public_bytes(Encoding.PEM))
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, ekey_roots_file=roots, ekey_crl_urls=(LIST,))


@pytest.fixture
def card(world: World, pki: Pki, other: int) -> Card:
    """The other account's card, which a sign-in has bound."""
    made = pki.card(subject=holder(OTHER, serial=OTHER_KEY, organisation=CODE))
    publish(world, pki)
    person = Linker(world.app)
    person.come_in(OTHER, OTHER_PASSWORD, made)
    assert person.at == "/hall", person.text
    return made


def publish(world: World, pki: Pki, *revoked: Card) -> None:
    made = revocation_list(pki.root, *(card.issued for card in revoked), number=9 if revoked else 7)
    with world.app.app_context(), transaction():
        assert revocation_cache.keep(LIST, crl.read(made, (pki.root.certificate,), NOW), NOW) is None


class Linker(Holder):
    """Somebody signed in, and on the way to another account by its card."""

    def come_in(self, name: str, password: str, card: Card | None = None) -> TestResponse:
        self.open("/login")
        answer = self.submit(username=name, password=password, **({"ekey": "use"} if card else {}))
        return self.use(card) if card else answer

    def begin(self) -> TestResponse:
        self.open("/account/link")
        sent = {"csrf_token": self.form().fields["csrf_token"]}
        self.page = self.client.post("/account/link/key", data=sent, follow_redirects=True)
        return self.page


@pytest.fixture
def person(world: World, mine: int, card: Card) -> Linker:
    """Signed in to my account, at the page for the other one's key."""
    made = Linker(world.app)
    made.come_in(MINE, PASSWORD)
    made.begin()
    assert made.at.endswith("/ekey"), made.text
    return made


def live_sessions(world: World, account_id: int) -> list[Session]:
    with world.app.app_context():
        return list(session.scalars(select(Session).where(Session.account_id == account_id, Session.ended_at.is_(None))))


# --- the whole road -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.store
@pytest.mark.requirement("R87")
def test_the_other_accounts_key_and_a_code_to_its_contact_link_it(world: World, mine: int, other: int, card: Card, person: Linker) -> None:
    assert "请插入要关联的另一账号的电子钥匙" in person.text
    assert "跳过" not in person.text
    person.use(card)
    assert (person.at, "139****9000" in person.text, world.links()) == ("/account/link/code", True, 0)
    person.submit(code=person.read_code())
    assert world.box.texts[-1][0] == TO_OTHER
    assert (person.at, world.links()) == ("/account/link", 1)
    assert world.events("account.linked") == [{"linked": other, "link": 1, "how": "ekey"}]
    with world.app.app_context():
        assert session.scalars(select(AccountLink.how)).one() == "ekey"
        assert {key.serial for key in world.account(mine).keys} == {KEY, OTHER_KEY}


@pytest.mark.requirement("R87")
@pytest.mark.requirement("R71")
def test_the_key_that_links_is_no_factor_of_anybodys_sign_in(world: World, mine: int, other: int, card: Card, person: Linker) -> None:
    before = [row.id for row in live_sessions(world, other)]
    transaction_id = person.at.split("/")[2]
    person.use(card)
    person.open(f"/signin/{transaction_id}")
    assert person.at == "/account/link/code"
    assert [row.id for row in live_sessions(world, other)] == before
    [present] = live_sessions(world, mine)
    assert (present.ekey_at, present.ekey_serial, present.totp_at) == (None, None, None)
    # nor does the page take a password afterwards
    person.client.post(f"/signin/{transaction_id}/password", data={"csrf_token": "x", "username": OTHER, "password": OTHER_PASSWORD})
    assert [row.id for row in live_sessions(world, other)] == before


# --- which keys -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R87")
@pytest.mark.parametrize("whose", ["mine", "abroad", "officer", "linked"])
def test_one_answer_for_every_key_that_could_never_link(world: World, mine: int, other: int, card: Card, person: Linker, whose: str) -> None:
    with world.app.app_context(), transaction():
        if whose == "mine":
            session.get_one(AccountKey, OTHER_KEY).account_id = mine
        elif whose == "abroad":
            there = people.account(people.enterprise("0100987654321"), ["0100987654321-abroad"])
            session.get_one(AccountKey, OTHER_KEY).account_id = there.id
        elif whose == "officer":
            session.add(AccountRole(account_id=other, role="auditor", since=world.clock.now(), granted_by="o"))
        else:
            world.account(other).status = "linked"
    person.use(card)
    assert (person.page.status_code, NOT_THIS_ONE in person.text, world.tell()) == (422, True, {})
    assert world.events("account.link.refused")[-1] == {"reason": "ekey"}


@pytest.mark.requirement("R69")
@pytest.mark.requirement("R87")
@pytest.mark.parametrize(("fault", "told"), [("revoked", "吊销"), ("lost", "挂失"), ("list", "吊销"), ("unbound", "尚未与用户绑定")])
def test_a_key_that_does_not_count_links_nothing(world: World, pki: Pki, card: Card, person: Linker, fault: str, told: str) -> None:
    with world.app.app_context(), transaction():
        if fault == "revoked":
            session.get_one(EKey, OTHER_KEY).status = "revoked"
        elif fault == "lost":
            reports.say(OTHER_KEY, "lost", "account", None, world.clock.now())
        elif fault == "unbound":
            session.query(EKeyBinding).delete()
    if fault == "list":
        publish(world, pki, card)
    person.use(card)
    assert (person.page.status_code, told in person.text, world.tell()) == (422, True, {})
    assert person.open("/account/link/code").request.path == "/account/link"


@pytest.mark.requirement("R59")
@pytest.mark.requirement("R87")
def test_what_keeps_the_other_account_from_being_linked_is_said(world: World, other: int, card: Card, person: Linker) -> None:
    world.write(other, lambda account: setattr(account, "mobile_proven_at", None))
    person.use(card)
    assert (person.page.status_code, "请先用该账号登录一次" in person.text) == (422, True)


@pytest.mark.store
@pytest.mark.requirement("R69")
@pytest.mark.requirement("R87")
@pytest.mark.parametrize("change", ["revoked", "moved", "closed", "password", "late"])
def test_what_has_changed_before_the_code_counts(world: World, mine: int, other: int, card: Card, person: Linker, change: str) -> None:
    person.use(card)
    action, fields = person.prepare(code=person.read_code())
    with world.app.app_context(), transaction():
        if change == "revoked":
            session.get_one(EKey, OTHER_KEY).status = "revoked"
        elif change == "moved":
            session.get_one(AccountKey, OTHER_KEY).account_id = mine
        elif change == "closed":
            world.account(other).status = "disabled"
        elif change == "password":
            world.account(other).epoch += 1
    if change == "late":
        world.clock.advance(minutes=10)
    answer = person.client.post(action, data=fields, follow_redirects=True)
    assert (answer.status_code < 500, answer.request.path, world.links()) == (True, answer.request.path, 0)


# --- the challenge --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R87")
@pytest.mark.requirement("R71")
def test_a_signature_counts_once_in_its_own_browser_and_for_its_own_purpose(world: World, mine: int, other: int, card: Card, person: Linker) -> None:
    stranger = Linker(world.app)
    stranger.come_in(MINE, PASSWORD)
    stranger.begin()
    nonce = person.challenge()
    stranger.use(card, nonce=nonce)
    assert (stranger.page.status_code, stranger.at.endswith("/ekey")) == (422, True)
    # the nonce was not used up by a stranger
    signed = token(card, nonce, ISSUER)
    person.submit(nonce=nonce, token=signed)
    assert person.at == "/account/link/code"
    person.begin()
    person.submit(nonce=nonce, token=signed)
    assert (person.page.status_code, person.at.endswith("/ekey")) == (422, True)
    # nor in another transaction of the same browser
    nonce = person.challenge()
    person.begin()
    person.use(card, nonce=nonce)
    assert (person.page.status_code, person.at.endswith("/ekey")) == (422, True)
    # what was signed for a sign-in links nothing, and the reverse
    there = Linker(world.app)
    there.open("/login")
    there.submit(username=OTHER, password=OTHER_PASSWORD, ekey="use")
    person.use(card, nonce=there.challenge())
    assert person.page.status_code == 422
    there.use(card, nonce=person.challenge())
    assert there.page.status_code == 422


@pytest.mark.requirement("R87")
def test_who_signs_in_next_at_this_browser_links_nothing_by_it(world: World, mine: int, other: int, card: Card, person: Linker) -> None:
    world.own(THIRD, PASSWORD, "+8613600136000")
    page, nonce = person.page, person.challenge()
    action, fields = person.prepare(nonce=nonce, token=token(card, nonce, ISSUER))
    person.client.post("/signout", data={"csrf_token": fields["csrf_token"]})
    fields["csrf_token"] = ""
    person.come_in(THIRD, PASSWORD)
    person.open(page.request.path)
    fields["csrf_token"] = person.form().fields["csrf_token"]
    answer = person.client.post(action, data=fields, follow_redirects=True)
    assert (answer.status_code, NOT_THIS_ONE in answer.get_data(as_text=True)) == (422, True)
    assert person.open("/account/link/code").request.path == "/account/link"


@pytest.mark.requirement("R87")
def test_signed_out_the_key_links_nothing(world: World, card: Card, person: Linker) -> None:
    nonce = person.challenge()
    action, fields = person.prepare(nonce=nonce, token=token(card, nonce, ISSUER))
    with world.app.app_context(), transaction():
        for row in session.scalars(select(Session)):
            row.ended_at = world.clock.now()
    answer = person.client.post(action, data=fields)
    assert (answer.status_code, "核验已过期" in answer.get_data(as_text=True)) == (422, True)


@pytest.mark.requirement("R87")
@pytest.mark.parametrize("action", ["skip", "certificate", "choose", "owner"])
def test_no_other_way_leads_out_of_that_page(world: World, card: Card, person: Linker, action: str) -> None:
    runtime = world.app.extensions["idp"]
    settings = runtime.settings.model_copy(update={"ekey_mtls_base_url": "https://key.example.cn"})
    world.app.extensions["idp"] = type(runtime)(settings, runtime.adapters, runtime.secret, runtime.hooks)
    sent = {"csrf_token": person.form().fields["csrf_token"], "action": action}
    answer = person.client.post(person.at, data=sent, follow_redirects=True)
    assert answer.request.path.endswith("/ekey")
    assert "key.example.cn/ekey/certificate" not in answer.get_data(as_text=True)
    assert world.links() == 0


@pytest.mark.requirement("R87")
def test_a_key_that_was_shown_is_not_written_over_by_a_new_sign_in(world: World, card: Card, person: Linker) -> None:
    person.use(card)
    with world.app.app_context():
        [row] = session.scalars(select(SignInTransaction).where(SignInTransaction.facts["link"].is_not(None))).all()[-1:]
        assert {"key_of_other", "ekey_at"} & set(row.facts) == {"key_of_other"}
        assert flow.next_step(world.app.extensions["idp"].hooks.steps, row, world.clock.now()).name == "link"  # type: ignore[union-attr]
        with person.client.session_transaction() as kept:
            browsers = [kept["browser"], *kept.get("former_browser", [])]
        waiting = flow.oldest_waiting(browsers, world.clock.now())
        assert waiting is None or waiting.id != row.id


@pytest.mark.requirement("R87")
def test_the_road_may_be_begun_ten_times_an_hour(world: World, card: Card, person: Linker) -> None:
    for _ in range(link_proof.KEY_ROADS.most - 1):
        assert person.begin().status_code == 200
    assert person.begin().status_code == 429
    world.clock.advance(minutes=9)
    assert "电子钥匙" in person.open("/account/link").get_data(as_text=True)


@pytest.mark.requirement("R87")
def test_where_no_keys_are_accepted_the_road_is_not_offered(world: World, mine: int, card: Card) -> None:
    runtime = world.app.extensions["idp"]
    settings = runtime.settings.model_copy(update={"ekey_roots_file": None})
    world.app.extensions["idp"] = type(runtime)(settings, runtime.adapters, runtime.secret, runtime.hooks)
    person = Linker(world.app)
    person.come_in(MINE, PASSWORD)
    assert person.begin().request.path == "/account/link"
