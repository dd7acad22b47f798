"""The metadata of a client: names of RFC 7591 and OpenID Connect Registration, and our own; judged the same wherever it comes from.

`judge()` is the one entrance for the command line and for registration over HTTP.
"""

import re
import unicodedata
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from idp.adapters import Outbound
from idp.db import dumps
from idp.delimited import UNPRINTABLE, controls
from idp.errors import BadInput
from idp.oidc import acr, certificates, client_keys, profiles, redirect_uris, scopes
from idp.settings import is_loopback
from idp.web import origin_of

ASSERTION_ALGORITHMS = ("ES256", "PS256", "RS256", "EdDSA", "Ed25519")
# letters and a symbol by their category, and yet nothing is to be seen: the fillers of Hangul, Braille without a dot
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def _readable(text: str) -> str:
    """The text again, if people can see that it is there and nothing in it changes how they see the rest."""
    if controls(text):
        raise ValueError(UNPRINTABLE)
    # letters, numbers, punctuation, symbols
    if text and not any(unicodedata.category(sign)[0] in "LNPS" and sign not in _BLANK for sign in text):
        raise ValueError("holds nothing that can be seen")
    return text


Text = Annotated[str, StringConstraints(max_length=200), AfterValidator(_readable)]
AuthMethod = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth", "none"]
ClientAlg = Literal["ES256", "PS256", "RS256", "EdDSA", "Ed25519"]
OurAlg = Literal["ES256", "RS256"]
DEVICE_CODE = profiles.DEVICE_CODE
GrantType = Literal["authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code"]
ResponseType = Literal["code"]
# never a leading dash: on a command line it would be an option
CLIENT_ID = re.compile(r"[A-Za-z0-9._~][A-Za-z0-9._~-]{0,99}\Z")
Name = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_readable)] | None
UriList = Annotated[tuple[str, ...], Field(max_length=50)]
# what we call ourselves stands first
CALLED_URIS = ("jwks_uri", "sector_identifier_uri", "backchannel_logout_uri", "security_events_uri", "logo_uri")
SINGLE_URIS = (*CALLED_URIS, "initiate_login_uri", "client_uri", "policy_uri", "tos_uri")


