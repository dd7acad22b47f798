"""A generated PKI of e-keys, good and bad: each card is named for its fault, and `VERDICTS` says what has to be said of it.

`build()` makes a card anew, with fresh keys; the verdicts stay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha1
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from idp.ekey import der, protocol, sm2
from idp.ekey import ocsp as questions
from idp.ekey.chain import Trust
from idp.ekey.protocol import Algorithm, Token
from idp.ekey.verification import Rules
from tests.fakes import START

NOW, DAY = START, timedelta(days=1)
ORIGIN, NONCE = "https://sso.example.cn", "n" * 44
RESPONDER = "http://ocsp.example.cn/"
POLICY = "1.2.156.112559.1.1"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | sm2.PrivateKey
# signs what is signed anew with SM2; its own signature never counts
_STAND_IN = ec.generate_private_key(ec.SECP256R1())

NEW_KEY: dict[str, Callable[[], PrivateKey]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "weak": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505  # the fault
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "sm2": sm2.PrivateKey.generate,
}


@dataclass(frozen=True)
class Issued:
    """A key and its certificate."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def subject(common_name: str, *more: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in ((NameOID.COUNTRY_NAME, "CN"), *more, (NameOID.COMMON_NAME, common_name))])


def holder(name: str = "0441987654321-beijing", serial: str = "EK1", organisation: str = "0441987654321") -> x509.Name:
    return subject(name, (NameOID.SERIAL_NUMBER, serial), (NameOID.ORGANIZATION_IDENTIFIER, organisation))


@dataclass(frozen=True)
class Plan:
    """What a certificate says; the defaults are a card without fault."""

    subject: x509.Name = field(default_factory=holder)
    kind: str = "ec"
    start: datetime = NOW - DAY
    end: datetime = NOW + 300 * DAY
    ca: bool | None = False
    path_length: int | None = None
    usage: Sequence[str] | None = ("digital_signature",)
    purposes: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    more: Sequence[tuple[x509.ExtensionType, bool]] = ()


AUTHORITY = Plan(subject("根"), ca=True, usage=("key_cert_sign", "crl_sign"), purposes=None, end=NOW + 3000 * DAY)
_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def make(plan: Plan, issuer: Issued | None = None, key: PrivateKey | None = None) -> Issued:
    """A certificate by `issuer`; by itself without one."""
    key = key or NEW_KEY[plan.kind]()
    public = _STAND_IN.public_key() if isinstance(key, sm2.PrivateKey) else key.public_key()
    builder = x509.CertificateBuilder().subject_name(plan.subject).issuer_name(issuer.certificate.subject if issuer else plan.subject)
    builder = builder.public_key(public).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(plan.start).not_valid_after(plan.end)
    for extension, critical in _extensions(plan):
        builder = builder.add_extension(extension, critical)
    signer = issuer.key if issuer else key
    if isinstance(signer, sm2.PrivateKey):
        drawn = builder.sign(_STAND_IN, hashes.SHA256()).public_bytes(Encoding.DER)
        point = key.point if isinstance(key, sm2.PrivateKey) else None
        return Issued(key, x509.load_der_x509_certificate(sm2.resigned_certificate(drawn, point, signer)))
    return Issued(key, builder.sign(signer, hashes.SHA256()))


def _extensions(plan: Plan) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = list(plan.more)
    if plan.ca is not None:
        found.append((x509.BasicConstraints(plan.ca, plan.path_length), True))
    if plan.usage is not None:
        found.append((x509.KeyUsage(**{name: name in plan.usage for name in _USAGES}), True))
    if plan.purposes is not None:
        found.append((x509.ExtendedKeyUsage(plan.purposes), False))
    return found


