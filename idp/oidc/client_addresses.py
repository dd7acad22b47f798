"""The addresses in a registration that we would call ourselves: judged when it is registered, before any transaction, and again when called."""

import json

from idp.adapters import Outbound, Unreachable
from idp.errors import BadInput
from idp.oidc.registration import CALLED_URIS, Registration


def judge(registration: Registration, outbound: Outbound) -> None:
    """BadInput if one of them would never be called, or if the sector's document does not name every redirect URI.

    All of it takes the time of one call at most, for somebody waits meanwhile: BadInput when that is over.
    """
    reached = registration.reached_by(outbound).together()
    for member in CALLED_URIS:
        uri = getattr(registration, member)
        refused = reached.refuses(uri) if uri else None
        if refused == "time":
            raise BadInput(f"{uri!r} could not be looked up in time", field=member)
        if refused:
            # why is for operators: a stranger would learn what names mean in this network
            hint = "" if registration.public_addresses_only else f" ({refused}); IDP_OUTBOUND_ALLOW opens places in private networks"
            raise BadInput(f"{uri!r} would never be called{hint}", field=member)
    if registration.sector_identifier_uri:
        _judge_sector(registration, registration.sector_identifier_uri, reached)


def called(registration: Registration) -> bool:
    """Whether judging it looks any name up."""
    return any(getattr(registration, member) for member in CALLED_URIS)


def _judge_sector(registration: Registration, uri: str, outbound: Outbound) -> None:
    try:
        answer = outbound.get(uri)
        named = json.loads(answer.body) if answer.status == 200 else None
    except (Unreachable, ValueError, RecursionError):
        named = None
    # OIDC Registration §5: a JSON array that holds every redirect URI. One sentence for every fault, so that nobody learns what answers where.
    if not isinstance(named, list) or not set(registration.redirect_uris) <= {each for each in named if isinstance(each, str)}:
        raise BadInput(f"no JSON array that names every redirect URI can be read at {uri!r}", field="sector_identifier_uri")
