import base64
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from flask import Flask

from idp.db import transaction
from idp.ekey import chain, dev_ca, verification
from idp.ekey.cli import LIST_ADDRESS
from idp.ekey.dev_ca import KINDS
from idp.ekey.leaf import Identity
from idp.ekey.refusal import Refused
from idp.ekey.revocation_cache import Stored
from idp.ekey.verification import Rules
from idp.key_register.models import EKey
from idp.web import runtime
from tests import people
from tests.command_line import idp
from tests.ekey.bad_pki import NONCE, NOW, ORIGIN, Issued, proof
from tests.fakes import FakeClock, FakeWeb

SERIAL = "EK76DA6FAE991C57"
OTHER = "EK0000000000000A"


@pytest.fixture
def ready(context: Flask) -> Flask:
    """An account with a key, and a key that nobody has; the CA is made."""
    with transaction() as s:
        person = people.account(people.enterprise(), [people.NAME])
        people.key(person, ["export"], SERIAL)
        s.add(EKey(serial=OTHER, enterprise_id=person.enterprise_id))
    assert idp(context, "ekey", "dev-ca").code == 0
    return context


def folder() -> Path:
    return runtime().settings.data_dir / "dev-ca"


def read(file: Path, kind: str) -> Issued:
    pem = file.read_bytes()
    return Issued(dev_ca.read_key(pem, kind), x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERT") :]))


def judged(card: Issued) -> Identity | Refused:
    rules = Rules(ORIGIN, chain.load(folder() / "roots.pem", None))
    source = Stored(FakeWeb(), [LIST_ADDRESS.format(kind=kind) for kind in KINDS], [])
    return verification.prove(proof(card), NONCE, rules, source, NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_for_every_key_of_the_list_and_its_end(ready: Flask, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "cards"
    assert "issued: 2" in idp(ready, "ekey", "issue", "--all", "--kind", kind, "--out", out).out
    cards = {serial: read(out / f"{serial}.pem", kind) for serial in (SERIAL, OTHER)}
    found = {serial: judged(card) for serial, card in cards.items()}
    assert {serial: (each.name, each.serial, each.organisation) for serial, each in found.items() if isinstance(each, Identity)} == {
        SERIAL: (people.NAME, SERIAL, people.CODE),
        OTHER: (f"{people.CODE}-{OTHER}", OTHER, people.CODE),
    }
    assert idp(ready, "ekey", "revoke", SERIAL).out == "revoked: 1\n"
    assert judged(cards[SERIAL]) == Refused(3, "revoked", "at 0")
    assert isinstance(judged(cards[OTHER]), Identity)
    # what is revoked stays so in every later list
    assert idp(ready, "ekey", "crl").code == 0
    assert judged(cards[SERIAL]) == Refused(3, "revoked", "at 0")


def test_files_are_private_and_a_second_call_keeps_the_ca(ready: Flask, tmp_path: Path) -> None:
    before = (folder() / "roots.pem").read_bytes()
    said = idp(ready, "ekey", "dev-ca")
    assert "kept" in said.out
    assert "IDP_EKEY_ROOTS_FILE=/" in said.out
    assert (folder() / "roots.pem").read_bytes() == before
    idp(ready, "ekey", "issue", SERIAL, "--out", tmp_path / "cards")
    assert {file.stat().st_mode & 0o777 for file in (*folder().glob("*.key.pem"), folder() / "issued.json", *(tmp_path / "cards").iterdir())} == {
        0o600
    }


def test_pkcs12_and_a_name_of_ones_own(ready: Flask, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("Sample-1234\n")
    words = ["--format", "p12", "--password-file", tmp_path / "password", "--name", "北京业务员", "--out", tmp_path]
    assert idp(ready, "ekey", "issue", SERIAL, *words).code == 0
    key, certificate, _ = pkcs12.load_key_and_certificates((tmp_path / f"{SERIAL}.p12").read_bytes(), b"Sample-1234")
    assert certificate is not None
    assert key is not None
    found = judged(Issued(key, certificate))  # type: ignore[arg-type]  # an EC key
    assert isinstance(found, Identity)
    assert found.name == "北京业务员"


def test_refusals_write_nothing(ready: Flask, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "cards"]
    assert "not in the key office's list: EK9" in idp(ready, "ekey", "issue", "EK9", *out).err
    assert idp(ready, "ekey", "issue", *out).code == 1
    assert idp(ready, "ekey", "issue", SERIAL, "--all", *out).code == 1
    assert "password-file" in idp(ready, "ekey", "issue", SERIAL, "--format", "p12", *out).err
    assert "no certificate" in idp(ready, "ekey", "revoke", SERIAL).err
    assert not (tmp_path / "cards").exists()


def test_refused_in_production_and_without_a_ca(context: Flask, tmp_path: Path) -> None:
    assert "there is no development CA yet" in idp(context, "ekey", "crl").err
    held = context.extensions["idp"]
    live = held.settings.model_copy(update={"issuer": "https://sso.example.cn"})
    context.extensions["idp"] = replace(held, settings=live)
    for words in (["dev-ca"], ["issue", SERIAL, "--out", tmp_path], ["revoke", SERIAL], ["crl"]):
        said = idp(context, "ekey", *words)
        assert said.code == 1
        assert "refused in production" in said.err
    assert not folder().exists()


def test_a_rolled_back_list_is_not_taken(ready: Flask, tmp_path: Path, clock: FakeClock) -> None:
    idp(ready, "ekey", "issue", SERIAL, "--out", tmp_path)
    state = (folder() / "issued.json").read_bytes()
    idp(ready, "ekey", "revoke", SERIAL)
    (folder() / "issued.json").write_bytes(state.replace(b'"number": 1,', b'"number": 0,', 1))
    assert "rolled_back" in idp(ready, "ekey", "crl").err
    assert judged(read(tmp_path / f"{SERIAL}.pem", "ec")) == Refused(3, "revoked", "at 0")


def test_sm2_keys_travel_in_pem() -> None:
    key = dev_ca.new_key("sm2")
    assert dev_ca.read_key(dev_ca.key_pem(key), "sm2") == key
    for broken in (b"", b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(b"0") + b"\n-----END PRIVATE KEY-----"):
        with pytest.raises(ValueError, match=r"."):
            dev_ca.read_key(broken, "sm2")


def test_certificates_are_pem_that_others_read(ready: Flask, tmp_path: Path) -> None:
    idp(ready, "ekey", "issue", SERIAL, "--out", tmp_path)
    text = (tmp_path / f"{SERIAL}.pem").read_bytes()
    assert text.endswith(x509.load_pem_x509_certificate(text).public_bytes(Encoding.PEM))
