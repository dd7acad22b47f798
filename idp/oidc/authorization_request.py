"""One authorization request, whatever brought it: query, form, or the store. Reading judges only form; checks.py judges the rest."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from idp.oidc import claims_request, scopes
from idp.oidc.claims_request import ClaimsRequest
from idp.oidc.forms import Form

# Parameters we know and the most characters of each; unknown ones are ignored (RFC 6749 §3.1).
KNOWN = {
    "client_id": 128,
    "redirect_uri": 2000,
    "response_type": 100,
    "response_mode": 50,
    "scope": 1000,
    "state": 2000,
    "nonce": 512,
    "code_challenge": 128,
    "code_challenge_method": 20,
    "prompt": 100,
    "max_age": 10,
    "login_hint": 200,
    "id_token_hint": 8192,
    "acr_values": 500,
    "ui_locales": 200,
    "display": 20,
    "claims": 8192,
    "claims_locales": 200,
    "resource": 500,
    "request": 16384,
    "request_uri": 2000,
    "registration": 2000,
    "dpop_jkt": 64,
}
# a hint that is too long helps nobody and harms nobody
IGNORED_WHEN_LONG = ("login_hint", "ui_locales", "claims_locales", "acr_values", "display")
# What may be asked for, and what it means for a code; `jwt` leaves the choice to us (JARM §2.3.4). No fragment: nothing here reads one.
RESPONSE_MODES = {"query": "query", "form_post": "form_post", "jwt": "query.jwt", "query.jwt": "query.jwt", "form_post.jwt": "form_post.jwt"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# between the members of JSON line breaks and tabs are blanks
_CONTROL_IN_JSON = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
MAX_AGE = re.compile(r"[0-9]{1,9}\Z")


@dataclass(frozen=True)
class AuthorizationRequest:
    """The known parameters, each once; `repeated` and `malformed` name those that were not usable and have no value here."""

    values: Mapping[str, str]
    repeated: frozenset[str] = frozenset()
    malformed: frozenset[str] = frozenset()

    def get(self, name: str) -> str:
        """The value, "" if it was not sent."""
        return self.values.get(name, "")

    @property
    def client_id(self) -> str:
        """Who asks, as it says."""
        return self.get("client_id")

    @property
    def redirect_uri(self) -> str:
        """Where it wants the answer."""
        return self.get("redirect_uri")

    @property
    def response_mode(self) -> str:
        """How the answer travels, one of RESPONSE_MODES; also for errors, and `query` if the request's own word is no mode of ours."""
        return RESPONSE_MODES.get(self.get("response_mode"), "query")

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it asks for."""
        return scopes.split(self.get("scope"))

    @property
    def prompt(self) -> frozenset[str]:
        """The prompt words."""
        return frozenset(self.get("prompt").split())

    @property
    def silent(self) -> bool:
        """Whether no page may be shown."""
        return "none" in self.prompt

    @property
    def acr_values(self) -> tuple[str, ...]:
        """The levels it wishes for, best first."""
        return tuple(self.get("acr_values").split()[:10])

    @cached_property
    def claims(self) -> ClaimsRequest | None:
        """The claims asked for one by one; None if that parameter is malformed."""
        return claims_request.parse(self.get("claims")) if self.get("claims") else ClaimsRequest()

    def factors_since(self, default_max_age: int | None, now: datetime) -> datetime | None:
        """The oldest factor time that satisfies prompt and max_age; None = any. Judged once, when the request comes in."""
        # choosing another account is done by signing in with it
        if self.prompt & {"login", "select_account"}:
            return now
        asked = self.get("max_age")
        seconds = int(asked) if MAX_AGE.match(asked) else default_max_age
        return now - timedelta(seconds=seconds) if seconds is not None else None


def read(form: Form) -> AuthorizationRequest:
    """The request in a query or form."""
    values: dict[str, str] = {}
    repeated, malformed = set(), set()
    for name, most in KNOWN.items():
        # RFC 8707 §2: a resource may stand there again
        sent = tuple(dict.fromkeys(form.get(name, ()))) if name == "resource" else form.get(name, ())
        if len(sent) > 1:
            repeated.add(name)
        elif sent and (len(sent[0]) > most or (_CONTROL_IN_JSON if name == "claims" else _CONTROL).search(sent[0])):
            if name not in IGNORED_WHEN_LONG:
                malformed.add(name)
        elif sent:
            values[name] = sent[0]
    return AuthorizationRequest(values, frozenset(repeated), frozenset(malformed))
