"""What the outbox tells people of changes to their account: to proven contacts alone, one item for each, so that one that fails repeats no other."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from idp import opaque_tokens
from idp.accounts import channels
from idp.accounts.channels import Way
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


def announce_to(ways: Iterable[Way], message: str, account: Account, secret: str, now: datetime, **values: str) -> None:
    """The same to contacts that are the account's no more once this is committed, so they travel sealed."""
    for way in ways:
        sealed = opaque_tokens.seal(secret, NOTICE, way.recipient)
        enqueue(NOTICE, {"message": message, "account_id": account.id, "channel": way.channel, "to": sealed, "values": values}, now)


def tell(adapters: Adapters, telephone: str, secret: str) -> Callable[[dict[str, Any]], None]:
    """The handler: look the contact up again and write to it; OSError = try again."""

    def handle(payload: dict[str, Any]) -> None:
        account = session.get(Account, payload["account_id"])
        to = _recipient(payload, account, secret)
        name = account.canonical_name if account is not None else ""
        session.rollback()
        if to is None:  # it has changed meanwhile, or the account is no more
            return
        text = words.text(payload["message"], name=name, phone=telephone, **payload["values"])
        if payload["channel"] == "mobile":
            adapters.sms.send(to, text)
        else:
            adapters.mail.send(to, words.subject(payload["message"]), text)

    return handle


def _recipient(payload: dict[str, Any], account: Account | None, secret: str) -> str | None:
    if account is None:
        return None
    if "to" in payload:
        return opaque_tokens.unseal(secret, NOTICE, payload["to"])
    return next((way.recipient for way in channels.proven(account) if way.channel == payload["channel"]), None)