def revocation_list(issuer: Issued, *revoked: Issued, number: int | None = 7, start: datetime = NOW - DAY, end: datetime = NOW + DAY) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject).last_update(start).next_update(end)
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for each in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number).revocation_date(start)
        builder = builder.add_revoked_certificate(entry.build())
    if isinstance(issuer.key, sm2.PrivateKey):
        return sm2.resigned_list(builder.sign(_STAND_IN, hashes.SHA256()).public_bytes(Encoding.DER), issuer.key)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def answer(
    card: Issued, issuer: Issued, status: str, signer: Issued | None = None, since: datetime = NOW - DAY, until: datetime = NOW + DAY
) -> bytes:
    """An OCSP answer on `card` by `signer` (default: the issuer itself)."""
    name, key = sha1(issuer.certificate.subject.public_bytes()).digest(), sha1(questions._key_bits(issuer.certificate)).digest()  # noqa: S324
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        issuer_name_hash=name,
        issuer_key_hash=key,
        serial_number=card.certificate.serial_number,
        algorithm=hashes.SHA1(),  # noqa: S303
        cert_status=ocsp.OCSPCertStatus[status.upper()],
        this_update=since,
        next_update=until,
        revocation_time=since if status == "revoked" else None,
        revocation_reason=None,
    )
    by = signer or issuer
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, (issuer if isinstance(by.key, sm2.PrivateKey) else by).certificate)
    if signer is not None:
        builder = builder.certificates([signer.certificate])
    assert not isinstance(by.key, sm2.PrivateKey)
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER)


def proof(card: Issued, origin: str = ORIGIN, nonce: str = NONCE) -> Token:
    """What the card answers."""
    key, algorithm = card.key, ALGORITHMS.get(_kind(card.key), Algorithm.ES256)
    return Token(card.der, algorithm, _sign(key, protocol.signed_bytes(algorithm, origin, nonce), algorithm), "test/1")


ALGORITHMS = {"sm2": Algorithm.SM2, "rsa": Algorithm.RS256, "secp384r1": Algorithm.ES384}


def _kind(key: PrivateKey) -> str:
    if isinstance(key, sm2.PrivateKey):
        return "sm2"
    return "rsa" if isinstance(key, rsa.RSAPrivateKey) else key.curve.name


def _sign(key: PrivateKey, content: bytes, algorithm: Algorithm) -> bytes:
    if isinstance(key, sm2.PrivateKey):
        return key.sign_raw(content)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA384() if algorithm is Algorithm.ES384 else hashes.SHA256())))
    half = (key.curve.key_size + 7) // 8
    return r.to_bytes(half, "big") + s.to_bytes(half, "big")


