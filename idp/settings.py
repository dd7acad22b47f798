"""One frozen, typed Settings object from `IDP_…` variables and an optional TOML file.

Environment wins over the file named by `IDP_CONFIG_FILE`. Each field has help text and carries its unit in its name; `docs/settings.md` is
generated from them. A wrong or dangerous value stops the start (`load()` raises ConfigurationError).
"""

import os
import re
from collections.abc import Collection
from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from idp.delivery_settings import DeliverySettings
from idp.ekey_settings import CertificatesFile, CommaList, EKeySettings, comma_separated
from idp.errors import ConfigurationError

MIN_SECRET_CHARACTERS = 32
LOOPBACK_NAMES = ("localhost",)
_TAKEN_HEADERS = ("authorization", "content-", "cookie", "dpop", "forwarded", "host", "x-forwarded-", "accept", "origin")


def is_loopback(host: str | None) -> bool:
    """Whether `host` (a parsed host name, never a prefix) is this machine."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


class Settings(EKeySettings, DeliverySettings):
    """All that operators can set. Times in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="IDP_", frozen=True, extra="forbid")

    # Where and what
    issuer: str = Field("http://127.0.0.1:8000", description="Public address of the platform; https, plain http only on loopback. No trailing slash.")
    database_url: str = Field(
        "", description="Empty = SQLite file `idp.db` in the data directory; `sqlite:///FILE` or `postgresql+psycopg://USER:PASSWORD@HOST/NAME`."
    )
    data_dir: Path = Field(Path("var"), description="Directory (0700) of the database, the secret and other private files.")
    secret_key: SecretStr = Field(
        SecretStr(""), description="Master secret, 32 characters or more; keys for sealing and signing are derived from it. Wins over the file."
    )
    secret_key_file: Path | None = Field(None, description="File (0600) that holds the master secret; default `secret.key` in the data directory.")

    # The network around it
    requests_per_minute: int = Field(6000, ge=0, le=1000000, description="Page requests per address (IPv6: /64) and minute; 0 = no such limit.")
    redis_url: str = Field("", description="`redis://host:port/0`, where that is counted for all workers together; empty = each counts for itself.")
    trusted_proxy: CommaList = Field((), description="Addresses or networks of the proxies whose X-Forwarded-* headers count; empty = none.")
    client_cert_header: str = Field("", description="Header in which the proxy hands on client certificates (RFC 8705); empty = no mutual TLS.")
    client_cert_format: Literal["rfc9440", "pem-escaped"] = Field(
        "rfc9440", description="How that header is written: `:base64 of the DER:`, or nginx's `$ssl_client_escaped_cert`."
    )
    client_cert_secret: SecretStr = Field(SecretStr(""), description="The proxy alone writes it before the certificate, with a blank between.")
    mtls_base_url: str = Field(
        "", description="Public address of the host that asks for certificates, the only place where they count; empty = the issuer."
    )
    mtls_ca_file: CertificatesFile = Field(None, description="CA certificates (PEM) that client certificates of `tls_client_auth` are issued under.")
    outbound_allow: CommaList = Field(
        (), description="`host:port` pairs in private networks that may be called, but not for clients that registered themselves."
    )
    outbound_ca_file: CertificatesFile = Field(None, description="Further CA certificates (PEM) for outgoing requests.")

    # Clients
    client_registration: Literal["off", "on"] = Field(
        "off", description="Dynamic registration of clients (RFC 7591) by initial access tokens: `idp client token`."
    )
    device_grant: Literal["off", "on"] = Field("off", description="Device authorization grant (RFC 8628), with the page `/device`.")

    # Sign-in
    captcha: Literal["always", "after_failures"] = Field(
        "always", description="When the captcha step asks for typing: always, or from the third failure on (D16)."
    )
    password_min_characters: int = Field(10, ge=10, le=20, description="Shortest new password (R27).")
    password_max_characters: int = Field(20, ge=20, le=128, description="Longest new password (R27, D6).")
    password_typed_max_characters: int = Field(128, ge=64, le=256, description="Longest password that sign-in looks at (D6).")
    password_days: int = Field(0, ge=0, le=730, description="Days after which a password must be changed; 0 = never. Warned 14 days before.")
    password_history_count: int = Field(5, ge=1, le=24, description="How many former platform passwords may not come back.")
    answer_milliseconds: int = Field(100, ge=0, le=1000, description="Refusals at a sign-in leave at full steps of this, so that time tells nothing.")
    lockout_tries: int = Field(5, ge=3, le=10, description="Wrong passwords in a row that lock.")
    lockout_seconds: int = Field(15 * 60, ge=60, le=24 * 3600, description="First lock; each further one doubles it.")
    lockout_max_seconds: int = Field(24 * 3600, ge=3600, le=7 * 24 * 3600, description="Longest lock.")
    lockout_account_tries: int = Field(50, ge=20, le=1000, description="Wrong passwords from anywhere that lock an account for unknown devices.")
    failures_per_ip_minute: int = Field(20, ge=5, le=1000, description="Failures per address (IPv6: /64) and minute before the captcha always asks.")
    failures_per_ip_hour: int = Field(300, ge=20, le=10000, description="The same per hour. Ten times either number refuses.")
    argon2_memory_kib: int = Field(19456, ge=19456, le=1048576, description="argon2id memory (OWASP's floor).")
    argon2_passes: int = Field(2, ge=2, le=16, description="argon2id passes.")
    hash_concurrency: int = Field(0, ge=0, le=64, description="Password hashes at once in a process; 0 = number of cores.")
    signin_seconds: int = Field(30 * 60, ge=300, le=3600, description="How long a sign-in transaction waits for its person.")
    captcha_seconds: int = Field(300, ge=60, le=300, description="How long a captcha can be answered (R60).")
    contact_proof_days: int = Field(7, ge=0, le=30, description="How long the proof of contacts may be put off (R57).")

    # Sessions and tokens
    session_idle_seconds: int = Field(30 * 60, ge=60, le=30 * 60, description="Idle end of a session (R77).")
    session_absolute_seconds: int = Field(12 * 3600, ge=3600, le=24 * 3600, description="Absolute end of a session (R77).")
    code_seconds: int = Field(60, ge=10, le=60, description="Life of an authorization code.")
    access_token_seconds: int = Field(600, ge=60, le=600, description="Life of ID and access tokens.")
    refresh_token_seconds: int = Field(8 * 3600, ge=600, le=24 * 3600, description="Longest life of a refresh token.")

    # The legacy systems
    legacy_end: date | None = Field(None, description="Last day (Beijing) of every legacy entry; officers may move a system's, or a user's (R64).")
    legacy_entry_logins: int = Field(10, ge=0, le=100, description="Log-ins at the legacy entry after the cut-over, for each old user (R2, D2).")
    old_hash_days: int = Field(180, ge=1, le=730, description="Days after the cut-over at which unused old password hashes die (R62).")
    sensitive_right_proof: Literal["none", "sensitive", "all"] = Field(
        "sensitive", description="Which rights of a merged account wait for one proof by key or code (R62)."
    )

    # What is said
    service_telephone: str = Field("12335", description="Service telephone on every page (D14).")
    key_application_url: str = Field("", description="Link to the key office's procedure (R43, D14).")
    code_lookup_url: str = Field("", description="Link to the enterprise code look-up (R51, D14).")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the TOML file; nothing else."""
        file = os.environ.get("IDP_CONFIG_FILE")
        return (init_settings, env_settings, *([TomlConfigSettingsSource(settings_cls, Path(file))] if file else []))

    @field_validator("trusted_proxy", "outbound_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return comma_separated(value)

    @field_validator("trusted_proxy")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            ip_network(part)
        return value

    @field_validator("outbound_allow")
    @classmethod
    def _places(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place in value:
            host, _, port = place.rpartition(":")
            if not host or "/" in place or not port.isdigit():
                raise ValueError(f"{place!r} is not host:port")
        return value

    @field_validator("client_cert_header")
    @classmethod
    def _header(cls, value: str) -> str:
        # one of its own: what browsers and programs send for other reasons must not be dropped
        if value and (not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", value) or value.lower().startswith(_TAKEN_HEADERS)):
            raise ValueError(f"{value!r} cannot be the name of that header")
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        # the two stores that migrations and tests know; a file, so that its rights can be set
        kind, _, rest = value.partition(":///")
        if value.startswith("postgresql+psycopg://") or not value or (kind == "sqlite" and rest and ":" not in rest and "?" not in rest):
            return value
        raise ValueError("must be sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME")

    @field_validator("issuer", "mtls_base_url", "ekey_mtls_base_url")
    @classmethod
    def _address(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name != "issuer":
            return value
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment or url.path:
            raise ValueError("must be scheme://host[:port] and nothing more")
        # OIDC Discovery §3: https; plain http is for loopback only
        if url.scheme == "http" and not is_loopback(url.hostname):
            raise ValueError("plain http is only possible on loopback; use https")
        return value

    @model_validator(mode="after")
    def _dangerous(self) -> "Settings":
        if self.production and self.delivery == "console":
            raise ValueError("delivery: `console` would print codes to the log; set smtp")
        if self.session_idle_seconds > self.session_absolute_seconds:
            raise ValueError("session_idle_seconds: longer than session_absolute_seconds")
        return self

    @model_validator(mode="after")
    def _certificates(self) -> "Settings":
        if self.client_cert_header and not self.trusted_proxy:
            raise ValueError("client_cert_header: needs trusted_proxy, or anyone could claim a certificate")
        # `Client_Cert` and `Client-Cert` are one name here, so dropping the one is not enough
        may_lack = "" if self.client_cert_header and self.production else "?"
        if not re.fullmatch(rf"([A-Za-z0-9._~-]{{32,200}}){may_lack}", self.client_cert_secret.get_secret_value()):
            raise ValueError("client_cert_secret: must be 32 to 200 of A–Z a–z 0–9 . _ ~ -; needed for client_cert_header in production")
        if (self.mtls_base_url or self.mtls_ca_file or self.ekey_mtls_base_url) and not self.client_cert_header:
            raise ValueError("client_cert_header: needed for mtls_base_url, mtls_ca_file and ekey_mtls_base_url, or no certificate ever arrives")
        if self.ekey_mtls_base_url and self.ekey_mtls_base_url in (self.issuer, self.mtls_base_url):
            raise ValueError("ekey_mtls_base_url: needs a host of its own; the others would ask everybody for certificates")
        if self.mtls_base_url == self.issuer:
            raise ValueError("mtls_base_url: is the issuer itself; leave it empty")
        return self

    @property
    def issuer_host(self) -> str:
        """Host of the issuer without port."""
        return urlsplit(self.issuer).hostname or ""

    @property
    def hosts(self) -> list[str]:
        """The host names that we answer to, without ports."""
        return [urlsplit(base).hostname or "" for base in (self.issuer, self.mtls_base_url, self.ekey_mtls_base_url) if base]

    @property
    def https(self) -> bool:
        """Whether the issuer is https; decides cookie prefix and Secure."""
        return self.issuer.startswith("https:")

    @property
    def production(self) -> bool:
        """True off loopback, but for names that the Internet cannot have (RFC 6761). There is no flag that could be forgotten."""
        return not is_loopback(self.issuer_host) and not self.issuer_host.endswith((".localhost", ".test"))

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'idp.db').absolute()}"

    @property
    def secret_file(self) -> Path:
        """Where the master secret is read from when it is not in the environment."""
        return self.secret_key_file or self.data_dir / "secret.key"


def _place(key: str, file: str | None, given: Collection[str]) -> str:
    """Where the operator finds a setting: `given` by code or the environment, else as the file writes it."""
    variable = f"IDP_{key.upper()}"
    return f"{file}: {key}" if file and key not in given and variable not in os.environ else variable


def _complaint(error: ValidationError, file: str | None, given: Collection[str]) -> str:
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        # a fault of several settings together names them itself
        name = _place(str(problem["loc"][0]), file, given) if problem["loc"] else "settings"
        reason = "no such setting" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {reason}")
    return "\n".join(lines)


def load(**overrides: object) -> Settings:
    """The settings in force; ConfigurationError names each wrong one, one a line."""
    known = {"IDP_" + name.upper() for name in Settings.model_fields} | {"IDP_CONFIG_FILE"}
    unknown = sorted(name for name in os.environ if name.startswith("IDP_") and name not in known)
    if unknown:
        raise ConfigurationError("\n".join(f"{name}: no such setting" for name in unknown))
    file = os.environ.get("IDP_CONFIG_FILE")
    if file and not Path(file).is_file():
        raise ConfigurationError(f"IDP_CONFIG_FILE: {file} is not there")
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        raise ConfigurationError(_complaint(error, file, overrides)) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: {error}") from error
    # a switch of authlib's that accepts http anywhere must not reach a public issuer
    if settings.production and os.environ.get("AUTHLIB_INSECURE_TRANSPORT"):
        raise ConfigurationError("AUTHLIB_INSECURE_TRANSPORT: refused off loopback")
    return settings


def master_secret(settings: Settings) -> str:
    """The master secret; ConfigurationError where it is missing, readable by others, or weak."""
    secret = settings.secret_key.get_secret_value()
    if not secret:
        file = settings.secret_file
        if not file.is_file():
            raise ConfigurationError(f"IDP_SECRET_KEY: neither set nor in {file}; `idp init` makes one")
        if file.stat().st_mode & 0o007:
            raise ConfigurationError(f"IDP_SECRET_KEY_FILE: {file} is open to everyone; chmod 0600")
        secret = file.read_text().strip()
    if len(secret) < MIN_SECRET_CHARACTERS or len(set(secret)) < MIN_SECRET_CHARACTERS // 4:
        raise ConfigurationError("IDP_SECRET_KEY: too weak; use 32 random characters or more")
    return secret
