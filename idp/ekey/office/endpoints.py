"""POST /api/key-register/keys: the key office's program pushes one row of its list (R66), in force with the answer."""

import json
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import HTTPException

from idp import sent_json, web
from idp.db import transaction
from idp.delimited import Fault
from idp.ekey import withdrawal
from idp.key_register import office_list

bp = Blueprint("key_register", __name__)
SCOPE = "key_register:write"
MAX_BODY_BYTES, MAX_CELL_CHARACTERS = 16 * 1024, 2000


@bp.post("/api/key-register/keys")
@web.access.protocol
def push() -> Response:
    """Take the row in, as the file would; `result` added, changed or unchanged; `warning` if something is odd. The same row again changes nothing."""
    caller = web.runtime().hooks.own_client(SCOPE)
    if isinstance(caller, Response):
        return caller
    cells = _cells()
    if isinstance(cells, Fault):
        return _answer(400, error="invalid_request", field=cells.column, reason=cells.reason)
    try:
        with transaction():
            result = office_list.take_row(cells, web.runtime().secret, web.now())
            if not isinstance(result, Fault):
                # R69: what rests on a key that this row has ended falls back in the same commit
                withdrawal.fall_back(web.today(), web.now(), web.runtime().hooks.key_lost)
    except IntegrityError:
        # the same new key, pushed twice at once
        return _answer(409, error="conflict", reason="pushed twice at once; push it again")
    if isinstance(result, Fault):
        return _answer(422, error="invalid_row", field=result.column, reason=result.reason)
    return _answer(200, result=result.result, **({"warning": result.warning} if result.warning else {}))


def _answer(status: int, **content: Any) -> Response:
    return Response(json.dumps(content, ensure_ascii=False), status, {"Cache-Control": "no-store"}, content_type="application/json")


def _cells() -> dict[str, str] | Fault:
    """Column → text of the one JSON object that was sent."""
    if request.mimetype != "application/json":
        return Fault("body", "Content-Type must be application/json")
    request.max_content_length = MAX_BODY_BYTES
    try:
        sent = sent_json.members(request.get_data(cache=False))
    except HTTPException:
        return Fault("body", f"longer than {MAX_BODY_BYTES} bytes")
    if isinstance(sent, str):
        return Fault("body", sent)
    for column, value in sent.items():
        if not isinstance(value, str) or len(value) > MAX_CELL_CHARACTERS or "\0" in value:
            return Fault(column if column.isprintable() else "body", "not a text, as in the file")
        if not sent_json.is_text(column + value, len(column + value)):
            return Fault("body", "half a character")
    return sent
