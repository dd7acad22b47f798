"""What a blank card takes, from whom, and what it keeps: the administrator's half of the card."""

import secrets
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from tests.cards import PIN, PUK
from tests.virtual_card.test_card import SELECT, selected, sign, status, verify, whole
from virtual_card.apdu import read_tlv, tlv
from virtual_card.card_file import CardFile, Management
from virtual_card.personalisation import make_card
from virtual_card.piv import Card

KEY = bytes.fromhex(Management().key)
GENERATE = bytes.fromhex("0047009A05AC03800111")
PUT = bytes.fromhex("00DB3FFF0A5C035FC1085303010203")
GET = bytes.fromhex("00CB3FFF055C035FC10800")
ASK = bytes.fromhex("0087039B047C02800000")


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    return make_card(tmp_path / "blank.json", {}, PIN, PUK)


def template(algorithm: int, *parts: bytes) -> bytes:
    body = tlv(0x7C, *parts)
    return bytes([0, 0x87, algorithm, 0x9B, len(body)]) + body + b"\0"


def ecb(algorithm: int, key: bytes) -> Cipher[ECB]:
    return Cipher(TripleDES(key) if algorithm == 3 else AES(key), ECB())  # noqa: S305  # the standard's own


def prove(card: Card, key: bytes = KEY, algorithm: int = 3) -> int:
    """The status of the whole proof; that the card proves itself is asserted."""
    witness = read_tlv(read_tlv(whole(card, template(algorithm, tlv(0x80))))[0x7C])[0x80]
    challenge = secrets.token_bytes(len(witness))
    answer = card.answer(template(algorithm, tlv(0x80, ecb(algorithm, key).decryptor().update(witness)), tlv(0x81, challenge)))
    if answer[-2:] == b"\x90\x00":
        assert read_tlv(read_tlv(answer[:-2])[0x7C])[0x82] == ecb(algorithm, key).encryptor().update(challenge)
    return int.from_bytes(answer[-2:], "big")


@pytest.mark.parametrize("command", [GENERATE, PUT, bytes.fromhex("00FE119A220620") + b"\1" * 32], ids=["generate", "put", "import"])
def test_nothing_is_written_without_the_management_key(blank: Path, command: bytes) -> None:
    card, before = selected(blank), blank.read_text()
    card.answer(verify(PIN))
    assert status(card, command) == 0x6982
    assert prove(card, bytes(24)) == 0x6982
    assert status(card, command) == 0x6982
    assert blank.read_text().replace('"left": 2', '"left": 3') == before
    assert prove(card) == 0x9000
    assert status(card, command) & 0xFF00 in (0x9000, 0x6100)


def test_a_witness_counts_once_and_only_when_asked_for(blank: Path) -> None:
    card = selected(blank)
    assert status(card, template(3, tlv(0x80, b"\0" * 8), tlv(0x81, b"\0" * 8))) == 0x6A80
    witness = ecb(3, KEY).decryptor().update(read_tlv(read_tlv(whole(card, ASK))[0x7C])[0x80])
    answer = template(3, tlv(0x80, witness), tlv(0x81, b"\0" * 8))
    assert [status(card, answer), status(card, answer)] == [0x9000, 0x6A80]
    assert status(card, PUT) == 0x6982, "the failed second one took back what the first had proven"


@pytest.mark.parametrize(("algorithm", "size"), [(0x08, 16), (0x0A, 24), (0x0C, 32)])
def test_the_management_key_may_be_an_aes_one(blank: Path, algorithm: int, size: int) -> None:
    file = CardFile(blank)
    file.memory.management = Management(bytes(range(size)).hex(), algorithm)
    file.save()
    card = selected(blank)
    assert status(card, ASK) == 0x6A86
    assert prove(card, bytes(range(size)), algorithm) == 0x9000


def test_losing_power_ends_the_administrators_time(blank: Path) -> None:
    card = selected(blank)
    assert prove(card) == 0x9000
    card.power_off()
    assert [status(card, SELECT), status(card, PUT)] == [0x9000, 0x6982]


@pytest.mark.spec("SP 800-73-4 part 2", "3.3.1")
def test_what_is_put_is_read_also_after_power_was_lost_and_goes_when_nothing_is_put(blank: Path) -> None:
    card = selected(blank)
    prove(card)
    assert status(card, PUT) == 0x9000
    assert whole(selected(blank), GET) == bytes.fromhex("5303010203")
    assert status(card, bytes.fromhex("00DB3FFF075C035FC1085300")) == 0x9000
    assert status(card, GET) == 0x6A82


@pytest.mark.spec("SP 800-73-4 part 2", "3.3.2")
def test_a_key_made_on_the_card_signs(blank: Path) -> None:
    card = selected(blank)
    prove(card)
    point = read_tlv(whole(card, GENERATE)[3:])[0x86]
    card.answer(verify(PIN))
    signature = read_tlv(read_tlv(whole(card, sign(0x11, b"\7" * 32)))[0x7C])[0x82]
    ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point).verify(signature, b"\7" * 32, ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("0047009B05AC03800111", 0x6A86),
        ("0047009A05AC03800112", 0x6A86),
        ("0047009A02AC00", 0x6A86),
        ("00FE149A040602FFFF", 0x9000),
        ("00FE119A020600", 0x6A80),
        ("00FE119A03070101", 0x6A80),
        ("00FE119A22062000" + "FF" * 31, 0x9000),
        ("00FE119A220620" + "FF" * 32, 0x6A80),
        ("00FE079A06010103020105", 0x6A80),
        ("00FE079A06010104020106", 0x6A80),
        ("00FE059A06010103020105", 0x6A86),
        ("00DB3FFF075C017E5302AAAA", 0x6A82),
        ("00DB3FFF095C035FC1055302AAAA", 0x6A80),
        ("00DB3FFF0B5C035FC10553047001AA71", 0x6A80),
        ("00DB3FFF0D5C035FC10553067001AA710101", 0x6A80),
        ("00DB3FFE085C035FC1085301AA", 0x6A80),
    ],
)
def test_what_cannot_be_is_refused_with_a_status(blank: Path, command: str, answer: int) -> None:
    card = selected(blank)
    prove(card)
    assert status(card, bytes.fromhex(command)) == answer
