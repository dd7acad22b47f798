"""POST /api/legacy/<system>/attempt: an old system that keeps its own log-in page asks for the verdict of the legacy entry, and its count (R64)."""

import json
from datetime import datetime
from ipaddress import ip_address
from math import ceil
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, NotFound

from idp import opaque_tokens, pacing, sent_json, web
from idp.accounts.lockout import Caller
from idp.db import transaction
from idp.errors import Refusal
from idp.legacy import entry, entry_attempt
from idp.legacy.entry_attempt import Closed, Door, Passed, Typed
from idp.legacy.views.entry import known
from idp.proxy import network_of
from idp.signin.views.password import hasher

bp = Blueprint("legacy_entry_api", __name__)
# of the client's own system alone: its registration sees to that (scopes.fault)
SCOPE = "legacy_entry:"
MAX_BODY_BYTES, MAX_TEXT_CHARACTERS = 16 * 1024, 2000
NEEDED, OPTIONAL = ("username", "password", "client_ip"), ("enterprise_code",)
BUSY_SECONDS = 5


@bp.post("/api/legacy/<system>/attempt")
@web.access.protocol
@pacing.refusals
def attempt(system: str) -> Response:
    """The verdict: ok with what remains (null = not counted) · wrong · ambiguous · closed with the way on · too_many with Retry-After."""
    caller = web.runtime().hooks.own_client(SCOPE + system)
    if isinstance(caller, Response):
        return caller
    try:
        known(system)
    except NotFound:
        return _answer(404, error="not_found", reason="no such business system")
    sent = _sent()
    return _answer(400, error="invalid_request", reason=sent) if isinstance(sent, str) else _said(_judged(system, sent))


def _judged(system: str, sent: dict[str, str]) -> Passed | Closed | Refusal:
    runtime = web.runtime()
    if entry.over(system, entry.terms(runtime.settings), web.now()):
        return Closed(entry.ENDED)
    # counted by the person's own network, as on our page; without a device, which only a browser of ours has
    network = opaque_tokens.keyed_digest(runtime.secret, "network", network_of(sent["client_ip"]))[:32]
    door = Door(system, entry_attempt.PROGRAM, Caller("", network), runtime.settings, runtime.secret)
    typed = Typed(sent["username"], sent["password"], sent.get("enterprise_code", ""))
    with transaction():
        admitted = entry_attempt.admit(door, typed, None, web.now())
    if isinstance(admitted, Refusal | Closed):
        return admitted
    fitting = entry_attempt.prove(admitted, typed, runtime.secret, hasher())
    with transaction():
        return entry_attempt.settle(door, admitted, fitting, web.now())


def _said(outcome: Passed | Closed | Refusal) -> Response:
    if isinstance(outcome, Passed):
        return _answer(200, result="ok", remaining=outcome.remaining)
    if isinstance(outcome, Closed):
        if outcome.reason == entry_attempt.AMBIGUOUS:
            return _answer(409, result="ambiguous")
        return _answer(403, result="closed", reason=outcome.right or outcome.reason, link=f"{web.runtime().settings.issuer}/login")
    if outcome.code in ("too_many", "locked", "legacy_busy"):
        return _later(outcome.args.get("until"))
    # the rest is one answer: nothing typed is no right password either
    return _answer(401, result="wrong")


def _later(until: datetime | None) -> Response:
    seconds = BUSY_SECONDS if until is None else max(1, ceil((until - web.now()).total_seconds()))
    answer = _answer(429, result="too_many")
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _answer(status: int, **content: Any) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), status, {"Cache-Control": "no-store"}, content_type="application/json")


def _sent() -> dict[str, str] | str:
    """What was sent; a sentence for the program's author if it cannot be used."""
    if request.mimetype != "application/json":
        return "Content-Type must be application/json"
    request.max_content_length = MAX_BODY_BYTES
    try:
        sent = sent_json.members(request.get_data(cache=False))
    except HTTPException:
        return f"longer than {MAX_BODY_BYTES} bytes"
    return sent if isinstance(sent, str) else _fault(sent) or sent


def _fault(sent: dict[str, Any]) -> str | None:
    if not set(NEEDED) <= set(sent) <= {*NEEDED, *OPTIONAL}:
        return f"must hold {', '.join(NEEDED)}, may hold {', '.join(OPTIONAL)}, and nothing else"
    bad = [name for name in (*NEEDED, *OPTIONAL) if name in sent and not sent_json.is_text(sent[name], MAX_TEXT_CHARACTERS)]
    if bad:
        return f"{bad[0]}: not a text of up to {MAX_TEXT_CHARACTERS} characters"
    try:
        ip_address(sent["client_ip"])
    except ValueError:
        return "client_ip: not an address"
    return None
