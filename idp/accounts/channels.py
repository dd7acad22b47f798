"""Where a one-time code for an account may go, and whether it can prove more than its password at all (R57, R68).

What this installation has no gateway for is no way, whatever was proven when there was one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from idp import web
from idp.accounts import totp
from idp.accounts.contacts import mask_email, mask_mobile
from idp.accounts.models import Account

MASKS: dict[str, Callable[[str], str]] = {"mobile": mask_mobile, "email": mask_email}


@dataclass(frozen=True)
class Way:
    """One contact of an account; `proven`: by a code before."""

    channel: Literal["mobile", "email"]
    recipient: str
    proven: bool

    @property
    def masked(self) -> str:
        """As pages show it."""
        return MASKS[self.channel](self.recipient)


def ways(account: Account) -> list[Way]:
    """Mobile number and address as far as the person gave them and a code can reach them, the proven ones first."""
    found = [
        *([Way("mobile", account.mobile, account.mobile_proven_at is not None)] if account.mobile else []),
        *([Way("email", account.email, account.email_proven_at is not None)] if account.email else []),
    ]
    reached = web.runtime().settings.code_channels
    return sorted((way for way in found if way.channel in reached), key=lambda way: not way.proven)


def proven(account: Account) -> list[Way]:
    """Those that a code has proven."""
    return [way for way in ways(account) if way.proven]


def ever_proven(account: Account) -> bool:
    """Whether any contact was, also one that this installation cannot reach at present: nothing weaker stands in its place then."""
    return account.mobile_proven_at is not None or account.email_proven_at is not None


def among(found: Sequence[Way], channel: str, recipient: str) -> bool:
    """Whether this contact is one of those; mailboxes are one in every case, as for codes."""
    return any(way.channel == channel and way.recipient.casefold() == recipient.casefold() for way in found)


def second_proof(account: Account) -> bool:
    """Whether the account has anything beside its password that can be asked for at a sign-in."""
    return bool(proven(account)) or totp.is_on(account.id)
