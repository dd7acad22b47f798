"""`idp-ekey-agent personalise` and `idp ekey issue --card`: blank cards in a real reader become e-keys that sign."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from flask import Flask

from idp.db import transaction
from idp.ekey.agent import personalisation
from idp.ekey.agent.pcsc import PcscReaders
from tests import people
from tests.cards import PIN, PUK
from tests.command_line import idp
from tests.ekey.running_agent import NONCE, ORIGIN, agent
from tests.ekey.test_agent_cards import put_in, verified
from virtual_card.card_file import CardFile, Management
from virtual_card.keys import generated, pem
from virtual_card.personalisation import KINDS, make_card, sample_certificate
from virtual_card.reader import Reader

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    return make_card(tmp_path / "blank.json", {}, PIN, PUK)


def identity(folder: Path, kind: str = "p256", form: str = "pem") -> Path:
    key = generated(KINDS[kind])
    certificate = sample_certificate(key, "王小明", "EK00000000000001", dt.datetime.now(dt.UTC))
    file = folder / f"card.{form}"
    if form == "p12":
        file.write_bytes(pkcs12.serialize_key_and_certificates(b"", key, certificate, None, BestAvailableEncryption(b"secret")))
    else:
        file.write_bytes(pem(key).encode() + certificate.public_bytes(Encoding.PEM))
    return file


def private(folder: Path, text: str, mode: int = 0o600) -> str:
    file = folder / f"secret{len(list(folder.iterdir()))}"
    file.write_text(f"{text}\n")
    file.chmod(mode)
    return str(file)


def run(*arguments: str | Path) -> int:
    return personalisation.main([str(argument) for argument in arguments], PcscReaders())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "form"), [("p256", "pem"), ("p384", "p12"), ("rsa2048", "p12")])
def test_a_blank_card_is_written_and_signs(reader: Reader, blank: Path, tmp_path: Path, kind: str, form: str) -> None:
    put_in(reader, blank)
    before = CardFile(blank).memory
    password = ["--password-file", private(tmp_path, "secret")] if form == "p12" else []
    assert run(identity(tmp_path, kind, form), "--reader", "Virtual", *password) == 0
    after = CardFile(blank).memory
    assert list(after.slots) == ["9A"]
    assert (after.pin, after.puk, after.management, after.objects) == (before.pin, before.puk, before.management, before.objects)
    with agent(PcscReaders()) as page:
        assert page.status()["username"] == "王小明"
        verified(page.authenticate().text, ORIGIN, NONCE)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "algorithm"), [(24, 0x0A), (16, 0x08), (24, 0x03)])
def test_the_management_key_comes_from_a_file(
    reader: Reader, blank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int, algorithm: int
) -> None:
    file, own = CardFile(blank), bytes(range(1, size + 1)).hex()
    file.memory.management = Management(own, algorithm)
    file.save()
    put_in(reader, blank)
    source = identity(tmp_path)
    for wrong in ([], ["--management-key-file", private(tmp_path, "ff" * size)]):
        if wrong or bytes.fromhex(own) != personalisation.BLANK:
            assert run(source, *wrong) == 1
            assert "management key" in capsys.readouterr().err
    assert CardFile(blank).memory.slots == {}
    assert run(source, "--management-key-file", private(tmp_path, own)) == 0
    assert "王小明" in capsys.readouterr().out


@pytest.mark.slow
def test_without_a_card_it_says_so(reader: Reader, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = identity(tmp_path)
    put_in(reader)
    assert run(source) == 1
    assert "no card is in the reader" in capsys.readouterr().err
    assert run(source, "--reader", "Other") == 1
    assert "no reader" in capsys.readouterr().err


class Nowhere:
    """No reader may be looked at before what was given is known to be right."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "no private key"), (b"-----BEGIN nothing", "no private key"), (b"\x30\x80nonsense", "no private key"), ("other", "another key")],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | str, said: str) -> None:
    source = identity(tmp_path)
    if content == "other":
        source.write_bytes(pem(generated(KINDS["p256"])).encode() + source.read_bytes()[source.read_bytes().index(b"-----BEGIN CERT") :])
    elif isinstance(content, bytes):
        source.write_bytes(content)
    password = ["--password-file", private(tmp_path, "secret")] if isinstance(content, bytes) else []
    assert personalisation.main([str(source), *password], Nowhere()) == 1  # type: ignore[arg-type]  # on purpose
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("text", "mode", "said"), [("00" * 24, 0o644, "chmod 600"), ("00" * 23, 0o600, "hexadecimal"), ("zz", 0o600, "hexadecimal")])
def test_a_management_key_that_is_none_or_that_others_may_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, mode: int, said: str
) -> None:
    arguments = [str(identity(tmp_path)), "--management-key-file", private(tmp_path, text, mode)]
    assert personalisation.main(arguments, Nowhere()) == 1  # type: ignore[arg-type]  # on purpose
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.requirement("R88")
def test_the_development_ca_issues_straight_onto_a_card(context: Flask, reader: Reader, blank: Path, tmp_path: Path) -> None:
    serial = "EK76DA6FAE991C57"
    with transaction():
        people.key(people.account(people.enterprise(), [people.NAME]), ["export"], serial)
    assert idp(context, "ekey", "dev-ca").code == 0
    put_in(reader)
    refused = idp(context, "ekey", "issue", serial, "--card")
    assert refused.code != 0
    assert "no card is in the reader" in refused.err
    assert idp(context, "ekey", "issue", serial, "--card", "Virtual", "--out", tmp_path / "cards").code != 0
    assert idp(context, "ekey", "issue", serial, "--card", "--kind", "sm2").code != 0
    put_in(reader, blank)
    assert "Virtual PCD 00 00" in idp(context, "ekey", "issue", serial, "--card", "Virtual").out
    assert not [
        file
        for file in tmp_path.rglob("*")
        if file != blank and file.is_file() and CardFile(blank).memory.slots["9A"].key.encode() in file.read_bytes()
    ]
    with agent(PcscReaders()) as page:
        assert page.status()["username"] == people.NAME
        verified(page.authenticate().text, ORIGIN, NONCE)