class Words:
    """A Source that holds what a test gives it."""

    def __init__(self, *lists: bytes, answer: bytes | None = None) -> None:
        self._lists, self._answer, self.asked = lists, answer, 0

    def lists(self, issuer: x509.Certificate) -> Sequence[bytes]:
        self.asked += 1
        return self._lists

    def answer(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bytes | None:
        return self._answer


@dataclass(frozen=True)
class Card:
    """One card with all that it is judged by."""

    proof: Token
    trust: Trust
    source: Words
    issued: Issued
    signer: PrivateKey
    rule: str = "CN"
    policy: str = ""

    @property
    def rules(self) -> Rules:
        return Rules(ORIGIN, self.trust, self.rule, self.policy)


class Pki:
    """A root of one kind, a list of it, and cards."""

    def __init__(self, kind: str = "ec") -> None:
        self.kind, self.root = kind, make(replace(AUTHORITY, kind=kind))
        self.other = make(replace(AUTHORITY, kind=kind))

    def card(self, *, source: Words | None = None, issuer: Issued | None = None, between: Sequence[Issued] = (), **plan: Any) -> Card:
        rule, policy = plan.pop("rule", "CN"), plan.pop("policy", "")
        made = make(Plan(**{"kind": self.kind, **plan}), issuer or self.root)
        trust = Trust((self.root.certificate,), tuple(each.certificate for each in between))
        return Card(proof(made), trust, source or Words(revocation_list(self.root)), made, (issuer or self.root).key, rule, policy)

    def listed(self, *lists: bytes, **plan: Any) -> Card:
        return self.card(source=Words(*lists), **plan)


def _with(card: Card, **changes: Any) -> Card:
    return replace(card, **changes)


def _of(card: Card, change: Callable[[Card], Card]) -> Card:
    return change(card)


def _self_signed(pki: Pki) -> Card:
    made = make(Plan())
    return _with(pki.card(), issued=made, proof=proof(made))


def _issued_by_a_card(pki: Pki) -> Card:
    card = pki.card().issued
    return pki.card(issuer=card, between=[card])


def _flipped(data: bytes, at: int = -5) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def _revoked(pki: Pki) -> Card:
    card = pki.card()
    return _with(card, source=Words(revocation_list(pki.root, card.issued)))


def _answered(pki: Pki, status: str, *lists: bytes, signer: Issued | None = None, **times: datetime) -> Card:
    card = pki.card()
    return _with(card, source=Words(*lists, answer=answer(card.issued, pki.root, status, signer, **times)))


def _tampered(pki: Pki, what: str) -> Card:
    card = pki.card()
    if what == "certificate":
        return _with(card, proof=replace(card.proof, certificate=_flipped(card.proof.certificate)))
    if what == "signature":
        return _with(card, proof=replace(card.proof, signature=_flipped(card.proof.signature)))
    return _with(card, source=Words(_flipped(revocation_list(pki.root))))


def _delegate(pki: Pki, *purposes: x509.ObjectIdentifier, check: bool = False, issuer: Issued | None = None) -> Issued:
    more = () if check else ((x509.OCSPNoCheck(), False),)
    return make(Plan(subject("responder"), purposes=purposes, more=more), issuer or pki.root)


def _between(pki: Pki, revoked: bool = False, **plan: Any) -> Card:
    made = make(replace(AUTHORITY, subject=subject("发证机构"), kind=pki.kind, **plan), pki.root)
    lists = (revocation_list(pki.root, *([made] if revoked else [])), revocation_list(made))
    return pki.card(issuer=made, between=[made], source=Words(*lists))


def _upn(value: str) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName([x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), der.tlv(0x0C, value.encode()))]), False


CLIENT, SERVER, SIGNING = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING
_POLICY = (x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(POLICY), None)]), False)
RESPONDS = (
    x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(RESPONDER))]),
    False,
)

