"""The step of the authenticator app: its code, or a recovery code in its place. Inside a transaction."""

from datetime import datetime
from typing import Literal

from idp.accounts import notices, totp
from idp.errors import Refusal
from idp.signin import flow, steps
from idp.signin.models import SignInTransaction

RECOVERY_USED = "recovery_code_used"


def settle(row: SignInTransaction, kind: Literal["code", "recovery_code"], typed: str, secret: str, now: datetime) -> Refusal | None:
    """What was typed, judged; None = go on."""
    account = flow.hold_account(row, steps.totp_needed, now)
    if account is None:
        return None
    prove = totp.prove_recovery if kind == "recovery_code" else totp.prove
    refusal = prove(account.id, typed, secret, now)
    if refusal is None:
        flow.record(row, totp_at=now.isoformat(), totp_on=True)
        if kind == "recovery_code":
            notices.announce(RECOVERY_USED, account, now)
        return None
    # switched off meanwhile, by somebody who had proven it
    if refusal.code == "totp_off":
        flow.record(row, totp_on=False)
    return Refusal(refusal.code, kind, refusal.args)