class Registration(BaseModel):
    """One client as it is registered. Defaults are those of the specifications; own names come last."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    client_id: str
    client_name: Text = ""
    client_name_en: Text = Field("", alias="client_name#en")
    application_type: Literal["web", "native"] = "web"
    redirect_uris: UriList = ()
    post_logout_redirect_uris: UriList = ()
    grant_types: tuple[GrantType, ...] = ("authorization_code",)
    response_types: tuple[ResponseType, ...] = ("code",)
    scope: Annotated[str, StringConstraints(max_length=1000)] = " ".join(scopes.STANDARD)
    token_endpoint_auth_method: AuthMethod = "client_secret_basic"  # noqa: S105  # a method's name
    token_endpoint_auth_signing_alg: ClientAlg | None = None
    tls_client_auth_subject_dn: Name = None
    tls_client_auth_san_dns: Name = None
    tls_client_auth_san_uri: Name = None
    tls_client_auth_san_ip: Name = None
    tls_client_auth_san_email: Name = None
    tls_client_certificate_bound_access_tokens: bool = False
    dpop_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    request_object_signing_alg: ClientAlg | None = None
    authorization_signed_response_alg: OurAlg = "RS256"
    introspection_signed_response_alg: OurAlg = "RS256"
    id_token_signed_response_alg: OurAlg = "RS256"  # noqa: S105  # an algorithm's name
    userinfo_signed_response_alg: OurAlg | None = None
    subject_type: Literal["public", "pairwise"] = "public"
    sector_identifier_uri: str | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    default_max_age: Annotated[int, Field(ge=0, le=86400)] | None = None
    require_auth_time: bool = False
    default_acr_values: tuple[str, ...] = ()
    initiate_login_uri: str | None = None
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = False
    security_events_uri: str | None = None
    client_uri: str | None = None
    logo_uri: str | None = None
    policy_uri: str | None = None
    tos_uri: str | None = None
    contacts: tuple[Text, ...] = ()

    system: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")] | None = None
    profile: Literal["oidc", "fapi2-security", "fapi2-message-signing"] = "oidc"
    first_party: bool = False
    require_pkce: bool = True
    require_acr: str | None = None
    assertion_audience: Literal["issuer", "compat"] = "issuer"
    form_action_origins: tuple[str, ...] = ()
    public_addresses_only: bool = False

    @field_validator("client_id")
    @classmethod
    def _client_id(cls, value: str) -> str:
        if not CLIENT_ID.match(value):
            raise ValueError("must be 1 to 100 of A–Z a–z 0–9 . _ ~ - and not begin with -")
        return value

    @field_validator("redirect_uris", "post_logout_redirect_uris")
    @classmethod
    def _uris(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        native = info.data.get("application_type") == "native"
        for uri in value:
            reason = redirect_uris.fault(uri, native=native)
            if reason:
                raise ValueError(f"{uri!r}: {reason}")
        return tuple(dict.fromkeys(value))

    @field_validator(*SINGLE_URIS)
    @classmethod
    def _uri(cls, value: str | None) -> str | None:
        reason = redirect_uris.fault(value) if value is not None else None
        if reason:
            raise ValueError(reason)
        return value

    @field_validator("form_action_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            reason = redirect_uris.fault(origin) or (None if origin_of(origin) == origin else "must be scheme://host[:port] and nothing more")
            if reason:
                raise ValueError(f"{origin!r}: {reason}")
        return value

    @field_validator("scope")
    @classmethod
    def _scope(cls, value: str) -> str:
        # every other provider knows it; here refresh tokens come with the grant type
        names = [name for name in scopes.split(value) if name != "offline_access"]
        unknown = [name for name in names if not scopes.known(name)]
        if unknown or not names:
            raise ValueError(f"unknown: {' '.join(unknown)}" if unknown else "must not be empty; leave it out for the standard scopes")
        return " ".join(names)

    @field_validator("require_acr", "default_acr_values")
    @classmethod
    def _levels(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        known = [level.acr for level in acr.LEVELS]
        for each in (value,) if isinstance(value, str) else value or ():
            if each not in known:
                raise ValueError(f"{each!r} is not one of {', '.join(known)}")
        return value

    @field_validator("jwks")
    @classmethod
    def _jwks(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            client_keys.judge(value)
        return value

    @model_validator(mode="after")
    def _proofs(self) -> Self:
        keyed = self.token_endpoint_auth_method == "private_key_jwt"  # noqa: S105  # a method's name
        if keyed and self.jwks is None and self.jwks_uri is None:
            raise ValueError("private_key_jwt needs jwks or jwks_uri")
        # RFC 7591 §2
        if self.jwks is not None and self.jwks_uri is not None:
            raise ValueError("jwks and jwks_uri exclude each other")
        # nothing it sent could ever pass
        if self.signs_requests and self.jwks is None and self.jwks_uri is None:
            raise ValueError("signed requests need jwks or jwks_uri")
        # RFC 8705 §2.2.2
        if self.token_endpoint_auth_method == certificates.SELF_SIGNED and self.jwks_uri is None and not client_keys.Keys(self.jwks).certificates:
            raise ValueError(f"{certificates.SELF_SIGNED} needs jwks or jwks_uri with certificates in x5c, each of its own key")
        unmet = profiles.fault(self) or certificates.fault(self) or scopes.fault(self.scopes, self.system)
        if unmet is not None:
            raise ValueError(unmet)
        return self

    @model_validator(mode="after")
    def _flows(self) -> Self:
        # OIDC Core §8.1
        if self.subject_type == "pairwise" and self.sector is None:
            raise ValueError("pairwise subjects need redirect_uris of one host that is not loopback, or a sector_identifier_uri")
        if "authorization_code" in self.grant_types and not self.redirect_uris:
            raise ValueError("redirect_uris must not be empty")
        # RFC 7591 §2.1
        if "authorization_code" in self.grant_types and "code" not in self.response_types:
            raise ValueError("response_types must hold code where grant_types hold authorization_code")
        if not {"authorization_code", DEVICE_CODE} & set(self.grant_types) and self.grant_types != ("client_credentials",):
            raise ValueError(f"grant_types must hold authorization_code or {DEVICE_CODE}, or client_credentials alone")
        # RFC 6749 §4.4
        if "client_credentials" in self.grant_types and self.public:
            raise ValueError("client_credentials is only for confidential clients")
        # RFC 9700 §2.1.1: public clients have nothing but PKCE
        if not self.require_pkce and self.public:
            raise ValueError("require_pkce = false is only for confidential clients")
        return self

    def members(self) -> dict[str, Any]:
        """The members that differ from their defaults, under their registered names: what is stored and shown."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def name(self, lang: str) -> str:
        """What people are shown (RFC 7591 §2.2)."""
        return (self.client_name_en if lang == "en" else "") or self.client_name or self.client_id

    def start(self, issuer: str) -> str:
        """Where a sign-in at the client can be started from here (OIDC Core §4), "" if it told none."""
        if not self.initiate_login_uri:
            return ""
        return f"{self.initiate_login_uri}{'&' if '?' in self.initiate_login_uri else '?'}{urlencode({'iss': issuer})}"

    def reached_by(self, outbound: Outbound) -> Outbound:
        """How its addresses are called: what the operator allows in private networks is not for clients that registered themselves."""
        return outbound.public_only() if self.public_addresses_only else outbound

    @property
    def public(self) -> bool:
        """Whether the client has no means to prove itself."""
        return self.token_endpoint_auth_method == "none"  # noqa: S105  # a method's name

    @property
    def has_secret(self) -> bool:
        """Whether the client proves itself by a secret."""
        return self.token_endpoint_auth_method in ("client_secret_basic", "client_secret_post")

    @property
    def native(self) -> bool:
        """Whether it runs on the user's machine (RFC 8252)."""
        return self.application_type == "native"

    @property
    def fapi(self) -> bool:
        """Whether it keeps one of the FAPI 2.0 profiles."""
        return self.profile in profiles.FAPI

    @property
    def signs_requests(self) -> bool:
        """Whether each of its authorization requests must be signed (FAPI 2.0 Message Signing §5.3.1, RFC 9101 §10.5)."""
        return self.require_signed_request_object or self.profile == "fapi2-message-signing"

    @property
    def client_algorithms(self) -> tuple[str, ...]:
        """What it may sign with, where no single algorithm is registered; never a library's default list."""
        return profiles.ALGORITHMS if self.fapi else ASSERTION_ALGORITHMS

    @property
    def sector(self) -> str | None:
        """The host whose clients call a person by the same name; None for public subjects (OIDC Core §8.1)."""
        if self.subject_type == "public":
            return None
        if self.sector_identifier_uri is not None:
            return urlsplit(self.sector_identifier_uri).hostname
        hosts = {urlsplit(uri).hostname for uri in self.redirect_uris}
        host = hosts.pop() if len(hosts) == 1 else None
        # every machine has the same loopback, and a private-use scheme no host: unrelated clients would learn who is the same person
        return None if is_loopback(host) else host

    def serves_alone(self, system: str) -> bool:
        """R54: whether it is the very client of that business system, which may ask for no other licence."""
        return self.system == system and scopes.systems_of(self.scopes) == {system}

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes it may ask for."""
        return scopes.split(self.scope)


def judge(members: dict[str, Any], file: str | None = None) -> Registration:
    """A valid registration; BadInput names the file and the first wrong member."""
    try:
        whole = dumps(profiles.with_defaults(members))
    except (TypeError, ValueError) as error:  # TOML knows dates, JSON does not
        raise BadInput(f"holds a value that metadata cannot hold: {error}", file=file) from error
    try:
        return Registration.model_validate_json(whole)  # JSON mode: lists become tuples, nothing else is converted
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        reason = "no such member" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        raise BadInput(reason, file=file, field=".".join(str(part) for part in problem["loc"]) or None) from error