# name of the card → what it is, and the reason for which it is refused ("" = it counts)
CARDS: dict[str, tuple[str, str, Callable[[Pki], Card]]] = {
    "good_rsa": ("", "rsa", lambda p: p.card()),
    "good_ec": ("", "ec", lambda p: p.card()),
    "good_p384": ("", "p384", lambda p: p.card()),
    "good_sm2": ("", "sm2", lambda p: p.card()),
    "good_rsa_card_of_an_sm2_root": ("", "sm2", lambda p: p.card(kind="rsa")),
    "good_under_a_ca_between": ("", "ec", lambda p: _between(p)),
    "good_under_an_sm2_ca_between": ("", "sm2", lambda p: _between(p)),
    "good_upn": ("", "ec", lambda p: p.card(rule="UPN", more=[_upn("0441987654321-beijing")])),
    "good_name_by_oid": ("", "ec", lambda p: p.card(rule="2.5.4.5", subject=holder(serial="EK1"))),
    "good_policy": ("", "ec", lambda p: p.card(policy=POLICY, more=[_POLICY])),
    # 1
    "no_certificate": ("malformed", "ec", lambda p: _with(p.card(), proof=replace(p.card().proof, certificate=b"0"))),
    "bytes_behind_the_certificate": (
        "malformed",
        "ec",
        lambda p: _of(p.card(), lambda c: _with(c, proof=replace(c.proof, certificate=c.issued.der + b"0"))),
    ),
    "huge": ("malformed", "ec", lambda p: _with(p.card(), proof=replace(p.card().proof, certificate=b"0" * 9000))),
    # 2
    "expired": ("expired", "ec", lambda p: p.card(end=NOW - timedelta(seconds=1))),
    "not_yet_valid": ("not_yet_valid", "ec", lambda p: p.card(start=NOW + timedelta(seconds=1))),
    "expired_sm2": ("expired", "sm2", lambda p: p.card(end=NOW - DAY / 24)),
    "unknown_issuer": ("unknown_issuer", "ec", lambda p: p.card(issuer=make(replace(AUTHORITY, subject=subject("别处"))))),
    "root_of_the_same_name": ("path", "ec", lambda p: p.card(issuer=p.other)),
    "self_signed": ("unknown_issuer", "ec", lambda p: _self_signed(p)),
    "no_roots": ("unknown_issuer", "ec", lambda p: _with(p.card(), trust=Trust(()))),
    "sm2_tampered_certificate": ("path", "sm2", lambda p: _tampered(p, "certificate")),
    "issued_by_a_card": ("unknown_issuer", "ec", lambda p: _issued_by_a_card(p)),
    "too_long_a_path": ("path", "ec", lambda p: _path_too_long(p)),
    "ca_between_expired": ("issuer_out_of_time", "ec", lambda p: _between(p, end=NOW - timedelta(seconds=1))),
    "ca_between_weak": ("issuer_weak", "weak", lambda p: _between(p)),
    "ca_between_for_servers": ("issuer_no_ca", "ec", lambda p: _between(p, purposes=[SERVER])),
    "critical_extension": ("path", "ec", lambda p: p.card(more=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)])),
    # 3
    "revoked": ("revoked", "ec", lambda p: _revoked(p)),
    "revoked_sm2": ("revoked", "sm2", lambda p: _revoked(p)),
    "ca_between_revoked": ("issuer_revoked", "ec", lambda p: _between(p, revoked=True)),
    "crl_missing": ("crl_missing", "ec", lambda p: p.listed()),
    "crl_stale": ("crl_stale", "ec", lambda p: p.listed(revocation_list(p.root, end=NOW - timedelta(seconds=1)))),
    "crl_of_tomorrow": ("crl_early", "ec", lambda p: p.listed(revocation_list(p.root, start=NOW + DAY / 2))),
    "crl_by_another_signer": ("crl_signature", "ec", lambda p: p.listed(revocation_list(p.other))),
    "crl_of_another_ca": ("crl_unfit", "ec", lambda p: p.listed(revocation_list(make(replace(AUTHORITY, subject=subject("别处")))))),
    "crl_by_a_card": ("crl_unfit", "ec", lambda p: p.listed(revocation_list(p.card().issued))),
    "crl_garbage": ("crl_unfit", "ec", lambda p: p.listed(b"garbage")),
    "crl_sm2_tampered": ("crl_signature", "sm2", lambda p: _tampered(p, "list")),
    "ocsp_good": ("", "ec", lambda p: _answered(p, "good")),
    "ocsp_good_rsa": ("", "rsa", lambda p: _answered(p, "good")),
    "ocsp_by_a_delegate": ("", "ec", lambda p: _answered(p, "good", signer=_delegate(p, SIGNING))),
    "ocsp_revoked": ("revoked", "ec", lambda p: _answered(p, "revoked", revocation_list(p.root))),
    "ocsp_unknown": ("ocsp_unknown", "ec", lambda p: _answered(p, "unknown", revocation_list(p.root))),
    "ocsp_stale": ("crl_missing", "ec", lambda p: _answered(p, "good", since=NOW - 2 * DAY, until=NOW - DAY)),
    "ocsp_of_tomorrow": ("crl_missing", "ec", lambda p: _answered(p, "good", since=NOW + DAY, until=NOW + 2 * DAY)),
    "ocsp_by_another_signer": ("crl_missing", "ec", lambda p: _answered(p, "good", signer=p.other)),
    "ocsp_by_a_card": ("crl_missing", "ec", lambda p: _answered(p, "good", signer=_delegate(p, CLIENT))),
    "ocsp_by_an_unchecked_delegate": ("crl_missing", "ec", lambda p: _answered(p, "good", signer=_delegate(p, SIGNING, check=True))),
    "ocsp_by_a_foreign_delegate": ("crl_missing", "ec", lambda p: _answered(p, "good", signer=_delegate(p, SIGNING, issuer=p.other))),
    "ocsp_about_another_card": ("crl_missing", "ec", lambda p: _with(p.card(), source=_answered(p, "good").source)),
    "ocsp_good_but_listed": ("revoked", "ec", lambda p: _good_but_listed(p)),
    "ocsp_garbage": ("crl_missing", "ec", lambda p: _with(p.card(), source=Words(answer=b"garbage"))),
    # 4
    "ca_as_leaf": ("ca_as_leaf", "ec", lambda p: p.card(ca=True, usage=("digital_signature", "key_cert_sign"))),
    "may_sign_certificates": ("ca_as_leaf", "ec", lambda p: p.card(ca=None, usage=("digital_signature", "key_cert_sign"))),
    "wrong_usage": ("key_usage", "ec", lambda p: p.card(usage=("key_agreement",))),
    "no_usage": ("key_usage", "ec", lambda p: p.card(usage=None)),
    "wrong_eku": ("extended_key_usage", "ec", lambda p: p.card(purposes=[SERVER])),
    "no_eku": ("extended_key_usage", "ec", lambda p: p.card(purposes=None)),
    "other_policy": ("policy", "ec", lambda p: p.card(policy=POLICY + ".1", more=[_POLICY])),
    "no_policy": ("policy", "ec", lambda p: p.card(policy=POLICY)),
    "weak_key": ("weak_key", "ec", lambda p: p.card(kind="weak")),
    "odd_curve": ("weak_key", "ec", lambda p: p.card(kind="k1")),
    "sha1": ("weak_digest", "rsa", lambda p: _with_sha1(p)),
    # 5
    "other_origin": ("signature", "ec", lambda p: _of(p.card(), lambda c: _with(c, proof=proof(c.issued, origin="https://evil.example")))),
    "other_nonce": ("signature", "ec", lambda p: _of(p.card(), lambda c: _with(c, proof=proof(c.issued, nonce="m" * 44)))),
    "tampered_signature": ("signature", "ec", lambda p: _tampered(p, "signature")),
    "tampered_signature_rsa": ("signature", "rsa", lambda p: _tampered(p, "signature")),
    "sm2_tampered_signature": ("signature", "sm2", lambda p: _tampered(p, "signature")),
    "bytes_behind_the_signature": (
        "signature",
        "ec",
        lambda p: _of(p.card(), lambda c: _with(c, proof=replace(c.proof, signature=c.proof.signature + b"0"))),
    ),
    "bytes_behind_the_signature_sm2": (
        "signature",
        "sm2",
        lambda p: _of(p.card(), lambda c: _with(c, proof=replace(c.proof, signature=c.proof.signature + b"0"))),
    ),
    "bytes_behind_the_signature_rsa": (
        "signature",
        "rsa",
        lambda p: _of(p.card(), lambda c: _with(c, proof=replace(c.proof, signature=c.proof.signature + b"0"))),
    ),
    "empty_signature": ("signature", "ec", lambda p: _of(p.card(), lambda c: _with(c, proof=replace(c.proof, signature=b"")))),
    "zero_signature": ("signature", "ec", lambda p: _of(p.card(), lambda c: _with(c, proof=replace(c.proof, signature=bytes(64))))),
    "zero_signature_sm2": ("signature", "sm2", lambda p: _of(p.card(), lambda c: _with(c, proof=replace(c.proof, signature=bytes(64))))),
    "algorithm_of_another_key": ("algorithm", "ec", lambda p: _of(p.card(), lambda c: _with(c, proof=replace(c.proof, algorithm=Algorithm.RS256)))),
    "sm2_as_es256": ("algorithm", "sm2", lambda p: _of(p.card(), lambda c: _with(c, proof=replace(c.proof, algorithm=Algorithm.ES256)))),
    "curve_that_no_token_names": ("algorithm", "ec", lambda p: p.card(kind="p521")),
    # 6
    "no_name": ("name", "ec", lambda p: p.card(subject=x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN")]))),
    "two_names": ("name", "ec", lambda p: p.card(subject=subject("a", (NameOID.COMMON_NAME, "b")))),
    "odd_name": ("name", "ec", lambda p: p.card(subject=holder("<b>x</b>"))),
    "full_width_name": ("name", "ec", lambda p: p.card(subject=holder("０441987654321-beijing"))),
    "cyrillic_name": ("name", "ec", lambda p: p.card(subject=holder("0441987654321-bеijing"))),
    "no_upn": ("name", "ec", lambda p: p.card(rule="UPN")),
    "odd_serial": ("serial", "ec", lambda p: p.card(subject=holder(serial="EK 1/x"))),
    "odd_organisation": ("serial", "ec", lambda p: p.card(subject=holder(organisation="ACME"))),
}
VERDICTS = {name: verdict for name, (verdict, _, _) in CARDS.items()}


def build(name: str) -> Card:
    """A card of this name, with fresh keys."""
    _, kind, make_card = CARDS[name]
    return make_card(Pki(kind))


# sha1WithRSAEncryption (RFC 8017 A.2.4), and what stands before the digest in the padding (§9.2)
_SHA1_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101050500")
_SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")


def _with_sha1(pki: Pki) -> Card:
    """The library signs nothing with SHA-1 any more, so the signature is made by hand."""
    card, key = pki.card(), pki.root.key
    assert isinstance(key, rsa.RSAPrivateKey)
    fields = der.parts(card.issued.certificate.tbs_certificate_bytes)
    fields[2] = _SHA1_ALGORITHM
    content, numbers = der.tlv(0x30, *fields), key.private_numbers()
    padded = (b"\0\1" + b"\xff" * (256 - 3 - 35) + b"\0" + _SHA1_INFO + sha1(content).digest()).hex()  # noqa: S324
    signature = pow(int(padded, 16), numbers.d, numbers.public_numbers.n).to_bytes(256, "big")
    made = der.tlv(0x30, content, _SHA1_ALGORITHM, der.tlv(0x03, b"\0", signature))
    return _with(card, proof=replace(card.proof, certificate=made))


def _path_too_long(pki: Pki) -> Card:
    first = make(replace(AUTHORITY, subject=subject("甲"), path_length=0), pki.root)
    second = make(replace(AUTHORITY, subject=subject("乙")), first)
    return pki.card(issuer=second, between=[first, second])


def _good_but_listed(pki: Pki) -> Card:
    card = pki.card()
    return _with(card, source=Words(revocation_list(pki.root, card.issued), answer=answer(card.issued, pki.root, "good")))


def signed_again(card: Card, content: bytes) -> bytes:
    """A certificate of whatever content, signed by the CA of `card`."""
    key, algorithm = card.signer, der.parts(card.issued.der)[1]
    if isinstance(key, sm2.PrivateKey):
        return sm2.signed(content, key)
    if isinstance(key, rsa.RSAPrivateKey):
        made = key.sign(content, padding.PKCS1v15(), hashes.SHA256())
    else:
        made = key.sign(content, ec.ECDSA(hashes.SHA256()))
    return der.tlv(0x30, content, algorithm, der.tlv(0x03, b"\0", made))
