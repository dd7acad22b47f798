"""The way of a code to its reader: sealed in the outbox, words made at delivery, nothing sent that is no longer good."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from idp import opaque_tokens
from idp.adapters import Adapters
from idp.db import session
from idp.messages import words
from idp.one_time_codes.models import OneTimeCode
from idp.outbox import queue

CODE = "one_time_code"


@dataclass(frozen=True)
class Letter:
    """What the handler needs; `digest` names the row, which may have been written over since."""

    purpose: str
    subject: str
    channel: str
    recipient: str
    code: str
    digest: str
    locale: str


def enqueue(letter: Letter, secret: str, now: datetime) -> None:
    """To be delivered after the caller's commit; neither code nor recipient can be read off the queue."""
    queue.enqueue(CODE, {"sealed": opaque_tokens.seal(secret, CODE, json.dumps(asdict(letter)))}, now)


def deliver(adapters: Adapters, secret: str) -> Callable[[dict[str, Any]], None]:
    """The handler; OSError = try again. A code that is over or has a newer one is dropped: a late one would only be typed in vain."""

    def handle(payload: dict[str, Any]) -> None:
        letter = Letter(**json.loads(opaque_tokens.unseal(secret, CODE, payload["sealed"])))
        mine = (OneTimeCode.purpose == letter.purpose, OneTimeCode.subject == letter.subject, OneTimeCode.digest == letter.digest)
        alive = (OneTimeCode.spent_at.is_(None), OneTimeCode.expires_at > adapters.clock.now())
        good = session.scalar(select(OneTimeCode.sent_at).where(*mine, *alive)) is not None
        session.rollback()
        if not good:
            return
        message = f"code.{letter.purpose}"
        kind = words.code_kind(letter.channel, letter.locale)
        text = words.text(message, locale=letter.locale, code=letter.code, kind=kind)
        if letter.channel == "mobile":
            adapters.sms.send(letter.recipient, text)
        else:
            adapters.mail.send(letter.recipient, words.subject(message, letter.locale), text)

    return handle
