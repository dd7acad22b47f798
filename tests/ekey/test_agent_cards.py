"""The agent with real readers: pcscd and the virtual card."""

import base64
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from idp.ekey.agent.pcsc import PcscReaders
from idp.ekey.protocol import Algorithm, Token, parse, signed_bytes
from tests.cards import PIN, PUK, Cards
from tests.ekey.running_agent import NONCE, ORIGIN, OTHER_ORIGIN, Page, agent
from tests.virtual_card.test_judges import told
from virtual_card.card_file import CardFile
from virtual_card.reader import GET_DATA, SELECT, SIGN, VERIFY, Reader

pytestmark = pytest.mark.slow  # a real daemon notices cards at its own pace
READERS = PcscReaders()
MOST_LOOKS = 12


def until(holds: Callable[[int], bool]) -> None:
    """Wait for this number of cards in the readers."""
    looks = islice(READERS.changes(), MOST_LOOKS)
    assert any(holds(sum(state.card for state in states)) for states in looks)


@pytest.fixture
def page(reader: Reader) -> Iterator[Page]:
    until(lambda cards: cards == 0)
    with agent(READERS) as page:
        yield page


def put_in(reader: Reader, *paths: Path) -> None:
    """Into empty slots: pcscd must have noticed that the last card went, or it takes the next one for it."""
    until(lambda cards: cards == 0)
    for slot, path in enumerate(paths):
        reader.insert(path, slot)
    until(lambda cards: cards == len(paths))


def verified(text: str, origin: str, nonce: str) -> Token:
    """The token in `text`, its signature proven by the certificate in it."""
    token = parse(text)
    assert isinstance(token, Token)
    message, digest = signed_bytes(token.algorithm, origin, nonce), hashes.SHA384() if token.algorithm is Algorithm.ES384 else hashes.SHA256()
    key = x509.load_der_x509_certificate(token.certificate).public_key()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(token.signature, message, padding.PKCS1v15(), digest)
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        half = len(token.signature) // 2
        r, s = (int.from_bytes(part, "big") for part in (token.signature[:half], token.signature[half:]))
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))
    return token


@pytest.mark.requirement("R18")
def test_the_name_is_read_without_a_pin(page: Page, reader: Reader, cards: Cards) -> None:
    path = cards.new(name="王小明")
    put_in(reader, path)
    status = page.status()
    certificate = x509.load_der_x509_certificate(bytes.fromhex(CardFile(path).memory.slots["9A"].certificate))
    assert (status["card"], status["username"], status["pin_tries"], status["error"]) == (True, "王小明", 3, None)
    assert status["not_after"] == certificate.not_valid_after_utc.isoformat()
    assert status["readers"] == ["Virtual PCD 00 00", "Virtual PCD 00 01"]
    assert page.person.asked == []


@pytest.mark.parametrize(
    ("kind", "compressed", "algorithm"),
    [("rsa2048", False, Algorithm.RS256), ("p256", False, Algorithm.ES256), ("p256", True, Algorithm.ES256), ("p384", False, Algorithm.ES384)],
)
def test_each_kind_of_key_signs(page: Page, reader: Reader, cards: Cards, kind: str, algorithm: Algorithm, *, compressed: bool) -> None:
    put_in(reader, cards.new(kind, compressed=compressed))
    answer = page.authenticate()
    assert answer.status == 200
    assert verified(answer.text, ORIGIN, NONCE).algorithm is algorithm
    (question,) = page.person.asked
    assert (question.origin, question.username, question.tries) == (ORIGIN, "张三", 3)


def test_each_origin_gets_a_token_of_its_own(page: Page, reader: Reader, cards: Cards) -> None:
    put_in(reader, cards.new())
    page.origin = OTHER_ORIGIN
    verified(page.authenticate().text, OTHER_ORIGIN, NONCE)
    assert page.person.asked[0].origin == OTHER_ORIGIN


def test_the_card_is_closed_after_signing(page: Page, reader: Reader, cards: Cards) -> None:
    put_in(reader, cards.new())
    assert page.authenticate().status == 200
    assert "PIN tries left:\t3" in told(reader, "yubico-piv-tool", "-r", "Virtual", "-a", "status")  # an open card would say -1


def test_a_card_that_another_program_left_open_still_wants_the_pin(page: Page, reader: Reader, cards: Cards) -> None:
    put_in(reader, cards.new())
    told(reader, "pkcs11-tool", "--login", "--pin", PIN, "-O")
    page.person.pin = "000000"
    assert page.authenticate().json == {"error": "pin_wrong", "tries": 2}


@pytest.mark.requirement("R67")
def test_wrong_pins_last_try_blocked_and_unblocked(page: Page, reader: Reader, cards: Cards) -> None:
    put_in(reader, cards.new())
    page.person.pin = "000000"
    assert page.authenticate().json == {"error": "pin_wrong", "tries": 2}
    assert page.authenticate().json == {"error": "pin_wrong", "tries": 1}
    assert page.authenticate().json == {"error": "cancelled", "tries": 1}
    assert len(page.person.asked) == 2, "with one try left the PIN is asked for only after a yes"
    assert page.status()["pin_tries"] == 1
    page.person.uses_last_try = True
    assert page.authenticate().json == {"error": "pin_blocked", "tries": 0}
    page.person.pin = PIN
    assert page.authenticate().json == {"error": "pin_blocked", "tries": 0}
    assert len(page.person.asked) == 3
    told(reader, "yubico-piv-tool", "-r", "Virtual", "-a", "unblock-pin", "-P", PUK, "-N", "654321")
    page.person.pin = "654321"
    verified(page.authenticate().text, ORIGIN, NONCE)


