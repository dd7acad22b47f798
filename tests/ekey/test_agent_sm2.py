"""SM2 keys: the agent makes the digest, the (virtual) card signs, the server judges. The card is spoken to without a reader."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from idp.ekey import signatures
from idp.ekey.agent import certificates
from idp.ekey.agent.cards import CardFault, Code
from idp.ekey.agent.personalisation import Unsuited, read
from idp.ekey.agent.piv import PivCard
from idp.ekey.dev_ca import Card as Issued
from idp.ekey.dev_ca import DevelopmentCa, Holder
from idp.ekey.protocol import Algorithm, Token, parse, signed_bytes
from tests.cards import PIN, PUK
from tests.virtual_card.test_card import selected, sign, status, verify
from virtual_card import piv
from virtual_card.card_file import CardFile
from virtual_card.personalisation import make_card, read_slot

ORIGIN, NONCE = "https://idp.test", "n" * 44


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    now, ca = datetime.now(UTC), DevelopmentCa(tmp_path_factory.mktemp("sm2") / "ca")
    ca.ensure(now)
    (card,) = ca.issue([Holder("EK1", "0441987654321", "王小明")], "sm2", now)
    return card


@pytest.fixture
def path(issued: Issued, tmp_path: Path) -> Path:
    return make_card(tmp_path / "card.json", {"9A": read_slot(issued.pem())}, PIN, PUK)


@pytest.mark.requirement("R18")
def test_what_such_a_card_signs_the_server_takes(issued: Issued, path: Path) -> None:
    card = PivCard(piv.Card(CardFile(path)).answer)
    shown = certificates.read(card.certificate())
    assert (shown.username, shown.algorithm) == ("王小明", Algorithm.SM2)
    message = signed_bytes(Algorithm.SM2, ORIGIN, NONCE)
    token = parse(Token(card.certificate(), Algorithm.SM2, card.sign(PIN, Algorithm.SM2, message), "a/1").to_json())
    assert isinstance(token, Token)
    key = signatures.public_key(issued.certificate)
    assert isinstance(key, signatures.Sm2Key)
    assert signatures.answers(key, token.signature, message)
    assert not signatures.answers(key, token.signature, signed_bytes(Algorithm.SM2, "https://evil.test", NONCE))


def test_a_wrong_pin_counts_and_signs_nothing(path: Path) -> None:
    card = PivCard(piv.Card(CardFile(path)).answer)
    with pytest.raises(CardFault) as fault:
        card.sign("000000", Algorithm.SM2, bytes(64))
    assert (fault.value.code, fault.value.tries) == (Code.PIN_WRONG, 2)


def test_the_card_signs_digests_under_its_own_number_only(path: Path) -> None:
    card = selected(path)
    assert status(card, sign(0xF2, bytes(32))) == 0x6982
    card.answer(verify(PIN))
    assert [status(card, sign(number, bytes(size))) for number, size in ((0x11, 32), (0xF2, 31), (0xF2, 32))] == [0x6A86, 0x6A80, 0x9000]


def test_an_agent_without_sm3_says_that_it_cannot_use_the_card(issued: Issued, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idp.ekey.agent.sm2.POSSIBLE", False)
    with pytest.raises(CardFault, match="not_piv"):
        certificates.read(issued.certificate.public_bytes(Encoding.DER))


def test_such_a_key_is_not_written_onto_cards(issued: Issued) -> None:
    with pytest.raises(Unsuited):
        read(issued.pem(), None)
