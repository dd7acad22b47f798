import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from idp.errors import ConfigurationError
from idp.settings import Settings, load, master_secret
from tests.conftest import SECRET

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("IDP_", "AUTHLIB_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("IDP_ISSUER", "http://sso.example.cn", "https"),
        ("IDP_ISSUER", "http://localhost.evil.test", "https"),
        ("IDP_ISSUER", "https://sso.example.cn/", "nothing more"),
        ("IDP_ISSUER", "https://user@sso.example.cn", "nothing more"),
        ("IDP_ISSUER", "ftp://sso.example.cn", "scheme"),
        ("IDP_ISSUER", "https://sso.example.cn", "delivery"),
        ("IDP_DELIVERY", "smtp", "smtp_url"),
        ("IDP_TRUSTED_PROXY", "everyone", "everyone"),
        ("IDP_CLIENT_CERT_HEADER", "Client-Cert", "trusted_proxy"),
        ("IDP_CLIENT_CERT_HEADER", "Client_Cert", "cannot be the name"),
        ("IDP_CLIENT_CERT_SECRET", "short", "client_cert_secret: must be 32"),
        ("IDP_CLIENT_CERT_SECRET", "a b" * 16, "client_cert_secret: must be 32"),
        ("IDP_CLIENT_CERT_HEADER", "Authorization", "cannot be the name"),
        ("IDP_MTLS_BASE_URL", "https://mtls.example.cn", "client_cert_header"),
        ("IDP_MTLS_BASE_URL", "http://mtls.example.cn", "IDP_MTLS_BASE_URL: plain http"),
        ("IDP_MTLS_CA_FILE", "/nowhere.pem", "is not there"),
        ("IDP_MTLS_CA_FILE", "/etc/hostname", "no certificates"),
        ("IDP_EKEY_ROOTS_FILE", "/etc/hostname", "IDP_EKEY_ROOTS_FILE: /etc/hostname holds no certificates"),
        ("IDP_EKEY_CRL_URLS", "ldap://crl.example.cn/x", r"no http\(s\) address"),
        ("IDP_EKEY_OCSP_URLS", "http:///x", r"no http\(s\) address"),
        ("IDP_EKEY_NAME_RULE", "cn", "nor CN nor UPN"),
        ("IDP_EKEY_NAME_RULE", "2.5", "not an OID"),
        ("IDP_EKEY_POLICY_OID", "any", "not an OID"),
        ("IDP_EKEY_CHALLENGE_SECONDS", "600", "IDP_EKEY_CHALLENGE_SECONDS"),
        ("IDP_CAPTCHA", "never", "IDP_CAPTCHA"),
        ("IDP_ARGON2_MEMORY_KIB", "1024", "IDP_ARGON2_MEMORY_KIB"),
        ("IDP_SESSION_IDLE_SECONDS", "86400", "IDP_SESSION_IDLE_SECONDS"),
        ("IDP_CODE_SECONDS", "sixty", "IDP_CODE_SECONDS"),
        *(
            ("IDP_DATABASE_URL", url, "IDP_DATABASE_URL: must be sqlite:///FILE or postgresql")
            for url in (
                "mysql://u@h/d",
                "postgres://u@h/d",
                "postgresql://u@h/d",
                "sqlite://",
                "sqlite:///",
                "sqlite:///:memory:",
                "sqlite:///a?b=c",
                "x",
            )
        ),
        ("IDP_TYPO", "1", "IDP_TYPO: no such setting"),
        ("IDP_CONFIG_FILE", "/nowhere.toml", "IDP_CONFIG_FILE"),
    ],
)
def test_a_wrong_or_dangerous_value_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=named):
        load()


def test_a_certificate_in_production_needs_the_secret_of_the_proxy() -> None:
    there: dict[str, object] = {"issuer": "https://sso.example.cn", "delivery": "smtp", "smtp_url": "smtp://mail", "trusted_proxy": ("10.0.0.1",)}
    with pytest.raises(ConfigurationError, match="client_cert_secret"):
        load(**there, client_cert_header="Client-Cert")
    assert load(**there, client_cert_header="Client-Cert", client_cert_secret="x" * 32).production


def test_insecure_transport_never_reaches_a_public_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with pytest.raises(ConfigurationError, match="AUTHLIB_INSECURE_TRANSPORT"):
        load(issuer="https://sso.example.cn", delivery="smtp", smtp_url="smtp://mail")
    assert load().issuer == "http://127.0.0.1:8000"


def test_importing_the_server_sets_no_insecure_switch() -> None:
    code = "import os, idp.app, idp.cli; print([n for n in os.environ if n.startswith('AUTHLIB_')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip() == "[]"


def test_file_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "idp.toml"
    file.write_text('service_telephone = "010-1"\ncode_seconds = 30\n')
    monkeypatch.setenv("IDP_CONFIG_FILE", str(file))
    monkeypatch.setenv("IDP_CODE_SECONDS", "20")
    assert (load().service_telephone, load().code_seconds) == ("010-1", 20)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("no_such = 1", "no_such: no such setting"),
        ("code_seconds = 3600", "code_seconds: Input should be less than or equal to 60"),
        ('trusted_proxy = ["everyone"]', "trusted_proxy: 'everyone'"),
        ('database_url = "mysql://u:geheim@h/d"', "database_url: must be sqlite:///FILE"),
        ("[table]\nissuer = 1", "table: no such setting"),
        ("issuer =", "Invalid value"),
    ],
)
def test_a_fault_in_the_file_names_the_file_and_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "idp.toml"
    file.write_text(text + "\n")
    monkeypatch.setenv("IDP_CONFIG_FILE", str(file))
    with pytest.raises(ConfigurationError) as raised:
        load()
    assert str(raised.value).startswith(f"{file}: {named}")
    assert "geheim" not in str(raised.value)
    assert "IDP_" not in str(raised.value)


def test_a_fault_in_the_environment_is_not_put_down_to_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "idp.toml"
    file.write_text("code_seconds = 30\n")
    monkeypatch.setenv("IDP_CONFIG_FILE", str(file))
    monkeypatch.setenv("IDP_CODE_SECONDS", "3600")
    with pytest.raises(ConfigurationError, match=r"^IDP_CODE_SECONDS"):
        load()


@pytest.mark.parametrize("url", ["", "sqlite:////var/lib/idp.db", "sqlite:///var/idp.db", "postgresql+psycopg://idp:secret@db/idp"])
def test_the_two_stores_are_taken(url: str) -> None:
    assert load(database_url=url).database_url == url


def test_settings_without_effect_say_so() -> None:
    sources = "\n".join(file.read_text() for file in (ROOT / "idp").rglob("*.py") if file.name != "settings.py")
    for name, field in Settings.model_fields.items():
        if "not in effect yet" in (field.description or ""):
            assert not re.search(rf"\b{name}\b", sources), f"{name} has an effect now"


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(Exception, match="frozen"):
        load().issuer = "https://evil.test"  # type: ignore[misc]  # the fault under test


@pytest.mark.parametrize("secret", ["", "short", "a" * 40, "abcabcabcabcabcabcabcabcabcabcabcabc"])
def test_weak_secrets_are_refused(secret: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="IDP_SECRET_KEY"):
        master_secret(load(secret_key=secret, data_dir=tmp_path))


def test_secret_file_must_be_private(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    assert master_secret(load(data_dir=tmp_path)) == SECRET
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="0600"):
        master_secret(load(data_dir=tmp_path))


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(load(secret_key=SECRET))


def test_the_manual_of_settings_is_fresh() -> None:
    from docs.make_settings import manual

    assert (ROOT / "docs" / "settings.md").read_text() == manual()
