"""Why an e-key was refused: a reason for the audit, and the one public text of a fault that the user can mend (R67).

Whoever holds a foreign card learns no more than its owner can do something about: all faults of a certificate that only the office can mend
share one text.
"""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from idp.errors import Refusal

AGAIN = "ekey_again"
START_ANEW = "ekey_start_anew"
EXPIRED = "ekey_expired"
NOT_YET_VALID = "ekey_not_yet_valid"
REVOKED = "ekey_revoked"
UNKNOWN_ISSUER = "ekey_unknown_issuer"
UNCHECKED = "ekey_unchecked"
UNFIT = "ekey_unfit"
NO_CERTIFICATE = "ekey_no_certificate"
OUTDATED = "ekey_outdated"
NOT_BOUND = "ekey_not_bound"
BOUND_TO_OTHER = "ekey_bound_to_other"
LOST = "ekey_lost"
DAMAGED = "ekey_damaged"
REPLACED = "ekey_replaced"
TOO_MANY = "ekey_too_many"

# what the agent may say, what the page's script finds out itself, and what the roads beside it come back with (R67)
FAULTS = (
    *("ekey_no_agent", OUTDATED, "ekey_blocked", "ekey_no_reader", "ekey_no_card", "ekey_several_cards", "ekey_pin_wrong", "ekey_pin_blocked"),
    *("ekey_cancelled", "ekey_card_removed", "ekey_not_piv", "ekey_pcsc", "ekey_busy", "ekey_other", AGAIN, NO_CERTIFICATE, START_ANEW),
)
# no further try helps with these: the page says how to go on without the key, or whom to call
HOPELESS = (
    *(EXPIRED, "ekey_expired_on", NOT_YET_VALID, "ekey_not_yet_valid_on", REVOKED, UNKNOWN_ISSUER, UNCHECKED, UNFIT),
    *(NOT_BOUND, LOST, DAMAGED, REPLACED, TOO_MANY, "ekey_pin_blocked"),
)

# the same with the day in it, where it is known
DATED = {EXPIRED: "ekey_expired_on", NOT_YET_VALID: "ekey_not_yet_valid_on"}

# reason → public code; the number is the step of verification that gives it
PUBLIC = {
    # 0
    "challenge": AGAIN,
    # 1
    "malformed": UNFIT,
    "no_certificate": NO_CERTIFICATE,
    "agent_outdated": OUTDATED,
    # 2
    "expired": EXPIRED,
    "not_yet_valid": NOT_YET_VALID,
    "unknown_issuer": UNKNOWN_ISSUER,
    "path": UNKNOWN_ISSUER,
    "issuer_out_of_time": UNKNOWN_ISSUER,
    "issuer_no_ca": UNKNOWN_ISSUER,
    "issuer_weak": UNKNOWN_ISSUER,
    # 3
    "revoked": REVOKED,
    "issuer_revoked": UNKNOWN_ISSUER,
    "crl_missing": UNCHECKED,
    "crl_stale": UNCHECKED,
    "crl_early": UNCHECKED,
    "crl_signature": UNCHECKED,
    "crl_unfit": UNCHECKED,
    "ocsp_unknown": UNCHECKED,
    # 4
    "ca_as_leaf": UNFIT,
    "key_usage": UNFIT,
    "extended_key_usage": UNFIT,
    "policy": UNFIT,
    "weak_key": UNFIT,
    "weak_digest": UNFIT,
    # 5
    "algorithm": UNFIT,
    "signature": AGAIN,
    # 6
    "name": UNFIT,
    "serial": UNFIT,
    # 7
    "not_bound": NOT_BOUND,
    "serial_mismatch": NOT_BOUND,
    "bound_to_other": BOUND_TO_OTHER,
    "key_withdrawn": REVOKED,
    "key_lost": LOST,
    "key_damaged": DAMAGED,
    "key_replaced": REPLACED,
    "too_many_keys": TOO_MANY,
    "key_revoked": REVOKED,
    "key_expired": EXPIRED,
    "key_not_yet_valid": NOT_YET_VALID,
    "enterprise_cancelled": UNFIT,
}


@dataclass(frozen=True)
class Refused:
    """Refused at `step` for `reason` (a key of PUBLIC); `detail` is for the audit alone.

    `day` (Beijing) on which a key ended or begins, `owner`: the user name that it belongs to, where the holder may know.
    """

    step: int
    reason: str
    detail: str = ""
    day: date | None = None
    owner: str = ""

    @property
    def public(self) -> str:
        """The code of the sentence that the person reads: `error.<code>`."""
        code = PUBLIC[self.reason]
        return DATED.get(code, code) if self.day is not None else code

    def told(self) -> Refusal:
        """That sentence, with the day and the name in it."""
        known = {"date": self.day, "name": self.owner}
        return Refusal(self.public, args={name: value for name, value in known.items() if value})

    def kept(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"day": self.day.isoformat() if self.day else None}

    @classmethod
    def again(cls, kept: dict[str, Any]) -> "Refused":
        """What was kept."""
        return cls(**kept | {"day": date.fromisoformat(kept["day"]) if kept["day"] else None})
