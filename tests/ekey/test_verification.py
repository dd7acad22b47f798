import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.ekey import sm2, verification
from idp.ekey.leaf import Identity
from idp.ekey.refusal import PUBLIC, Refused
from tests.ekey import bad_pki
from tests.ekey.bad_pki import CARDS, NONCE, NOW, VERDICTS, Card, Pki, Words, build

GOOD = {kind: Pki(kind).card() for kind in ("ec", "rsa", "sm2")}


def verdict(card: Card) -> str:
    found = verification.prove(card.proof, NONCE, card.rules, card.source, NOW)
    return found.reason if isinstance(found, Refused) else ""


@pytest.mark.requirement("R67")
@pytest.mark.parametrize("name", CARDS)
def test_each_card_gets_the_verdict_of_its_name(name: str) -> None:
    assert verdict(build(name)) == VERDICTS[name]


@pytest.mark.slow
def test_made_anew_the_verdicts_are_the_same() -> None:
    for _ in range(2):
        assert {name: verdict(build(name)) for name in CARDS} == VERDICTS


def test_every_reason_has_one_public_text_and_a_card() -> None:
    assert set(VERDICTS.values()) - {""} <= set(PUBLIC)
    of_database = {"challenge", "not_bound", "serial_mismatch", "bound_to_other", "enterprise_cancelled", "too_many_keys"}
    # what is found before a card is judged
    of_database |= {"no_certificate", "agent_outdated"}
    assert set(PUBLIC) - set(VERDICTS.values()) == of_database | {
        "key_revoked",
        "key_expired",
        "key_not_yet_valid",
        "key_lost",
        "key_damaged",
        "key_withdrawn",
        "key_replaced",
    }


@pytest.mark.parametrize("kind", ["ec", "rsa", "sm2"])
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # of certificates that are refused
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_certificate_breaks_the_judge(kind: str, data: st.DataObject) -> None:
    """Bytes of a good card, changed anywhere, signed by the CA again or not: a verdict, never an exception."""
    card = GOOD[kind]
    content = bytearray(card.issued.certificate.tbs_certificate_bytes if data.draw(st.booleans()) else card.issued.der)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if len(content) != len(card.issued.der):
        content = bytearray(bad_pki.signed_again(card, bytes(content)))
    verdict(replace(card, proof=replace(card.proof, certificate=bytes(content))))


def test_what_a_good_card_says() -> None:
    card = Pki().card()
    found = verification.prove(card.proof, NONCE, card.rules, card.source, NOW)
    assert isinstance(found, Identity)
    assert (found.name, found.serial, found.organisation) == ("0441987654321-beijing", "EK1", "0441987654321")


def test_the_token_is_read_first() -> None:
    card = Pki("sm2").card()
    assert verification.read(card.proof.to_json()) == card.proof
    assert verification.read(card.proof.to_json() + " x") == Refused(1, "malformed", "no_json")
    assert verification.read("{}") == Refused(1, "malformed", "members")


def test_nobody_is_asked_before_the_path_is_proven() -> None:
    source = Words()
    card = replace(build("unknown_issuer"), source=source)
    assert verdict(card) == "unknown_issuer"
    assert source.asked == 0


def test_behind_a_proxy_all_but_the_signature_is_judged() -> None:
    for name in ("good_ec", "expired", "revoked", "wrong_eku", "no_name"):
        card = build(name)
        found = verification.prove_without_signature(card.proof.certificate, card.rules, card.source, NOW)
        assert (found.reason if isinstance(found, Refused) else "") == VERDICTS[name]


def test_a_renewed_certificate_is_the_same_identity_and_other_names_are_not() -> None:
    pki = Pki()
    first, second = pki.card(), pki.card()
    other = pki.card(subject=bad_pki.holder(serial="EK2"))
    found = [verification.prove(card.proof, NONCE, card.rules, card.source, NOW) for card in (first, second, other)]
    assert all(isinstance(each, Identity) for each in found)
    assert [(each.issuer, each.subject) == (found[0].issuer, found[0].subject) for each in found if isinstance(each, Identity)] == [True, True, False]  # type: ignore[union-attr]  # asserted above


def test_sm2_self_test_and_its_tampered_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    sm2.self_test()
    broken = sm2._KNOWN_SIGNATURE[:-1] + bytes([sm2._KNOWN_SIGNATURE[-1] ^ 1])
    monkeypatch.setattr(sm2, "_KNOWN_SIGNATURE", broken)
    with pytest.raises(Exception, match="self-test"):
        sm2.self_test()


def test_another_identifier_of_sm2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    key = sm2.PrivateKey.generate()
    monkeypatch.setattr(sm2, "IDENTIFIER", b"somebody-else-00")
    signature = key.sign_raw(b"x")
    monkeypatch.undo()
    assert not sm2.verifies(key.point, b"x", signature)


def test_openssl_takes_our_sm2_certificates_and_keys(tmp_path: Path) -> None:
    """Another implementation, another version, as a judge."""
    pki = Pki("sm2")
    card = pki.card().issued
    (tmp_path / "root.pem").write_bytes(pki.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "card.pem").write_bytes(card.certificate.public_bytes(Encoding.PEM))
    told = ["-vfyopt", f"distid:{sm2.IDENTIFIER.decode()}", "-no_check_time", "-CAfile", str(tmp_path / "root.pem"), str(tmp_path / "card.pem")]
    assert "OK" in subprocess.run(["/usr/bin/openssl", "verify", *told], capture_output=True, text=True, check=False).stdout
