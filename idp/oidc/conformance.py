"""What a run of the OpenID Foundation's certification suite needs: a person with every claim past every first-run page, and its clients."""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from idp import opaque_tokens
from idp.accounts import credentials, directory
from idp.accounts.models import Account, AccountName
from idp.db import session
from idp.enterprises import codes
from idp.enterprises.models import Enterprise
from idp.entitlements.models import BusinessSystem, Entitlement
from idp.oidc import clients
from idp.oidc.models import ClientRecord
from idp.oidc.registration import Registration, judge

USER = "conformance"
# the second one is there to show what belongs to the first
CLIENTS = {"conformance-basic": "client_secret_basic", "conformance-post": "client_secret_post", "conformance-second": "client_secret_basic"}
ENTERPRISE_CODE = "0000000000000"
USCC_BODY = "91110000000000000"
# the right that an office gives, so that no key register is needed
SYSTEM = "mech_electrical"


def registrations(base: str) -> list[Registration]:
    """The clients; `base` is the suite's address of one alias, e.g. https://localhost.emobix.co.uk:8443/test/a/licence-idp."""
    return [judge({**members(base), "client_id": client_id, "token_endpoint_auth_method": method}) for client_id, method in CLIENTS.items()]


def members(base: str) -> dict[str, Any]:
    """What all clients of the suite have."""
    return {
        "client_name": "OpenID conformance suite",
        # the suite's second client answers with a query of its own
        "redirect_uris": [f"{base}/callback", f"{base}/callback?dummy1=lorem&dummy2=ipsum"],
        "post_logout_redirect_uris": [f"{base}/post_logout_redirect"],
        "backchannel_logout_uri": f"{base}/backchannel_logout",
        "backchannel_logout_session_required": True,
        "grant_types": ["authorization_code", "refresh_token"],
        "first_party": True,
        # its plans for OpenID Connect send no challenge
        "require_pkce": False,
    }


def register(registration: Registration, secret: str | None, now: datetime) -> None:
    """Make the client what it must be, with this secret alone or without any (inside a transaction)."""
    row = session.get(ClientRecord, registration.client_id, with_for_update=True)
    if row is None:
        clients.add(registration, secret, now)
        return
    clients.update(row, registration, None, now)
    if secret is not None:
        clients.set_secret(row, secret, now, clients.NO_OVERLAP)


def person(password_hash: str, now: datetime) -> None:
    """Make the person what they must be, with this password (inside a transaction)."""
    found = session.scalar(select(Account).join(AccountName).where(AccountName.name_key == directory.name_key(USER), AccountName.canonical))
    row = found or _fresh(now)
    row.display_name, row.email, row.mobile, row.status = "Conformance Suite", "conformance@example.com", "+8613800138000", "active"
    row.email_proven_at = row.mobile_proven_at = row.contacts_given_at = now
    session.flush()
    credentials.set_password(row, password_hash, "operator", now)
    if session.get(BusinessSystem, SYSTEM) is not None and session.get(Entitlement, (row.id, SYSTEM, "approved")) is None:
        session.add(Entitlement(account_id=row.id, system=SYSTEM, state="approved", since=now))


def _fresh(now: datetime) -> Account:
    uscc = USCC_BODY + codes.uscc_check_digit(USCC_BODY)
    owner = session.scalar(select(Enterprise).where(Enterprise.code == ENTERPRISE_CODE))
    owner = owner or Enterprise(code=ENTERPRISE_CODE, uscc=uscc, name="符合性测试企业", name_en="Conformance Test Enterprise", region="110000")
    row = Account(sub=opaque_tokens.make(), enterprise=owner, user_class=2, created_at=now, updated_at=now)
    directory.add_name(row, USER, canonical=True)
    directory.add_name(row, USER, system=SYSTEM, local_name=USER)
    session.add(row)
    return row
