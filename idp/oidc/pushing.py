"""A signed word that leaves for a client through the outbox: what logout tokens and account events share.

The outbox holds facts only; each attempt signs anew, by the algorithm that the client registered for ID tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from idp.adapters import Outbound
from idp.db import session
from idp.oidc.clients import Client, ClientCache
from idp.oidc.keys import KeyRing
from idp.outbox.queue import Handler


@dataclass(frozen=True)
class Word:
    """Claims to be signed as a token of the type `typ`, for the client's `uri`."""

    uri: str
    typ: str
    claims: dict[str, Any]


class NotTakenError(OSError):
    """The client did not take the token; the outbox tries again."""


# what to tell the client of these facts; None = nothing any more
Say = Callable[[Client, dict[str, Any]], Word | None]
# carry the token there by this way; whether it is done with, taken or not
Hand = Callable[[Outbound, Word, str], bool]


def handler(outbound: Outbound, keys: KeyRing, say: Say, hand: Hand) -> Handler:
    """The handler of an outbox kind whose facts name a `client_id`; OSError = try again."""
    clients = ClientCache()

    def handle(facts: dict[str, Any]) -> None:
        client = clients.find(facts["client_id"])
        word = say(client, facts) if client is not None else None
        if client is None or word is None:
            return
        token = keys.latest().sign(word.claims, client.registration.id_token_signed_response_alg, word.typ)
        # nothing stays open while another server takes its time
        session.rollback()
        if not hand(client.registration.reached_by(outbound), word, token):
            raise NotTakenError(f"{client.client_id} did not take {word.typ}")

    return handle
