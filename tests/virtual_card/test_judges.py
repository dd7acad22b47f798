"""Programs that others wrote for PIV cards meet the virtual card over PC/SC."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.cards import PIN, PUK, Cards
from virtual_card.card_file import CardFile
from virtual_card.personalisation import make_card
from virtual_card.reader import Reader

pytestmark = pytest.mark.slow  # a real daemon notices cards at its own pace
KINDS = ["rsa2048", "p256", "p384"]


def told(reader: Reader, *command: str, fails: bool = False) -> str:
    """What the program prints."""
    done = subprocess.run(command, env=reader.environment, capture_output=True, text=True, timeout=60, check=False)
    printed = done.stdout + done.stderr
    assert fails == (done.returncode != 0), printed
    return printed


def test_opensc_knows_what_it_is(reader: Reader, cards: Cards) -> None:
    reader.insert(cards.new())
    assert "Personal Identity Verification Card" in told(reader, "opensc-tool", "-n")


@pytest.mark.parametrize("kind", KINDS)
def test_pkcs11_lists_and_tests_it(reader: Reader, cards: Cards, kind: str) -> None:
    reader.insert(cards.new(kind))
    objects = told(reader, "pkcs11-tool", "-L", "-O", "--login", "--pin", PIN)
    assert "Certificate for PIV Authentication" in objects
    assert "Private Key Object" in objects
    tested = told(reader, "pkcs11-tool", "--login", "--pin", PIN, "-t")
    # its one complaint: PIV cards give no random numbers over this interface
    assert [line for line in tested.splitlines() if "ERR:" in line] == ["  ERR: C_GenerateRandom failed: CKR_FUNCTION_NOT_SUPPORTED (0x54)"]


# OpenSC offers no ECDSA for PIV cards that it does not know by name; yubico-piv-tool signs with curves too
PKCS11 = "pkcs11-tool --login --pin {pin} --sign --id 01 -m SHA256-RSA-PKCS --input-file {message} --output-file {signature}"
YUBICO = "yubico-piv-tool -r Virtual -a verify-pin -P {pin} --sign -s 9a -A {algorithm} -H {digest} -i {message} -o {signature}"


@pytest.mark.parametrize(
    ("kind", "command", "algorithm", "digest"),
    [
        ("rsa2048", PKCS11, "", "SHA256"),
        ("rsa2048", YUBICO, "RSA2048", "SHA256"),
        ("p256", YUBICO, "ECCP256", "SHA256"),
        ("p384", YUBICO, "ECCP384", "SHA384"),
    ],
)
def test_what_they_have_it_sign_openssl_verifies(
    reader: Reader, cards: Cards, tmp_path: Path, kind: str, command: str, algorithm: str, digest: str
) -> None:
    path = cards.new(kind)
    reader.insert(path)
    message, signature, public = tmp_path / "message", tmp_path / "signature", tmp_path / "public.pem"
    message.write_text("message")
    der = x509.load_der_x509_certificate(bytes.fromhex(CardFile(path).memory.slots["9A"].certificate))
    public.write_bytes(der.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    told(reader, *command.format(pin=PIN, message=message, signature=signature, algorithm=algorithm, digest=digest).split())
    assert "Verified OK" in told(reader, "openssl", "dgst", f"-{digest.lower()}", "-verify", str(public), "-signature", str(signature), str(message))


@pytest.mark.parametrize("kind", KINDS)
def test_yubico_reads_its_status(reader: Reader, cards: Cards, kind: str) -> None:
    reader.insert(cards.new(kind))
    status = told(reader, "yubico-piv-tool", "-r", "Virtual", "-a", "status")
    assert {"rsa2048": "RSA2048", "p256": "ECCP256", "p384": "ECCP384"}[kind] in status
    assert "PIN tries left:\t3" in status


def test_yubico_locks_unlocks_and_changes_it(reader: Reader, cards: Cards) -> None:
    reader.insert(cards.new())
    yubico = ["yubico-piv-tool", "-r", "Virtual"]
    for _ in range(3):
        told(reader, *yubico, "-a", "verify-pin", "-P", "000000", fails=True)
    assert "PIN tries left:\t0" in told(reader, *yubico, "-a", "status")
    told(reader, *yubico, "-a", "unblock-pin", "-P", PUK, "-N", "654321")
    told(reader, *yubico, "-a", "change-pin", "-P", "654321", "-N", "111111")
    assert "Successfully verified" in told(reader, *yubico, "-a", "verify-pin", "-P", "111111")


def test_two_slots_and_removal(reader: Reader, cards: Cards) -> None:
    reader.insert(cards.new(), 0)
    reader.insert(cards.new(), 1)
    lines = told(reader, "opensc-tool", "-l").splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [["0", "Yes"], ["1", "Yes"]]


def signed_by_another(public_pem: bytes) -> x509.Certificate:
    key = serialization.load_pem_public_key(public_pem)
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "zhangsan")]), dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key, x509.random_serial_number(), now, now + dt.timedelta(days=1))
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


YUBICO_ADMIN = ["yubico-piv-tool", "-r", "Virtual", "-s", "9a"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("made", ["there", "here"])
def test_yubico_personalises_a_blank_card(reader: Reader, cards: Cards, tmp_path: Path, kind: str, made: str) -> None:
    blank = make_card(tmp_path / "blank.json", {}, PIN, PUK)
    reader.insert(blank)
    pem, public = tmp_path / "card.pem", tmp_path / "public.pem"
    if made == "here":
        algorithm = {"rsa2048": "RSA2048", "p256": "ECCP256", "p384": "ECCP384"}[kind]
        told(reader, *YUBICO_ADMIN, "-a", "generate", "-A", algorithm, "-o", str(public))
        # its own selfsign-certificate fails with OpenSSL 3 before it asks the card for anything
        pem.write_bytes(signed_by_another(public.read_bytes()).public_bytes(serialization.Encoding.PEM))
    else:
        whole = CardFile(cards.new(kind)).memory.slots["9A"]
        certificate = x509.load_der_x509_certificate(bytes.fromhex(whole.certificate))
        pem.write_bytes(whole.key.encode() + certificate.public_bytes(serialization.Encoding.PEM))
        told(reader, *YUBICO_ADMIN, "-a", "import-key", "-i", str(pem))
    told(reader, *YUBICO_ADMIN, "-a", "import-certificate", "-i", str(pem))
    assert "Successfully" in told(reader, *YUBICO_ADMIN, "-a", "verify-pin", "-P", PIN, "-a", "test-signature", "-i", str(pem))
    assert "PIN tries left:\t3" in told(reader, "yubico-piv-tool", "-r", "Virtual", "-a", "status")
    tested = told(reader, "pkcs11-tool", "--login", "--pin", PIN, "-t")
    assert [line for line in tested.splitlines() if "ERR:" in line] == ["  ERR: C_GenerateRandom failed: CKR_FUNCTION_NOT_SUPPORTED (0x54)"]
