"""What operators can set about e-keys: the part of Settings that its package reads."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cryptography.x509 import load_pem_x509_certificates
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

MAX_ADDRESS_CHARACTERS = 500
AGENT_VERSION = r"^(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){0,3}$"
CommaList = Annotated[tuple[str, ...], NoDecode]


def comma_separated(value: object) -> object:
    """The parts of a text as the environment writes a list."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def certificates_in(value: Path | None) -> Path | None:
    """The file, if it holds certificates in PEM; else ValueError."""
    if value is None:
        return None
    if not value.is_file():
        raise ValueError(f"{value} is not there")
    try:
        load_pem_x509_certificates(value.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{value} holds no certificates in PEM that can be read") from error
    return value


CertificatesFile = Annotated[Path | None, AfterValidator(certificates_in)]


class EKeySettings(BaseSettings):
    """Roots, revocation, the name on a certificate. Times in seconds."""

    ekey_roots_file: CertificatesFile = Field(
        None, description="Root certificates (PEM) of the CAs that issue e-keys, each trusted as it stands; empty = no e-key is accepted."
    )
    ekey_intermediates_file: CertificatesFile = Field(
        None, description="Certificates (PEM) of the CAs between those roots and the e-keys; they are proven and checked for revocation."
    )
    ekey_crl_urls: CommaList = Field(
        (), description="Addresses of the CAs' revocation lists: the only ones that the worker fetches. Plain http also needs `IDP_OUTBOUND_ALLOW`."
    )
    ekey_crl_refresh_seconds: int = Field(3600, ge=300, le=24 * 3600, description="How often the worker fetches each revocation list.")
    ekey_ocsp_urls: CommaList = Field(
        (), description="Addresses of OCSP responders that may be asked where a certificate names them; without OCSP the lists decide."
    )
    ekey_name_rule: str = Field(
        "CN", description="Where the user name stands on a certificate: `CN`, `UPN` (in subjectAltName), or the OID of an attribute."
    )
    ekey_policy_oid: str = Field("", description="Certificate policy (OID) that an e-key must be issued under; empty = any.")
    initial_password_days: int = Field(90, ge=1, le=90, description="How long the password of a sealed letter opens a new account (R88).")
    agent_port: int = Field(24817, ge=1024, le=65535, description="Port at which people's computers run the e-key driver, on their own 127.0.0.1.")
    agent_minimum_version: str = Field(
        "",
        pattern=f"{AGENT_VERSION}|^$",
        description="Oldest version of that driver that may sign, such as `0.2`; empty = any. Older ones are told to update.",
    )
    ekey_drivers_file: Path | None = Field(
        None, description="The drivers that the page `/drivers` offers (TOML, see docs/agent.md); empty = no such page."
    )
    ekey_drivers_folder: Path | None = Field(None, description="Folder of the files that it names; empty = the folder of that file.")
    driver_url: str = Field("", description="Link to a page of drivers elsewhere; empty = `/drivers`, if it is there (R19, D14).")
    ekey_damaged_days: int = Field(
        15, ge=0, le=90, description="How many days the rights of an e-key that was reported damaged stay open on password and code (R68)."
    )
    ekey_mtls_base_url: str = Field(
        "",
        description="Public address of the host that asks browsers for the certificates of e-keys, for nothing else; empty = not offered.",
    )
    ekey_challenge_seconds: int = Field(120, ge=30, le=120, description="How long an e-key may take to sign.")

    @field_validator("ekey_crl_urls", "ekey_ocsp_urls", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        return comma_separated(value)

    @field_validator("ekey_crl_urls", "ekey_ocsp_urls")
    @classmethod
    def _called(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname or len(address) > MAX_ADDRESS_CHARACTERS:
                raise ValueError(f"{address!r} is no http(s) address of up to {MAX_ADDRESS_CHARACTERS} characters")
        return value

    @field_validator("ekey_name_rule", "ekey_policy_oid")
    @classmethod
    def _oid(cls, value: str, info: ValidationInfo) -> str:
        words = ("CN", "UPN") if info.field_name == "ekey_name_rule" else ("",)
        if value not in words and not re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*)){2,}", value):
            raise ValueError(f"{value!r} is not an OID such as 2.5.4.45{' nor CN nor UPN' if 'CN' in words else ''}")
        return value

    @property
    def ekey_on(self) -> bool:
        """Whether an e-key can be accepted at all."""
        return self.ekey_roots_file is not None

    @property
    def driver_link(self) -> str:
        """Where people get the driver; "" where the operator offers none."""
        return self.driver_url or ("/drivers" if self.ekey_drivers_file else "")

    @model_validator(mode="after")
    def _path(self) -> "EKeySettings":
        if self.ekey_intermediates_file and not self.ekey_roots_file:
            raise ValueError("ekey_roots_file: needed for ekey_intermediates_file, or no path ever ends")
        return self
