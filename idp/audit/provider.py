"""The catalogue of the OpenID Provider's events; see catalogue.py for what holds of every event."""

from datetime import datetime

from idp.audit.writing import write


def client_changed(now: datetime, *, client_id: str, change: str) -> None:
    """A client was added, updated, disabled or the like."""
    write("oidc.client.changed", now, client_id=client_id, detail={"change": change})


def account_event_refused(now: datetime, *, client_id: str, event: str, reason: str) -> None:
    """A client said that it does not take our word on a joined account (RFC 8935 §2.4); it is not told again."""
    write("oidc.account_event.refused", now, client_id=client_id, detail={"event": event, "reason": reason})


def client_logo_kept(now: datetime, *, client_id: str, version: str) -> None:
    """A client's logo was fetched and drawn anew; from now on pages show it."""
    write("oidc.client.logo.kept", now, client_id=client_id, detail={"version": version})


def client_logo_refused(now: datetime, *, client_id: str, reason: str) -> None:
    """What stands at a client's `logo_uri` is no picture that we take, or the address is none that we call."""
    write("oidc.client.logo.refused", now, client_id=client_id, detail={"reason": reason})


def initial_access_token_made(now: datetime, *, policy: str, uses: int) -> None:
    """An operator allowed `uses` clients to register themselves over HTTP."""
    write("oidc.initial_access_token.made", now, detail={"policy": policy, "uses": uses})


def signing_key_changed(now: datetime, *, kid: str, change: str) -> None:
    """A signing key was made, became current, retired or was withdrawn."""
    write("oidc.key.changed", now, detail={"kid": kid, "change": change})


def client_refused(now: datetime, *, client_id: str | None, reason: str) -> None:
    """A client failed to prove itself, or showed something it may not."""
    write("oidc.client.refused", now, client_id=client_id, detail={"reason": reason})


def authorized(now: datetime, *, account_id: int, session_id: int, client_id: str, scope: str) -> None:
    """An authorization code left for a client."""
    write("oidc.authorized", now, account_id=account_id, session_id=session_id, client_id=client_id, detail={"scope": scope})


def device_approved(now: datetime, *, account_id: int, session_id: int, client_id: str, scope: str) -> None:
    """A person said yes to a device (RFC 8628)."""
    write("oidc.device.approved", now, account_id=account_id, session_id=session_id, client_id=client_id, detail={"scope": scope})


def device_denied(now: datetime, *, account_id: int, client_id: str) -> None:
    """A person said no to a device."""
    write("oidc.device.denied", now, account_id=account_id, client_id=client_id)


def consent_given(now: datetime, *, account_id: int, client_id: str, scope: str, claims: list[str]) -> None:
    """A person allowed a client these scopes and single claims; it is remembered."""
    write("oidc.consent.given", now, account_id=account_id, client_id=client_id, detail={"scope": scope, "claims": claims})


def consent_withdrawn(now: datetime, *, account_id: int, client_id: str) -> None:
    """A person took back what they had allowed a client."""
    write("oidc.consent.withdrawn", now, account_id=account_id, client_id=client_id)


def tokens_issued(now: datetime, *, account_id: int | None, client_id: str, grant_id: int | None, scope: str) -> None:
    """Tokens left for a client."""
    write("oidc.tokens.issued", now, account_id=account_id, client_id=client_id, detail={"grant": grant_id, "scope": scope})


def access_token_revoked(now: datetime, *, client_id: str, grant_id: int | None) -> None:
    """A client took one of its access tokens back; `grant_id` is None for a token in its own name."""
    write("oidc.access_token.revoked", now, client_id=client_id, detail={"grant": grant_id})


def grant_ended(now: datetime, *, account_id: int | None, client_id: str, grant_id: int, reason: str) -> None:
    """A grant ended (code_replayed, signed_out, password_changed, …)."""
    write("oidc.grant.ended", now, account_id=account_id, client_id=client_id, detail={"grant": grant_id, "reason": reason})
