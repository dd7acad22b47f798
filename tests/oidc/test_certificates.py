"""Client certificates read, judged and compared (RFC 8705, RFC 9440)."""

import base64
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from hypothesis import example, given
from hypothesis import strategies as st

from idp.errors import BadInput
from idp.oidc import certificates
from idp.oidc.certificates import ClientCertificate
from idp.oidc.registration import Registration, judge
from tests.certificates import CLIENT, DAY, SERVER, Certified, authority, make, name_of
from tests.fakes import START

CA, OTHER_CA = authority(), authority("Other")
LEAF = make(name_of("rp"), CA)
PLAIN = {name: value for name, value in LEAF.jwk().items() if name != "x5c"}
SUBJECT = "CN=rp,O=商务部\\, 外贸司,C=CN"


def shown(certified: Certified, now: datetime = START) -> ClientCertificate:
    found = certificates.read(certified.rfc9440, "rfc9440", now)
    assert found is not None
    return found


def registered(**members: object) -> Registration:
    return judge({"client_id": "rp", "redirect_uris": ["https://rp.example/"], "token_endpoint_auth_method": "tls_client_auth", **members})


# --- the header -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.spec("RFC 9440", "2.1")
def test_both_ways_of_writing_are_read() -> None:
    plain, escaped = shown(LEAF), certificates.read(LEAF.escaped, "pem-escaped", START)
    assert escaped == plain
    assert plain.x5t == certificates.thumbprint(LEAF.der)


@pytest.mark.parametrize("written", ["rfc9440", "pem-escaped"])
@pytest.mark.parametrize(
    "header",
    [
        *("", "(null)", "-", "%[ssl_c_der,base64]", "{http.request.tls.client.certificate_der_base64}", "::", ":AAAA:", ":A:", ":MIIB", "a" * 20_000),
        *("\x00", "密", "%FF%FE", "-----BEGIN CERTIFICATE-----%0AMIIB%0A-----END CERTIFICATE-----%0A"),
        LEAF.rfc9440 + ", " + LEAF.rfc9440,
        LEAF.rfc9440 + ";a=1",
        LEAF.rfc9440[1:-1],
        LEAF.escaped + LEAF.escaped,
        LEAF.escaped + "," + LEAF.escaped,
        LEAF.escaped[:200],
        f":{base64.b64encode(LEAF.der + b'x').decode()}:",
        f":{base64.b64encode(LEAF.der[:-40]).decode()}:",
        quote(LEAF.key_pem.decode(), safe=""),
        quote((LEAF.pem + CA.pem).decode(), safe=""),
    ],
)
def test_anything_else_is_no_certificate(header: str, written: str) -> None:
    assert certificates.read(header, written, START) is None
    assert certificates.read(None, written, START) is None


def test_one_way_is_not_the_other() -> None:
    assert certificates.read(LEAF.rfc9440, "pem-escaped", START) is None
    assert certificates.read(LEAF.escaped, "rfc9440", START) is None


# cryptography warns of serial numbers below 1, and will refuse them one day
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.binary(max_size=300), st.integers(0, len(LEAF.der) - 1))
@example(b"\x80\x00\x00", 15)
def test_no_bytes_raise(junk: bytes, at: int) -> None:
    for der in (junk, LEAF.der[:at] + junk[:3] + LEAF.der[at + 3 :]):
        found = certificates.read(f":{base64.b64encode(der).decode()}:", "rfc9440", START)
        if found is not None:
            for member, value in (("subject_dn", SUBJECT), ("san_dns", "a"), ("san_ip", "10.0.0.1")):
                certificates.named(found, registered(**{f"tls_client_auth_{member}": value}))
            certificates.issued(found, certificates.roots(None), START)


def test_it_counts_to_the_second() -> None:
    leaf = make(name_of("rp"), CA, start=START, end=START + DAY)
    for off, counts in ((-1, False), (0, True), (86400, True), (86401, False)):
        assert (certificates.read(leaf.rfc9440, "rfc9440", START + timedelta(seconds=off)) is not None) is counts


# --- the chain ------------------------------------------------------------------------------------------------------------------------------


def under(tmp_path: Path, certified: Certified, *trusted: Certified) -> bool:
    file = tmp_path / "ca.pem"
    file.write_bytes(b"".join(each.pem for each in trusted))
    return certificates.issued(shown(certified), certificates.roots(file), START)


@pytest.mark.spec("RFC 8705", "2.1")
def test_usual_certificates_of_a_trusted_ca_pass(tmp_path: Path) -> None:
    usual = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    for leaf in (
        LEAF,
        make(name_of("rp"), CA, usage=[CLIENT], ca=False),
        make(name_of("rp"), CA, usage=[SERVER, CLIENT], names=[x509.DNSName("rp.example")], more=[(usual, True)]),
        make(x509.Name([]), CA, names=[x509.UniformResourceIdentifier("urn:x")]),
    ):
        assert under(tmp_path, leaf, CA)
        assert under(tmp_path, leaf, OTHER_CA, CA)
        assert not under(tmp_path, leaf, OTHER_CA)
        assert not certificates.issued(shown(leaf), None, START)


