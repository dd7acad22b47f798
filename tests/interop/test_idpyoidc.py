"""idpyoidc: finds the platform, registers itself by leave, signs a person in, refreshes, signs out."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.driven import Driven, Failed, driven
from tests.interop.served import NAME, ROOT, Platform
from tests.interop.visitor import Visitor

pytestmark = pytest.mark.slow

HOME = "https://rp.example"
CALLBACK, AFTERWARDS = f"{HOME}/callback", f"{HOME}/bye"


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Driven]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    with driven([sys.executable, "-m", "tests.interop.idpyoidc_driver"], environment) as running:
        yield running


def registered(platform: Platform, party: Driven, *, token: str | None = None, **members: Any) -> dict[str, Any]:
    """What it sent and what it was told, by a fresh initial access token or the one that is given."""
    token = token or json.loads(platform.idp("client", "token", "--uses", "1", "--json"))["initial_access_token"]
    metadata = {
        "client_name": "idpyoidc",
        "client_uri": HOME,
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [AFTERWARDS],
        "scope": "openid profile email",
        "token_endpoint_auth_method": "client_secret_basic",
        **members,
    }
    found: dict[str, Any] = party.ask("set_up", issuer=platform.issuer, token=token, metadata=metadata)
    return found


@pytest.mark.spec("OIDC Discovery", "4")
@pytest.mark.spec("OIDC Registration", "3.2")
@pytest.mark.spec("RFC 7591", "3.2.1")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_it_registers_itself_and_signs_in(platform: Platform, party: Driven, visitor: Visitor, method: str) -> None:
    # it speaks more flows than are offered, and is content with what it is told
    flows = ["code", "id_token", "code id_token"]
    found = registered(platform, party, response_types=flows, token_endpoint_auth_method=method)
    sent, told = found["sent"], found["registered"]
    assert sent["response_types"] == flows
    assert "implicit" in sent["grant_types"]
    assert (told["response_types"], sorted(told["grant_types"])) == (["code"], ["authorization_code", "refresh_token"])
    secret = {"client_secret", "client_secret_expires_at"}
    assert party.ask("read_registration") == {name: value for name, value in told.items() if name not in secret} | {"scope": "openid profile email"}

    url = party.ask("begin", scope=["openid", "profile"])
    assert "code_challenge_method=S256" in url
    arrived = visitor.go(url, until=CALLBACK)
    assert any(seen.endswith("/consent") for seen in visitor.seen), "it is a stranger"
    answer = party.ask("finalize", url=arrived.url)
    sub = answer["id_token"]["sub"]
    assert answer["id_token"]["iss"] == platform.issuer
    assert (answer["userinfo"]["sub"], answer["userinfo"]["preferred_username"]) == (sub, NAME)

    fresh = party.ask("refresh")
    assert fresh["access_token"]
    assert party.ask("userinfo")["sub"] == sub


@pytest.mark.spec("OIDC RP-Initiated Logout", "2")
def test_sign_out_comes_back(platform: Platform, party: Driven, visitor: Visitor) -> None:
    registered(platform, party)
    party.ask("finalize", url=visitor.go(party.ask("begin"), until=CALLBACK).url)
    assert visitor.go(party.ask("logout", back_to=AFTERWARDS), until=AFTERWARDS).url.startswith(AFTERWARDS)
    refused = visitor.go(party.ask("begin", prompt="none"), until=CALLBACK)
    with pytest.raises(Failed, match="login_required"):
        party.ask("finalize", url=refused.url)


@pytest.mark.spec("OIDC Core", "5.3.2")
@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_signed_answers(platform: Platform, party: Driven, visitor: Visitor, alg: str) -> None:
    told = registered(platform, party, id_token_signed_response_alg=alg, userinfo_signed_response_alg=alg)["registered"]
    answer = party.ask("finalize", url=visitor.go(party.ask("begin", scope=["openid", "profile"]), until=CALLBACK).url)
    assert (answer["userinfo"]["preferred_username"], answer["userinfo"]["aud"]) == (NAME, told["client_id"])


def test_it_is_told_why_it_may_not_register(platform: Platform, party: Driven) -> None:
    with pytest.raises(Failed, match="invalid_token"):
        registered(platform, party, token="x")
    with pytest.raises(Failed, match="invalid_client_metadata"):
        registered(platform, party, response_types=["id_token"])
