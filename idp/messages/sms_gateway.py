"""Short messages through a gateway of the operator's choice, over HTTPS: signed, and with a key by which a repeated one is known.

What is sent and answered stands in docs/sms-gateway.md. The request goes by the one safe client; nothing of it is logged.
"""

import hmac
import json
from hashlib import sha256

from idp.adapters import Clock, Outbound
from idp.outbox import queue

MEDIA_TYPE = "application/json"
KNOWN_ALREADY = 409


class Refused(OSError):
    """The gateway did not take it; the outbox tries again, and gives up with an audit event."""


class Sms:
    """`url` and `secret` as the settings say; `outbound` reaches the gateway."""

    def __init__(self, url: str, secret: str, outbound: Outbound, clock: Clock) -> None:
        """Nothing is sent yet."""
        self._url, self._secret, self._outbound, self._clock = url, secret, outbound, clock

    def send(self, to: str, text: str) -> None:
        """Deliver or raise OSError. The same item of the outbox has the same key at each try, so that nobody reads it twice."""
        key = queue.delivering.get()
        body = json.dumps({"to": to, "text": text, "id": key}, ensure_ascii=False).encode()
        answer = self._outbound.push(self._url, MEDIA_TYPE, body, headers={**self._signature(body), "Idempotency-Key": key})
        # a key that it knows: an earlier try got through, and only its answer was lost
        if not 200 <= answer.status < 300 and answer.status != KNOWN_ALREADY:
            raise Refused(f"the SMS gateway answered {answer.status}")

    def _signature(self, body: bytes) -> dict[str, str]:
        at = str(int(self._clock.now().timestamp()))
        made = hmac.new(self._secret.encode(), f"{at}\n".encode() + body, sha256).hexdigest()
        return {"X-Timestamp": at, "X-Signature": made}
