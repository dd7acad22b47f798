"""Public JSON documents as prebuilt bytes: built again after five seconds at most, answered by ETag."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from flask import Response, request
from werkzeug.wrappers import Response as BaseResponse

from idp import web
from idp.oidc.endpoints.blueprint import provider
from idp.oidc.provider import Prebuilt

LAG_SECONDS = 5


def answer(name: str, build: Callable[[], dict[str, Any]], max_age: int) -> BaseResponse:
    """The document `name`."""
    documents, now = provider().documents, web.now().timestamp()
    found = documents.get(name)
    if found is None or not found.built_at <= now < found.built_at + LAG_SECONDS:
        body = json.dumps(build(), separators=(",", ":")).encode()
        found = documents[name] = Prebuilt(now, body, sha256(body).hexdigest()[:32])
    response = Response(found.body, content_type="application/json")
    response.set_etag(found.etag)
    response.headers["Cache-Control"] = f"public, max-age={max_age}"
    return response.make_conditional(request)
