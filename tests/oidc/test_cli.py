"""`idp init`, `idp client …`, `idp keys …`: how administrators meet the provider."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskCliRunner

from idp.cli import cli
from idp.db import session
from idp.errors import BadInput
from idp.oidc.models import ClientRecord
from idp.oidc.registration import judge
from tests.oidc.test_client_authentication import KEY
from tests.relying_party import ISSUER, SECRET

TOML = """
client_id = "export-system"
client_name = "出口许可证"
"client_name#en" = "Export licences"
system = "export"
first_party = true
redirect_uris = ["http://127.0.0.1:8001/callback"]
initiate_login_uri = "http://127.0.0.1:8001/login"
scope = "openid profile licence:export"
"""


@pytest.fixture
def run(platform: Flask) -> Any:
    runner: FlaskCliRunner = platform.test_cli_runner()

    def _run(*arguments: str | Path, stdin: str | None = None) -> Result:
        return runner.invoke(cli, [str(argument) for argument in arguments], input=stdin, standalone_mode=False)

    return _run


def written(folder: Path, text: str, name: str = "client.toml", mode: int = 0o600) -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    file.chmod(mode)
    return file


def secrets_of(platform: Flask, client_id: str) -> list[dict[str, Any]]:
    with platform.app_context():
        return session.get_one(ClientRecord, client_id).secrets


def test_apply_adds_then_leaves_alone_then_updates(run: Any, platform: Flask, tmp_path: Path) -> None:
    file = written(tmp_path, TOML)
    added = json.loads(run("client", "apply", file, "--json").output)[0]
    assert (added["client_id"], added["change"]) == ("export-system", "added")
    assert len(added["client_secret"]) >= 43
    assert json.loads(run("client", "apply", file, "--json").output) == [{"client_id": "export-system", "change": "unchanged"}]
    written(tmp_path, TOML + 'contacts = ["a@example.cn"]')
    assert json.loads(run("client", "apply", file, "--json").output) == [{"client_id": "export-system", "change": "updated"}]
    shown = json.loads(run("client", "show", "export-system", "--json").output)
    assert (shown["version"], shown["secrets"], shown["contacts"]) == (2, 1, ["a@example.cn"])
    assert shown["client_name#en"] == "Export licences"
    assert added["client_secret"] not in json.dumps(shown)
    assert added["client_secret"] not in json.dumps(secrets_of(platform, "export-system"))


def test_apply_takes_all_files_or_none(run: Any, platform: Flask, tmp_path: Path) -> None:
    good, bad = written(tmp_path, TOML), written(tmp_path, TOML.replace('"export"', '"no_such"').replace("export-system", "x"), "bad.toml")
    result = run("client", "apply", good, bad)
    assert isinstance(result.exception, BadInput)
    assert (result.exception.file, result.exception.field) == (str(bad), "system")
    with platform.app_context():
        assert session.query(ClientRecord).count() == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"redirect_uris": ["http://rp.example/cb"]}, "redirect_uris"),
        ({"redirect_uris": []}, None),
        ({"redirect_uris": "https://rp.example/cb"}, "redirect_uris"),
        ({"post_logout_redirect_uris": ["javascript:x"]}, "post_logout_redirect_uris"),
        ({"client_id": "a b"}, "client_id"),
        ({"client_id": "x" * 101}, "client_id"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg"),
        ({"id_token_signed_response_alg": "HS256"}, "id_token_signed_response_alg"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, None),
        ({"token_endpoint_auth_method": "none", "require_pkce": False}, None),
        ({"response_types": ["token"]}, "response_types.0"),
        ({"grant_types": ["password"]}, "grant_types.0"),
        ({"scope": "openid root"}, "scope"),
        ({"scope": ""}, "scope"),
        ({"require_acr": "gold"}, "require_acr"),
        ({"first_party": "yes"}, "first_party"),
        ({"client_name": "a\u202eb"}, "client_name"),
        ({"form_action_origins": ["https://rp.example/x"]}, "form_action_origins"),
        ({"client_secrets": "x"}, "client_secrets"),
        ({"jwks": {"keys": []}}, "jwks"),
        ({"jwks": {"keys": [KEY.as_dict(private=True)]}}, "jwks"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "jwks"),
        ({"jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}}, "jwks"),
        ({"jwks": {"keys": [KEY.as_dict(private=False)] * 2}}, "jwks"),
        ({"jwks": {"keys": [KEY.as_dict(private=False)] * 1000}}, "jwks"),
        ({"jwks": {"keys": [[]]}}, "jwks"),
    ],
)
def test_wrong_metadata_names_the_member(change: dict[str, Any], field: str | None) -> None:
    with pytest.raises(BadInput) as caught:
        judge({"client_id": "rp", "redirect_uris": ["https://rp.example/cb"], **change}, "rp.toml")
    assert (caught.value.file, caught.value.field) == ("rp.toml", field)


def test_secrets_come_from_private_files_or_stdin_never_from_the_toml(run: Any, platform: Flask, tmp_path: Path) -> None:
    file, secret = written(tmp_path, TOML), written(tmp_path, SECRET + "\n", "secret", 0o640)
    assert "chmod" in str(run("client", "apply", file, "--secret-file", secret).exception)
    secret.chmod(0o600)
    answer = json.loads(run("client", "apply", file, "--secret-file", secret, "--json").output)
    assert answer == [{"client_id": "export-system", "change": "added"}]
    assert json.loads(run("client", "apply", file, "--secret-file", secret, "--json").output)[0]["change"] == "unchanged"
    other = "another-secret-0123456789-abcdefghij"
    assert json.loads(run("client", "apply", file, "--secret-file", "-", "--json", stdin=other + "\n").output)[0]["change"] == "updated"
    assert [each["expires_at"] is None for each in secrets_of(platform, "export-system")] == [False, True]
    assert isinstance(run("client", "apply", file, "--secret-file", "-", stdin="short\n").exception, BadInput)
    written(tmp_path, TOML + f'client_secret = "{SECRET}"')
    assert run("client", "apply", file).exception.field == "client_secret"


def test_broken_files_are_named(run: Any, tmp_path: Path) -> None:
    for text in ("client_id = ", "\x00", "x" * 300_000, TOML + "contacts = 2026-01-01"):
        file = written(tmp_path, text)
        result = run("client", "apply", file)
        assert isinstance(result.exception, BadInput)
        assert result.exception.file == str(file)


def test_add_list_and_show(run: Any, tmp_path: Path) -> None:
    added = json.loads(run("client", "add", "shop", "--redirect-uri", "https://shop.example/cb", "--json").output)
    assert added["client_secret"]
    assert isinstance(run("client", "add", "shop", "--redirect-uri", "https://shop.example/cb").exception, BadInput)
    jwks = written(tmp_path, json.dumps({"keys": [KEY.as_dict(private=False)]}), "jwks.json")
    keyed = run("client", "add", "keyed", "--redirect-uri", "https://k.example/cb", "--auth-method", "private_key_jwt", "--jwks-file", jwks)
    assert keyed.output == "keyed: added\n"
    assert "shop" in run("client", "list").output
    assert [row["client_id"] for row in json.loads(run("client", "list", "--json").output)] == ["keyed", "shop"]
    assert 'redirect_uris = ["https://shop.example/cb"]' in run("client", "show", "shop").output
    assert isinstance(run("client", "show", "nobody").exception, BadInput)


def test_keys_are_listed_rotated_and_withdrawn(run: Any, clock: Any) -> None:
    before = json.loads(run("keys", "list", "--json").output)
    assert sorted((key["alg"], key["state"]) for key in before) == [("ES256", "current"), ("ES256", "next"), ("RS256", "current"), ("RS256", "next")]
    # too young to sign: further ones are published, and nothing else changes
    assert run("keys", "rotate").output.count("the current key still signs") == 2
    rows = json.loads(run("keys", "list", "--json").output)
    assert len(rows) == 6
    assert all(row in rows for row in before)
    clock.advance(hours=24)
    assert "rotated" in run("keys", "rotate", "--alg", "ES256").output
    current = next(key["kid"] for key in json.loads(run("keys", "list", "--json").output) if (key["alg"], key["state"]) == ("ES256", "current"))
    assert run("keys", "withdraw", current).output == f"{current}: withdrawn\n"
    assert isinstance(run("keys", "withdraw", "no-such-key").exception, BadInput)


@pytest.mark.slow
def test_init_makes_everything_from_nothing_and_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "state" / "idp"
    for name, value in {"IDP_DATA_DIR": str(folder), "IDP_SECRET_KEY": "", "IDP_DATABASE_URL": "", "IDP_ISSUER": ISSUER}.items():
        monkeypatch.setenv(name, value)
    for made in (4, 0):
        result = CliRunner().invoke(cli, ["init"])
        assert (result.exit_code, result.exception) == (0, None), result.output
        assert f"signing keys made: {made}" in result.output
    assert folder.stat().st_mode & 0o777 == 0o700
    for file in ("secret.key", "idp.db"):
        assert (folder / file).stat().st_mode & 0o777 == 0o600
