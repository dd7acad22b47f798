"""A certificate that is brought to the key office: filed on the page or at the command line, bound once another officer confirmed it."""

import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp.accounts.models import Account
from idp.db import session, transaction
from idp.ekey import binding, crl, revocation_cache
from idp.ekey.models import EKeyBinding
from idp.key_register.models import EKey
from idp.second_person.models import SecondPersonRequest
from idp.settings import Settings
from tests import people
from tests.command_line import idp
from tests.conftest import SECRET
from tests.ekey.bad_pki import NOW, Card, Pki, holder, revocation_list
from tests.officers.staff import let_in, officer, token_of

SERIAL, LIST = "EK76DA6FAE991C57", "http://crl.example.cn/list.crl"
PAGE = f"/officers/keys/{SERIAL}"
BY = ("--operator", "zhang", "--reason", "new card")
pytestmark = pytest.mark.requirement("R90")


@pytest.fixture
def pki() -> Pki:
    return Pki()


@pytest.fixture
def settings(tmp_path: Path, database_url: str, pki: Pki) -> Settings:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pki.root.certificate.public_bytes(Encoding.PEM))
    return Settings(data_dir=tmp_path, secret_key=SECRET, database_url=database_url, ekey_roots_file=roots, ekey_crl_urls=(LIST,))


@dataclass
class Office:
    """The platform with a key of an account, two officers of the key office, and their CA."""

    app: Flask
    pki: Pki
    staff: dict[str, FlaskClient]

    def card(self, serial: str = SERIAL, **more: str) -> Card:
        return self.pki.card(subject=holder(serial=serial, **more))

    def publish(self, *revoked: Card) -> None:
        made = revocation_list(self.pki.root, *(card.issued for card in revoked), number=9 if revoked else 7)
        with self.app.app_context(), transaction():
            assert revocation_cache.keep(LIST, crl.read(made, (self.pki.root.certificate,), NOW), NOW) is None

    def bring(self, content: bytes, reason: str = "已核对证件", name: str = "li") -> TestResponse:
        page = self.staff[name].get(PAGE).text
        seen = page.split('name="seen" value="', 1)[1].split('"', 1)[0]
        fields = {"csrf_token": token_of(page), "seen": seen, "certificate_reason": reason, "certificate": (io.BytesIO(content), "c.cer")}
        return self.staff[name].post(f"{PAGE}/certificate", data=fields)

    def confirm(self, where: str, name: str = "wang") -> TestResponse:
        return self.staff[name].post(where, data={"csrf_token": token_of(self.staff[name].get(where).text), "action": "confirm"})

    def bound(self) -> list[str]:
        with self.app.app_context():
            return list(session.scalars(select(EKeyBinding.serial)))


def pem(card: Card) -> bytes:
    return card.issued.certificate.public_bytes(Encoding.PEM)


@pytest.fixture
def office(app: Flask, pki: Pki) -> Office:
    with app.app_context(), transaction():
        people.key(people.account(people.enterprise(), [people.NAME]), ["export"], SERIAL)
        made = {name: officer(name, "key_office") for name in ("li", "wang")}
    found = Office(app, pki, {name: let_in(app, account, "totp") for name, account in made.items()})
    found.publish()
    return found


@pytest.mark.store
@pytest.mark.parametrize("form", ["pem", "der"])
def test_what_was_brought_is_bound_once_another_officer_confirmed_it(office: Office, form: str) -> None:
    card = office.card()
    filed = office.bring(pem(card) if form == "pem" else card.issued.der)
    assert filed.status_code == 303
    assert office.bring(card.issued.der).status_code == 422, "one request at a time"
    shown = office.staff["wang"].get(filed.location).text
    assert all(text in shown for text in (people.NAME, people.CODE, "证书指纹", "将证书绑定到电子钥匙"))
    assert "request.value" not in shown
    assert office.confirm(filed.location, "li").status_code == 422
    assert office.bound() == []
    assert office.confirm(filed.location).status_code == 303
    assert office.bound() == [SERIAL]
    assert "该证书已绑定" in office.bring(card.issued.der).text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "请选择证书文件"),
        (b"\x30" * 16 * 1024, "不是一张"),
        (b"\x30" * (16 * 1024 + 1), "不得超过 16 KB"),
        (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "不是一张"),
        (b"<script>", "不是一张"),
    ],
)
def test_files_that_are_no_certificate_are_named(office: Office, content: bytes, said: str) -> None:
    answer = office.bring(content)
    assert answer.status_code == 422
    assert said in answer.text


def test_neither_two_certificates_nor_a_private_key(office: Office) -> None:
    card = office.card()
    assert "不是一张" in office.bring(pem(card) * 2).text
    private = card.issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[union-attr]  # this CA's keys are EC
    assert "含私钥" in office.bring(private + pem(card)).text


