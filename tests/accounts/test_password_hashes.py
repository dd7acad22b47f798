import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passlib.hash import bcrypt

from idp.accounts import password_hashes
from idp.accounts.password_hashes import fits, truncates, verify

KNOWN = {
    "md5-hex-upper": ("gb18030", "70FFA2CB58016901F0772E7596A0200D", "Export2018pass"),
    "sha1-base64": ("utf-8", "MZoOKdazbESvPOQq6cy1npx/ceQ=", "import-old-8"),
    "salted-md5": ("gb18030", "000018$f9b0ad77c6abed6a0b8c0b50f981ce18", "Bcnjbajrj93"),
    "bcrypt": ("utf-8", "$2b$06$E2O6vH3ZpG1GpPCnwd0zx.EQUex7R3djD5SnBlqZrlpZGcT7hS7yO", "Dual-Use-Control-9"),
    "pbkdf2-sha256": ("utf-8", "$pbkdf2-sha256$5000$JsSY815L6f3/v/f.fy.lNA$VDWTlP5gapf5uaz4sK9RuW/g9u/8qxUCRNRouWOEb3k", "123456"),
    "oracle-11g": ("utf-8", "S:0285DD3490515EF907E4A07E99FA6E5A45BB1A62D8086A9C18FDDC89B206", "Ksn5zfjjw65"),
    "ssha": ("utf-8", "{SSHA}iAYVpUHSM6f6i4iS0Xa3B4JT9PD7f6+V", "Hegr3zn5q51"),
    "md5-crypt": ("utf-8", "$1$QrITjncf$kJCAJp8/6ZWazXbOkIOkS1", "外贸Licence许可"),
}
SCHEMES = sorted(password_hashes.SCHEMES)


@pytest.mark.requirement("R10")
@pytest.mark.requirement("R23")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_old_password_fits_and_nothing_near_it_does(scheme: str) -> None:
    encoding, stored, password = KNOWN[scheme]
    assert fits(scheme, stored)
    assert verify(scheme, encoding, stored, password)
    for wrong in (password + " ", " " + password, password[:-1], password.swapcase() + "x", "", password + "\0", "\0"):
        assert not verify(scheme, encoding, stored, wrong)


@pytest.mark.requirement("D18")
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "typed", ["\ud800", "a\udfffb", "😀" * 128, "€" * 128, "外" * 128, "\x7f\x80\xff", "\n\r\t", "é", "𠮷" * 128, "~" * 128, "\uffff\U0010ffff"]
)
@pytest.mark.parametrize("encoding", password_hashes.ENCODINGS)
def test_nothing_that_can_be_typed_raises(scheme: str, typed: str, encoding: str) -> None:
    assert not verify(scheme, encoding, KNOWN[scheme][1], typed)
    truncates(scheme, encoding, typed)


@pytest.mark.requirement("D18")
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SCHEMES), st.sampled_from(password_hashes.ENCODINGS), st.text(max_size=128))
def test_no_text_up_to_128_characters_raises(scheme: str, encoding: str, typed: str) -> None:
    assert not verify(scheme, encoding, KNOWN[scheme][1], typed)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_fits_can_be_verified(data: st.DataObject) -> None:
    """No stored text that the importer lets in may raise at sign-in; costs are left out, they only take time."""
    scheme = data.draw(st.sampled_from([name for name in SCHEMES if name not in ("bcrypt", "pbkdf2-sha256")]))
    stored = data.draw(st.from_regex(password_hashes.SCHEMES[scheme].form, fullmatch=True))
    if fits(scheme, stored):
        assert not verify(scheme, "utf-8", stored, "not the password")


@settings(max_examples=15, deadline=None)
@given(st.from_regex(r"[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]", fullmatch=True), st.sampled_from("aby"))
def test_whatever_fits_as_bcrypt_can_be_verified(rest: str, minor: str) -> None:
    stored = f"$2{minor}$04${rest}"
    assert fits("bcrypt", stored)
    assert not verify("bcrypt", "utf-8", stored, "not the password")


@settings(max_examples=40, deadline=None)
@given(st.from_regex(r"(?:[./A-Za-z0-9]{4}){0,32}(?:[./A-Za-z0-9]{2,3})?\$[./A-Za-z0-9]{43}", fullmatch=True))
def test_whatever_fits_as_pbkdf2_can_be_verified(rest: str) -> None:
    stored = f"$pbkdf2-sha256$1${rest}"
    assert fits("pbkdf2-sha256", stored)
    assert not verify("pbkdf2-sha256", "utf-8", stored, "not the password")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_another_schemes_hash_does_not_fit(scheme: str) -> None:
    others = [stored for name, (_, stored, _) in KNOWN.items() if name != scheme]
    assert not any(fits(scheme, stored) for stored in others)
    own = KNOWN[scheme][1]
    assert not any(fits(scheme, stored) for stored in ("", "XYZ", own[:-1], own + "\n", own + "A" * 300, " " + own))


@pytest.mark.parametrize(
    ("scheme", "stored"),
    [
        ("md5-hex-upper", "70ffa2cb58016901f0772e7596a0200d"),
        ("bcrypt", "$2b$31$E2O6vH3ZpG1GpPCnwd0zx.EQUex7R3djD5SnBlqZrlpZGcT7hS7yO"),
        ("bcrypt", "$2b$06$tooshort"),
        ("pbkdf2-sha256", "$pbkdf2-sha256$9999999$JsSY815L6f3/v/f.fy.lNA$VDWTlP5gapf5uaz4sK9RuW/g9u/8qxUCRNRouWOEb3k"),
    ],
)
def test_a_hash_that_would_cost_too_much_or_is_cut_does_not_fit(scheme: str, stored: str) -> None:
    assert not fits(scheme, stored)


@pytest.mark.requirement("D8")
def test_the_mapping_says_which_bytes_were_hashed() -> None:
    stored = hashlib.md5("许可".encode("gb18030"), usedforsecurity=False).hexdigest().upper()
    assert verify("md5-hex-upper", "gb18030", stored, "许可")
    assert not verify("md5-hex-upper", "utf-8", stored, "许可")


@pytest.mark.requirement("D18")
def test_bcrypt_compares_72_bytes_and_says_so() -> None:
    password = "长密码" * 9  # 81 bytes
    stored = bcrypt.using(rounds=4).hash(password.encode()[:72])
    assert verify("bcrypt", "utf-8", stored, password)
    assert verify("bcrypt", "utf-8", stored, password + "anything")
    assert not verify("bcrypt", "utf-8", stored, password[:23])
    assert truncates("bcrypt", "utf-8", password)
    assert not truncates("bcrypt", "utf-8", password[:24])
    assert not truncates("bcrypt", "utf-8", password + "\0")
    assert not truncates("md5-crypt", "utf-8", password)
