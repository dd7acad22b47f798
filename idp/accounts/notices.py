"""What the outbox tells people of changes to their account: to proven contacts alone, one item for each, so that one that fails repeats no other."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from idp.accounts import channels
from idp.accounts.models import Account
from idp.adapters import Adapters
from idp.db import session
from idp.messages import words
from idp.outbox.queue import enqueue

NOTICE = "account_notice"


def announce(message: str, account: Account, now: datetime, **values: str) -> None:
    """Tell it in the commit of the change; the words are `message.<message>`, with name and service telephone beside `values`."""
    for way in channels.proven(account):
        enqueue(NOTICE, {"message": message, "account_id": account.id, "channel": way.channel, "values": values}, now)


def tell(adapters: Adapters, telephone: str) -> Callable[[dict[str, Any]], None]:
    """The handler: look the contact up again and write to it; OSError = try again."""

    def handle(payload: dict[str, Any]) -> None:
        account = session.get(Account, payload["account_id"])
        way = next((way for way in channels.proven(account) if way.channel == payload["channel"]), None) if account is not None else None
        name = account.canonical_name if account is not None else ""
        session.rollback()
        if way is None:  # it has changed meanwhile, or the account is no more
            return
        text = words.text(payload["message"], name=name, phone=telephone, **payload["values"])
        if way.channel == "mobile":
            adapters.sms.send(way.recipient, text)
        else:
            adapters.mail.send(way.recipient, words.subject(payload["message"]), text)

    return handle
