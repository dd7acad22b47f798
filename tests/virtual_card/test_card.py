"""The card by itself: what it answers to APDUs. Independent programs judge it in test_judges.py."""

import gzip
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.cards import PIN, PUK, Cards
from virtual_card.apdu import Refused, read_command, read_tlv, tlv
from virtual_card.card_file import CardFile
from virtual_card.piv import Card

SELECT = bytes.fromhex("00A4040005A00000030800")
READ_9A = bytes.fromhex("00CB3FFF055C035FC10500")
TRIES = bytes.fromhex("00200080")
CLOSE = bytes.fromhex("0020FF80")


def verify(pin: str) -> bytes:
    return bytes.fromhex("0020008008") + pin.encode().ljust(8, b"\xff")


def two(ins: int, reference: int, old: str, new: str) -> bytes:
    return bytes([0, ins, 0, reference, 16]) + old.encode().ljust(8, b"\xff") + new.encode().ljust(8, b"\xff")


def sign(algorithm: int, block: bytes, *, reference: int = 0x9A) -> bytes:
    """In one extended APDU."""
    body = tlv(0x7C, tlv(0x82), tlv(0x81, block))
    return bytes([0, 0x87, algorithm, reference, 0]) + len(body).to_bytes(2, "big") + body + b"\0\0"


def selected(path: Path) -> Card:
    card = Card(CardFile(path))
    assert status(card, SELECT) == 0x9000
    return card


def status(card: Card, command: bytes) -> int:
    return int.from_bytes(card.answer(command)[-2:], "big")


def whole(card: Card, command: bytes) -> bytes:
    """Data over 61xx and GET RESPONSE."""
    answer = card.answer(command)
    data = answer[:-2]
    while answer[-2] == 0x61:
        answer = card.answer(bytes([0, 0xC0, 0, 0, answer[-1]]))
        data += answer[:-2]
    assert answer[-2:] == b"\x90\x00"
    return data


def certificate(card: Card) -> x509.Certificate:
    parts = read_tlv(read_tlv(whole(card, READ_9A))[0x53])
    return x509.load_der_x509_certificate(gzip.decompress(parts[0x70]) if parts[0x71] == b"\1" else parts[0x70])