def test_what_does_not_count_or_says_something_else_is_not_filed(office: Office) -> None:
    other, revoked = Pki(), office.card()
    assert "第 2 步" in office.bring(other.card(subject=holder(serial=SERIAL)).issued.der).text
    assert "序列号不是" in office.bring(office.card("EK0000000000000A").issued.der).text
    assert "企业代码不是" in office.bring(office.card(organisation="0100123456785").issued.der).text
    office.publish(revoked)
    assert "第 3 步，revoked" in office.bring(revoked.issued.der).text
    assert office.bring(office.card().issued.der, reason=" ").status_code == 422
    with office.app.app_context():
        assert session.scalars(select(SecondPersonRequest)).all() == []


def test_what_has_changed_until_it_is_confirmed_counts(office: Office) -> None:
    filed = office.bring(office.card().issued.der).location
    with office.app.app_context(), transaction():
        session.get_one(EKey, SERIAL).status = "revoked"
    assert office.confirm(filed).status_code == 422
    assert office.bound() == []
    assert "未能办理" in office.staff["wang"].get(filed).text


def test_the_command_files_the_same_for_an_officer(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "card.pem"
    file.write_bytes(pem(office.card()))
    assert idp(office.app, "ekey", "bind", SERIAL, file).code != 0
    assert "waits for an officer" in idp(office.app, "ekey", "bind", SERIAL, file, *BY).out
    assert "waits for confirmation already" in idp(office.app, "ekey", "bind", SERIAL, file, *BY).err
    assert "1 件待您复核" in office.staff["wang"].get("/officers").text
    with office.app.app_context():
        number = session.scalars(select(SecondPersonRequest.id)).one()
    assert "zhang（命令行）" in office.staff["wang"].get(f"/officers/requests/{number}").text
    assert office.confirm(f"/officers/requests/{number}").status_code == 303
    assert office.bound() == [SERIAL]


def test_nobody_confirms_what_they_filed_at_the_command_line(office: Office, tmp_path: Path) -> None:
    file = tmp_path / "card.pem"
    file.write_bytes(pem(office.card()))
    assert idp(office.app, "ekey", "bind", SERIAL, file, "--operator", "Wang", "--reason", "x").code == 0
    with office.app.app_context():
        number = session.scalars(select(SecondPersonRequest.id)).one()
    assert office.confirm(f"/officers/requests/{number}").status_code == 422
    assert office.confirm(f"/officers/requests/{number}", "li").status_code == 303


@pytest.mark.requirement("R68")
def test_a_second_certificate_of_the_same_key_leaves_the_key_alive(office: Office) -> None:
    office.confirm(office.bring(office.card("").issued.der).location)
    office.confirm(office.bring(office.card().issued.der).location)
    assert office.bound() == [SERIAL, SERIAL]
    with office.app.app_context():
        assert binding.dead(session.get_one(EKey, SERIAL), NOW.date()) is None


@pytest.mark.requirement("R68")
def test_a_fourth_live_key_is_not_bound(office: Office) -> None:
    filed = office.bring(office.card().issued.der).location
    with office.app.app_context(), transaction():
        account = session.scalars(select(Account).where(Account.enterprise_id.is_not(None))).one()
        for number in range(3):
            key = people.key(account, [], f"EK{number}")
            session.add(EKeyBinding(serial=key.serial, issuer="i", subject=f"{number}", not_after=NOW, bound_at=NOW))
    assert office.confirm(filed).status_code == 422
    assert SERIAL not in office.bound()


DER = Pki().card(subject=holder(serial=SERIAL)).issued.der


@pytest.mark.slow
@bounds(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_form_and_no_file_of_an_officer_makes_a_5xx(office: Office, data: st.DataObject) -> None:
    office.app.config["WTF_CSRF_METHODS"] = set()
    der, at = DER, data.draw(st.integers(0, len(DER)))
    odd = st.one_of(st.text(max_size=30), st.sampled_from(["\x00", "\ud7ff", "x" * 5000, SERIAL, "EK1"]))
    content = data.draw(st.one_of(st.binary(max_size=100), st.just(der[:at] + data.draw(st.binary(max_size=9)) + der[at:])))
    page = office.staff["li"].get(PAGE).text
    fields = {
        name: data.draw(odd).encode("utf-8", "replace").decode()
        for name in ("reason", "certificate_reason", "replace_reason", "replacement", "username", "action")
    }
    fields["seen"] = page.split('name="seen" value="', 1)[1].split('"', 1)[0]
    for action in (fields["action"], "enrol", "enrol_with_code", "letter", "code", "lift", "replace"):
        assert office.staff["li"].post(PAGE, data={**fields, "action": action}).status_code < 500
    assert office.staff["li"].post(f"{PAGE}/certificate", data={**fields, "certificate": (io.BytesIO(content), fields["username"])}).status_code < 500
    assert office.staff["li"].post(f"{PAGE}/certificate", data=content, content_type="multipart/form-data; boundary=x").status_code < 500
    assert office.staff["li"].get("/officers/keys", query_string={"q": fields["reason"]}).status_code < 500
    assert office.staff["li"].get(f"/officers/keys/letters/{SERIAL}").status_code < 500
