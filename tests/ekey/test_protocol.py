"""The token's format, without cards."""

import base64
import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.ekey.protocol import Algorithm, Fault, Token, parse, signed_bytes

CERTIFICATE = b"\x30\x82\x01\x2c" + b"\1" * 300
TOKEN = Token(CERTIFICATE, Algorithm.ES256, b"\2" * 64, "agent/1")


def changed(**members: Any) -> str:
    return json.dumps(json.loads(TOKEN.to_json()) | members)


def test_a_token_comes_back_as_it_was() -> None:
    assert parse(TOKEN.to_json()) == TOKEN
    assert json.loads(TOKEN.to_json())["format"] == "web-eid:1.0"


def test_origin_and_nonce_are_hashed_apart() -> None:
    expected = hashlib.sha384(b"https://idp.test").digest() + hashlib.sha384(b"nonce").digest()
    assert signed_bytes(Algorithm.ES384, "https://idp.test", "nonce") == expected
    assert len(signed_bytes(Algorithm.SM2, "https://idp.test", "nonce")) == 64


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.NO_JSON),
        ("[" * 10_000, Fault.NO_JSON),
        (TOKEN.to_json()[:-1] + ', "format": "web-eid:1.0"}', Fault.NO_JSON),
        ("[]", Fault.MEMBERS),
        (changed(pin="123456"), Fault.MEMBERS),
        (changed(signature=1), Fault.MEMBERS),
        (changed(format="web-eid:1.1"), Fault.FORMAT),
        (changed(algorithm="none"), Fault.ALGORITHM),
        (changed(algorithm="HS256"), Fault.ALGORITHM),
        (changed(signature="_w=="), Fault.BASE64),
        (changed(signature="/x=="), Fault.BASE64),
        (changed(signature="/w==\n"), Fault.BASE64),
        (changed(signature="é"), Fault.BASE64),
        (changed(unverifiedCertificate=base64.b64encode(CERTIFICATE + b"\0").decode()), Fault.CERTIFICATE),
        (changed(unverifiedCertificate=base64.b64encode(CERTIFICATE * 2).decode()), Fault.CERTIFICATE),
        (changed(unverifiedCertificate=""), Fault.CERTIFICATE),
        (changed(signature=base64.b64encode(b"\2" * 65).decode()), Fault.SIGNATURE),
        (changed(algorithm="ES384"), Fault.SIGNATURE),
        (changed(appVersion=""), Fault.VERSION),
        (changed(appVersion="a\nb"), Fault.VERSION),
        (changed(appVersion="a" * 201), Fault.VERSION),
        (" " * 17_000, Fault.TOO_LARGE),
    ],
)
def test_everything_else_is_a_named_fault(text: str, fault: Fault) -> None:
    assert parse(text) is fault


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(json.dumps))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert isinstance(parse(text), Fault)


def test_the_format_needs_the_standard_library_only() -> None:
    code = "import sys, idp.ekey.protocol; print({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'idp', '__main__'})"
    printed = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=".").stdout
    assert printed.strip() == "set()"
