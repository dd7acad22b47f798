"""DPoP against the real server: a header that is sent twice, and two processes on one database."""

import base64
import http.client
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.fapi import Holder
from tests.interop.served import SECRET, Platform, free_ports

pytestmark = pytest.mark.slow


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture(scope="module")
def client(platform: Platform) -> str:
    members: dict[str, Any] = {"grant_types": ["client_credentials"], "scope": "profile", "redirect_uris": []}
    platform.add_client("proven", **members, dpop_bound_access_tokens=True)
    return "proven"


def token(port: int, client_id: str, proofs: list[str]) -> tuple[int, dict[str, Any], str | None]:
    """Status, body and DPoP-Nonce of a token request with these DPoP headers, each a line of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = urlencode({"grant_type": "client_credentials"})
    connection.putrequest("POST", "/oauth2/token")
    basic = base64.b64encode(f"{client_id}:{SECRET}".encode()).decode()
    sent = [("Authorization", f"Basic {basic}"), ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(body)))]
    for name, value in [*sent, *(("DPoP", proof) for proof in proofs)]:
        connection.putheader(name, value)
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    try:
        return answer.status, json.loads(answer.read()), answer.headers.get("DPoP-Nonce")
    finally:
        connection.close()


@pytest.mark.spec("RFC 9449", "4.3")
def test_a_header_that_is_sent_twice_is_no_proof(platform: Platform, client: str) -> None:
    holder, url = Holder(WallClock()), f"{platform.issuer}/oauth2/token"
    status, body, nonce = token(platform.port, client, [holder.proof(url, nonce=None)])
    assert (status, body["error"]) == (400, "use_dpop_nonce")
    good = [holder.proof(url, nonce=nonce) for _ in range(2)]
    for proofs in (good, [good[0], "x"], ["x", good[0]], [good[0], ""], ["", good[0]], [good[0], good[0]]):
        status, body, _ = token(platform.port, client, proofs)
        assert (status, body["error"]) == (400, "invalid_dpop_proof")
    status, body, _ = token(platform.port, client, good[:1])
    assert (status, body["token_type"]) == (200, "DPoP")


@pytest.mark.spec("RFC 9449", "8")
def test_a_second_process_knows_nonce_and_jti_of_the_first(platform: Platform, client: str) -> None:
    other = Platform(platform.data, free_ports(1)[0], more={"IDP_ISSUER": platform.issuer})
    holder, url = Holder(WallClock()), f"{platform.issuer}/oauth2/token"
    with other.running():
        _, _, nonce = token(platform.port, client, [holder.proof(url, nonce=None)])
        proof = holder.proof(url, nonce=nonce)
        assert token(other.port, client, [proof])[0] == 200
        status, body, _ = token(platform.port, client, [proof])
        assert (status, body["error"]) == (400, "invalid_dpop_proof")