def test_an_intermediate_is_trusted_if_it_stands_in_the_file(tmp_path: Path) -> None:
    between = make(name_of("between"), CA, ca=True)
    leaf = make(name_of("rp"), between)
    assert under(tmp_path, leaf, between)
    assert not under(tmp_path, leaf, CA)


def test_others_do_not(tmp_path: Path) -> None:
    same_name = authority()
    no_signing = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    weak = authority("weak", more=[(no_signing, True)])
    over = authority("over", end=START - timedelta(hours=1))
    no_ca = make(name_of("none"), ca=False)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    assert not under(tmp_path, make(name_of("rp"), same_name), CA)
    assert not under(tmp_path, make(name_of("rp"), CA, usage=[SERVER]), CA)
    assert not under(tmp_path, make(name_of("rp"), CA, ca=True), CA)
    assert not under(tmp_path, CA, CA)
    assert not under(tmp_path, make(name_of("rp"), weak), weak)
    assert not under(tmp_path, make(name_of("rp"), over), over)
    assert not under(tmp_path, make(name_of("rp"), no_ca), no_ca)
    assert not under(tmp_path, make(name_of("rp")), CA)
    assert not under(tmp_path, make(name_of("rp"), CA, more=[(unknown, True)]), CA)
    assert under(tmp_path, make(name_of("rp"), CA, more=[(unknown, False)]), CA)


# --- the name -------------------------------------------------------------------------------------------------------------------------------

ALTERNATIVES = make(
    name_of("rp"),
    CA,
    names=[
        x509.DNSName("rp.example"),
        x509.DNSName("b.example"),
        x509.UniformResourceIdentifier("https://rp.example/a"),
        x509.IPAddress(ip_address("2001:db8::1")),
        x509.RFC822Name("rp@example.com"),
    ],
)


@pytest.mark.spec("RFC 8705", "2.1.2")
@pytest.mark.parametrize(
    ("member", "right", "wrong"),
    [
        (
            "subject_dn",
            (SUBJECT, "cn=rp,o=商务部\\2C 外贸司,c=CN", "2.5.4.3=rp,O=商务部\\, 外贸司,C=CN"),
            ("CN=rp", "C=CN,O=商务部\\, 外贸司,CN=rp", "CN=RP,O=商务部\\, 外贸司,C=CN", "CN=rp+O=商务部\\, 外贸司,C=CN", "OU=a," + SUBJECT),
        ),
        ("san_dns", ("rp.example", "b.example"), ("example", "*.example", "a.rp.example", "rp.example.", "https://rp.example/a")),
        ("san_uri", ("https://rp.example/a",), ("https://rp.example/", "rp.example", "https://RP.example/a")),
        ("san_ip", ("2001:db8::1", "2001:0db8:0:0:0:0:0:1"), ("2001:db8::2", "10.0.0.1")),
        ("san_email", ("rp@example.com",), ("RP@example.com", "example.com")),
    ],
)
def test_the_one_registered_name_is_compared_exactly(member: str, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    for value in right:
        assert certificates.named(shown(ALTERNATIVES), registered(**{f"tls_client_auth_{member}": value})), value
    for value in wrong:
        assert not certificates.named(shown(ALTERNATIVES), registered(**{f"tls_client_auth_{member}": value})), value
    if member != "subject_dn":
        assert not certificates.named(shown(LEAF), registered(**{f"tls_client_auth_{member}": right[0]}))


@pytest.mark.spec("RFC 8705", "2.1.2")
@pytest.mark.parametrize(
    ("members", "about"),
    [
        ({}, "exactly one"),
        ({"tls_client_auth_san_dns": "a", "tls_client_auth_san_uri": "urn:b"}, "exactly one"),
        ({"tls_client_auth_san_dns": "a", "token_endpoint_auth_method": "client_secret_basic"}, "exactly one"),
        ({"tls_client_auth_subject_dn": "rp"}, "RFC 4514"),
        ({"tls_client_auth_subject_dn": "CN=a, O=b"}, "RFC 4514"),
        ({"tls_client_auth_subject_dn": "X=a"}, "RFC 4514"),
        ({"tls_client_auth_subject_dn": "C=CHN"}, "RFC 4514"),
        ({"tls_client_auth_subject_dn": "CN=\\zz"}, "RFC 4514"),
        ({"tls_client_auth_san_ip": "10.0.0"}, "cannot stand"),
        ({"token_endpoint_auth_method": "self_signed_tls_client_auth"}, "x5c"),
        ({"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [PLAIN]}}, "x5c"),
    ],
)
def test_a_registration_names_exactly_one(members: dict[str, object], about: str) -> None:
    with pytest.raises(BadInput, match=about):
        registered(**members)