@pytest.mark.spec("SP 800-73-4 part 2", "3.1.1")
@pytest.mark.parametrize("aid", ["A000000308", "A000000308000010", "A0000003080000100001", "A000000308000010000100"])
def test_select_takes_the_name_and_its_beginnings(cards: Cards, aid: str) -> None:
    card = Card(CardFile(cards.new()))
    assert status(card, READ_9A) == 0x6D00
    assert status(card, bytes([0, 0xA4, 4, 0, len(aid) // 2]) + bytes.fromhex(aid)) == 0x9000
    assert status(card, READ_9A) & 0xFF00 in (0x9000, 0x6100)


@pytest.mark.parametrize("aid", ["A0000003", "A000000309", "A00000030800001000010000"])
def test_select_of_another_applet_is_not_found(cards: Cards, aid: str) -> None:
    assert status(Card(CardFile(cards.new())), bytes([0, 0xA4, 4, 0, len(aid) // 2]) + bytes.fromhex(aid)) == 0x6A82


@pytest.mark.spec("SP 800-73-4 part 2", "3.1.2")
@pytest.mark.parametrize("compressed", [False, True])
def test_certificates_come_in_portions_or_whole(cards: Cards, *, compressed: bool) -> None:
    card = selected(cards.new(compressed=compressed))
    assert "张三" in certificate(card).subject.rfc4514_string()
    extended = bytes.fromhex("00CB3FFF0000055C035FC1050000")
    assert card.answer(extended) == whole(card, READ_9A) + b"\x90\x00"


@pytest.mark.parametrize("tag", ["7E", "5FC102", "5FC107"])
def test_the_other_objects_are_there(cards: Cards, tag: str) -> None:
    raw = bytes.fromhex(tag)
    assert whole(selected(cards.new()), bytes([0, 0xCB, 0x3F, 0xFF, len(raw) + 2, 0x5C, len(raw)]) + raw + b"\0")


@pytest.mark.parametrize("tag", ["5FC10A", "5FC10B", "5FC101", "5FC106", "000000"])
def test_an_object_that_is_not_on_the_card_is_not_found(cards: Cards, tag: str) -> None:
    assert status(selected(cards.new()), bytes.fromhex("00CB3FFF055C03" + tag + "00")) == 0x6A82


@pytest.mark.spec("SP 800-73-4 part 2", "3.2.1")
def test_wrong_pins_use_tries_up_and_a_right_one_gives_them_back(cards: Cards) -> None:
    card = selected(cards.new())
    assert [status(card, command) for command in (TRIES, verify("000000"), TRIES, verify("000000"))] == [0x63C3, 0x63C2, 0x63C2, 0x63C1]
    assert [status(card, command) for command in (verify(PIN), TRIES, CLOSE, TRIES)] == [0x9000, 0x9000, 0x9000, 0x63C3]
    assert [status(card, verify("000000")) for _ in range(4)] == [0x63C2, 0x63C1, 0x63C0, 0x6983]
    assert status(card, verify(PIN)) == 0x6983


def test_a_wrong_pin_closes_an_open_card(cards: Cards) -> None:
    card = selected(cards.new())
    digest = b"\1" * 32
    assert [status(card, command) for command in (verify(PIN), sign(0x11, digest), verify("000000"), sign(0x11, digest))] == [
        0x9000,
        0x9000,
        0x63C2,
        0x6982,
    ]


@pytest.mark.spec("SP 800-73-4 part 2", "3.2.3")
def test_the_puk_opens_a_blocked_card(cards: Cards) -> None:
    path = cards.new()
    card = selected(path)
    for _ in range(3):
        card.answer(verify("000000"))
    assert status(card, two(0x2C, 0x80, "99999999", "654321")) == 0x63C2
    assert status(card, two(0x2C, 0x80, PUK, "12")) == 0x6A80
    assert status(card, two(0x2C, 0x80, PUK, "654321")) == 0x9000
    assert status(card, verify("654321")) == 0x9000
    assert CardFile(path).memory.puk.left == 3


def test_pin_and_puk_are_changed_by_their_old_values(cards: Cards) -> None:
    card = selected(cards.new())
    assert status(card, two(0x24, 0x80, "000000", "654321")) == 0x63C2
    assert status(card, two(0x24, 0x80, PIN, "654321")) == 0x9000
    assert status(card, two(0x24, 0x81, PUK, "87654321")) == 0x9000
    assert status(card, verify("654321")) == 0x9000
    assert status(card, two(0x2C, 0x80, "87654321", PIN)) == 0x9000


class PowerLost(Exception):
    """Raised where somebody cuts the power."""


def test_power_cut_in_the_middle_of_a_try_wins_nothing(cards: Cards, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cards.new()
    card = selected(path)
    save = card.file.save

    def save_and_lose_power() -> None:
        save()
        raise PowerLost

    monkeypatch.setattr(card.file, "save", save_and_lose_power)
    for left in (2, 1, 0):
        with pytest.raises(PowerLost):
            card.answer(verify("000000"))
        assert CardFile(path).memory.pin.left == left
    assert status(selected(path), verify(PIN)) == 0x6983


def test_losing_power_closes_the_card(cards: Cards) -> None:
    card = selected(cards.new())
    card.answer(verify(PIN))
    card.power_off()
    card.answer(SELECT)
    assert status(card, sign(0x11, b"\1" * 32)) == 0x6982


@pytest.mark.parametrize(("kind", "algorithm", "digest"), [("p256", 0x11, hashes.SHA256()), ("p384", 0x14, hashes.SHA384())])
def test_ecdsa(cards: Cards, kind: str, algorithm: int, digest: hashes.HashAlgorithm) -> None:
    card = selected(cards.new(kind))
    card.answer(verify(PIN))
    hashed = hashes.Hash(digest)
    hashed.update(b"message")
    signature = read_tlv(read_tlv(whole(card, sign(algorithm, hashed.finalize())))[0x7C])[0x82]
    key = certificate(card).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, b"message", ec.ECDSA(digest))


@pytest.mark.parametrize("chained", [False, True])
def test_rsa_in_one_long_command_or_in_a_chain(cards: Cards, *, chained: bool) -> None:
    card = selected(cards.new("rsa2048"))
    card.answer(verify(PIN))
    key = certificate(card).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    info = bytes.fromhex("3031300D060960864801650304020105000420") + (hashed := hashes.Hash(hashes.SHA256())).finalize()
    del hashed
    block = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
    command = sign(0x07, block)
    if chained:
        body = tlv(0x7C, tlv(0x82), tlv(0x81, block))
        assert status(card, bytes([0x10, 0x87, 0x07, 0x9A, 255]) + body[:255]) == 0x9000
        command = bytes([0, 0x87, 0x07, 0x9A, len(body) - 255]) + body[255:] + b"\0"
    key.verify(read_tlv(read_tlv(whole(card, command))[0x7C])[0x82], b"", padding.PKCS1v15(), hashes.SHA256())


def test_signing_wants_the_pin_the_right_algorithm_and_a_key(cards: Cards) -> None:
    card = selected(cards.new())
    assert status(card, sign(0x11, b"\1" * 32)) == 0x6982
    card.answer(verify(PIN))
    assert status(card, sign(0x14, b"\1" * 48)) == 0x6A86
    assert status(card, sign(0x11, b"\1" * 31)) == 0x6A80
    assert status(card, sign(0x11, b"\1" * 32, reference=0x9C)) == 0x6A88


@pytest.mark.parametrize(
    "raw", ["", "00", "00200080FF01", "0020008000", "8020008000", "00CB3FFF035C035F", "00CB3FFF025C85", "00870000FF", "00CB3FFF00FFFF01", "FF" * 300]
)
def test_nonsense_is_answered_with_a_status(cards: Cards, raw: str) -> None:
    answer = selected(cards.new()).answer(bytes.fromhex(raw))
    assert len(answer) >= 2
    assert int.from_bytes(answer[-2:], "big") not in ((0x9000,) if raw != "0020008000" else ())


def test_a_chain_does_not_grow_without_end(cards: Cards) -> None:
    card = selected(cards.new())
    part = bytes([0x10, 0x87, 0x07, 0x9A, 255]) + b"\0" * 255
    assert 0x6700 in [status(card, part) for _ in range(20)]


def test_lengths_are_read_as_the_standard_says() -> None:
    assert read_command(bytes.fromhex("00B0000000")).expected == 256
    assert read_command(bytes.fromhex("00B00000000000")).expected == 0x10000
    with pytest.raises(Refused, match="6700"):
        read_command(bytes.fromhex("00B0000002AA"))
