"""What a business system is, read from its folder: `client.toml` (its registration) and `page.toml` (what its page shows).

The private key is made where the system runs and never leaves it; `for_platform()` is the registration with the public half, the file that
the platform's administrator applies.
"""

import json
import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from joserfc.jwk import ECKey

FOLDER = Path(__file__).parent.parent
ASSERTION_ALG = "ES256"
EKEY = "urn:licence:acr:ekey"  # the platform's name for a sign-in with password and e-key


class WrongRegistration(Exception):
    """A folder's files cannot be used; the text names file and member."""


@dataclass(frozen=True)
class Registration:
    """One business system: RFC 7591 metadata (`client`), its page (`page`), and the two files' places."""

    folder: Path
    client: dict[str, Any]
    page: dict[str, Any]

    @property
    def system(self) -> str:
        """The platform's code of this system, as in `licence:<system>`."""
        return cast("str", self.client["system"])

    @property
    def client_id(self) -> str:
        """The client's name at the platform."""
        return cast("str", self.client["client_id"])

    @property
    def origin(self) -> str:
        """scheme://host:port where this system is served."""
        parts = urlsplit(self.client["redirect_uris"][0])
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def licence_scope(self) -> str:
        """The scope that says the person may work here."""
        return f"licence:{self.system}"

    @property
    def resource(self) -> str:
        """What access tokens for this system name as their audience."""
        return f"urn:licence:system:{self.system}"


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongRegistration(f"{file}: {error}") from error


def _needed(file: Path, values: dict[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if not values.get(name)]
    if missing:
        raise WrongRegistration(f"{file}: {', '.join(missing)}: missing")


def read(folder: Path, origin: str | None = None) -> Registration:
    """The system in `folder`; `origin` moves all its addresses (another port in tests). WrongRegistration names what is missing."""
    client, page = _toml(folder / "client.toml"), _toml(folder / "page.toml")
    _needed(folder / "client.toml", client, ("client_id", "system", "redirect_uris", "scope", "post_logout_redirect_uris", "initiate_login_uri"))
    _needed(folder / "page.toml", page, ("name", "name_en", "columns", "rows"))
    found = Registration(folder, client, page)
    if origin is None:
        return found
    return Registration(folder, json.loads(json.dumps(client).replace(found.origin + "/", origin + "/")), page)


def demanding_the_key(system: Registration) -> Registration:
    """The same system, which lets nobody in without an e-key."""
    return replace(system, client={**system.client, "require_acr": EKEY})


def read_all(first_port: int | None = None) -> list[Registration]:
    """Every business system of this folder, by port; with `first_port` the ports count from there in the same order."""
    found = sorted((read(file.parent) for file in FOLDER.glob("*/client.toml")), key=lambda one: urlsplit(one.origin).port or 0)
    if first_port is None:
        return found
    return [read(one.folder, f"http://127.0.0.1:{first_port + number}") for number, one in enumerate(found)]


def private_key(file: Path) -> ECKey:
    """The system's own key, made (0600) at first use."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = ECKey.generate_key("P-256").as_pem(private=True)
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
            out.write(pem)
    return ECKey.import_key(file.read_bytes())


def public_jwk(key: ECKey) -> dict[str, str]:
    """The public half as the platform keeps it; `kid` is the thumbprint (RFC 7638)."""
    public = cast("dict[str, str]", key.as_dict(private=False))
    return {**{name: public[name] for name in ("kty", "crv", "x", "y")}, "kid": key.thumbprint(), "use": "sig", "alg": ASSERTION_ALG}


def for_platform(registration: Registration, key: ECKey) -> str:
    """The registration as TOML with the public key in it; holds no secret."""
    lines = [f"{json.dumps(name)} = {json.dumps(value, ensure_ascii=False)}" for name, value in registration.client.items()]
    lines += ["", "[[jwks.keys]]", *(f"{name} = {json.dumps(value)}" for name, value in public_jwk(key).items())]
    return "\n".join(lines) + "\n"