@pytest.mark.parametrize("pin", ["12345", "123456789", "12345é", "12345\n", ""])
def test_what_no_card_can_know_costs_no_try(page: Page, reader: Reader, cards: Cards, pin: str) -> None:
    put_in(reader, cards.new())
    page.person.pin = pin
    assert page.authenticate().json == {"error": "pin_wrong", "tries": 3}
    assert page.status()["pin_tries"] == 3


def test_cancelling_costs_no_try(page: Page, reader: Reader, cards: Cards) -> None:
    put_in(reader, cards.new())
    page.person.pin = None
    assert page.authenticate().json == {"error": "cancelled", "tries": 3}


@pytest.mark.parametrize("moment", ["connect", SELECT, GET_DATA, VERIFY, SIGN])
def test_a_card_pulled_midway(page: Page, reader: Reader, cards: Cards, moment: str) -> None:
    path = cards.new()
    put_in(reader, path)
    page.person.meanwhile = reader.remove if moment == "connect" else lambda: reader.pull_at(moment)
    answer = page.authenticate()
    assert (answer.status, answer.json["error"]) == (409, "card_removed")
    assert CardFile(path).memory.pin.left == 3, "what the card never judged costs no try"
    page.person.meanwhile = lambda: None
    put_in(reader, path)
    verified(page.authenticate().text, ORIGIN, NONCE)


def test_a_card_pulled_before_the_pin_is_given(page: Page, reader: Reader, cards: Cards) -> None:
    put_in(reader, cards.new())

    def pull_and_close() -> None:
        reader.remove()
        until(lambda cards: cards == 0)
        assert page.person.asked[0].withdrawn()

    page.person.meanwhile, page.person.pin = pull_and_close, None
    assert page.authenticate().json["error"] == "card_removed"


def test_the_pin_goes_to_the_card_it_was_given_for(page: Page, reader: Reader, cards: Cards) -> None:
    put_in(reader, cards.new())
    other = cards.new()

    def change_cards() -> None:
        reader.remove()
        until(lambda cards: cards == 0)
        put_in(reader, other)

    page.person.meanwhile, page.person.pin = change_cards, "000000"
    assert page.authenticate().json["error"] == "card_removed"
    assert CardFile(other).memory.pin.left == 3


def test_no_card_and_two_cards(page: Page, reader: Reader, cards: Cards) -> None:
    assert page.authenticate().json["error"] == "no_card"
    assert page.status()["error"] == "no_card"
    put_in(reader, cards.new(), cards.new())
    assert page.authenticate().json["error"] == "several_cards"
    status = page.status()
    assert (status["card"], status["username"], status["error"]) == (True, None, "several_cards")
    reader.remove(0)
    until(lambda cards: cards == 1)
    verified(page.authenticate().text, ORIGIN, NONCE)


def test_a_card_without_a_certificate_is_none_of_ours(page: Page, reader: Reader, cards: Cards) -> None:
    path = cards.new()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"slots": {}}))
    put_in(reader, path)
    assert page.authenticate().json["error"] == "not_piv"
    assert page.status()["error"] == "not_piv"


@pytest.mark.parametrize("certificate", ["00", "3000", "3082000400000000"])
def test_a_broken_certificate_is_none_of_ours(page: Page, reader: Reader, cards: Cards, certificate: str) -> None:
    path = cards.new()
    content = json.loads(path.read_text())
    content["slots"]["9A"]["certificate"] = certificate
    path.write_text(json.dumps(content))
    put_in(reader, path)
    assert page.status()["error"] == "not_piv"


def test_insertion_and_removal_are_told(page: Page, reader: Reader, cards: Cards) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    connection.request("GET", "/v1/events", headers={"Origin": ORIGIN})
    response = connection.getresponse()
    assert response.getheader("Content-Type") == "text/event-stream"
    assert response.readline() == b": listening\n"
    response.readline()
    reader.insert(cards.new())
    assert [response.readline() for _ in range(3)] == [b"event: inserted\n", b'data: {"reader": "Virtual PCD 00 00"}\n', b"\n"]
    reader.remove()
    assert response.readline() == b"event: removed\n"
    connection.close()


def test_no_secret_is_told_or_logged(page: Page, reader: Reader, cards: Cards, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    put_in(reader, cards.new())
    answers = [page.authenticate(), page.by_form(), page.ask("GET", "/v1/status")]
    token = answers[0].json
    assert base64.b64decode(token["signature"])
    printed = caplog.text
    assert "signed" in printed
    assert not any(secret in printed for secret in (PIN, NONCE, token["signature"], token["unverifiedCertificate"][:40]))
    assert not any(PIN in answer.text or '"pin"' in answer.text for answer in answers)
