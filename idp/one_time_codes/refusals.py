"""What the person reads when a one-time code was not sent or does not count: one set of sentences, each with the name of its channel."""

from datetime import datetime
from math import ceil

from idp.errors import Refusal
from idp.one_time_codes import codes


def of_sending(sent: codes.Sent | codes.Wait | codes.TooMany, field: str, channel: str, now: datetime) -> Refusal | None:
    """Why no code is on its way; None = one is."""
    if isinstance(sent, codes.TooMany):
        return Refusal("code_too_many", field, {"until": sent.until})
    if isinstance(sent, codes.Wait):
        return Refusal("code_wait", field, {"seconds": ceil((sent.until - now).total_seconds()), "channel": channel})
    return None


def of_typing(outcome: str, field: str, channel: str) -> Refusal | None:
    """Why what was typed does not count; None = it is right."""
    if outcome == "ok":
        return None
    return Refusal("code_wrong" if outcome == "wrong" else "code_over", field, {"channel": channel})
