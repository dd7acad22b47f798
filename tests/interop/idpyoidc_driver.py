"""A relying party made of idpyoidc, which finds and registers itself; a program that is asked by lines of JSON (driven.py)."""

import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from idpyoidc.client.defaults import DEFAULT_CLIENT_CONFIGS, DEFAULT_CLIENT_PREFERENCES, DEFAULT_KEY_DEFS, DEFAULT_OIDC_SERVICES
from idpyoidc.client.exception import OidcServiceError
from idpyoidc.client.oidc.registration import Registration as LibraryRegistration
from idpyoidc.client.rp_handler import RPHandler

OWN_SERVICES = {
    "end_session": {"class": "idpyoidc.client.oidc.end_session.EndSession"},
    "read_registration": {"class": "idpyoidc.client.oidc.read_registration.RegistrationRead"},
}


class Registration(LibraryRegistration):  # type: ignore[misc]  # published without types
    """The library's, where RFC 7591 has something that it leaves out."""

    leave: str
    sent: dict[str, Any]

    def __init__(self, upstream_get: Any, conf: dict[str, Any] | None = None) -> None:
        super().__init__(upstream_get, conf=conf)
        self.construct_extra_headers.append(self._with_leave)
        self.post_construct.append(self._with_refresh)

    def _with_leave(self, _context: Any, headers: dict[str, str], **_: Any) -> dict[str, str]:
        # RFC 7591 §3: it knows no initial access token
        return {**headers, "Authorization": f"Bearer {self.leave}"}

    def _with_refresh(self, request_args: Any, **_: Any) -> Any:
        # it computes the grant types from the response types, and so never names this one
        request_args["grant_types"] = [*request_args["grant_types"], "refresh_token"]
        self.sent = request_args.to_dict()
        return request_args

    def post_parse_response(self, response: Any, **_: Any) -> Any:
        # RFC 7591 §2: one string of names; it takes the whole for one name
        if "scope" in response:
            response["scope"] = response["scope"].split()
        return response


class Party:
    """One relying party; each public method is a verb."""

    handler: RPHandler
    issuer: str
    state: str

    def set_up(self, issuer: str, token: str, metadata: dict[str, Any]) -> dict[str, Any]:
        """Discover and register; what was sent and what came back."""
        method = metadata["token_endpoint_auth_method"]
        one = {
            **{name: metadata[name] for name in ("redirect_uris", "post_logout_redirect_uris")},
            "issuer": issuer,
            "client_type": "oidc",
            "add_ons": DEFAULT_CLIENT_CONFIGS[""]["add_ons"],
            "client_authn_methods": [method],
            "services": {**DEFAULT_OIDC_SERVICES, "registration": {"class": Registration}, **OWN_SERVICES},
            "preference": {**DEFAULT_CLIENT_PREFERENCES, "token_endpoint_auth_method": method},
        }
        self.issuer = issuer
        self.handler = RPHandler(metadata["client_uri"], {issuer: one}, key_conf={"key_defs": DEFAULT_KEY_DEFS})
        self.client = self.handler.issuer2rp[issuer] = self.handler.init_client(issuer)
        self.handler.do_provider_info(self.client)
        service = self.client.get_service("registration")
        service.leave = token
        self.handler.do_client_registration(self.client, request_args=metadata)
        return {"sent": service.sent, "registered": self.client.get_context().registration_response.to_dict()}

    def read_registration(self) -> Any:
        """What RFC 7592 tells it of itself."""
        return self.client.do_request("registration_read").to_dict()

    def begin(self, **parameters: Any) -> Any:
        """Where the person is sent."""
        return self.handler.begin(self.issuer, req_args=parameters)

    def finalize(self, url: str) -> dict[str, Any]:
        """The code becomes tokens, whose ID token it checks; then userinfo."""
        found = self.handler.finalize(self.issuer, dict(parse_qsl(urlsplit(url).query)))
        if "error" in found:
            raise OidcServiceError(found["error"])
        self.state = found["state"]
        return {"userinfo": found["userinfo"].to_dict(), "id_token": found["id_token"].to_dict()}

    def refresh(self) -> Any:
        return self.handler.refresh_access_token(self.state).to_dict()

    def userinfo(self) -> Any:
        return self.handler.get_user_info(self.state).to_dict()

    def logout(self, back_to: str) -> Any:
        return self.handler.logout(self.state, post_logout_redirect_uri=back_to)["url"]


def main() -> None:
    """Answer until standard input ends."""
    party = Party()
    for line in sys.stdin:
        asked = json.loads(line)
        verb: Callable[..., Any] = getattr(party, asked["verb"])
        try:
            said = {"done": verb(**asked["given"])}
        except Exception as error:  # noqa: BLE001  # whatever the library throws is its answer
            said = {"failed": {"name": type(error).__name__, "message": str(error)}}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
