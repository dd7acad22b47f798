"""Coarse limits on page requests per network, against floods only (threats F). What an attacker guesses at is counted by `idp.limits`.

Kept in Redis, shared by all workers, or in each process. It fails open: where Redis is away, each process counts for itself meanwhile.
"""

import time

from flask import Flask, Response, make_response
from flask_limiter import Limiter, RequestLimit

from idp import web
from idp.settings import Settings

# protocol endpoints are called by a few servers for everybody; their refusals, starts and stored requests are counted by `idp.limits`, and counting
# each call here would cost more than the whole of some of them
PAGES = frozenset(["anyone", "person", "officer"])
# a page waits no longer than this for a Redis that takes connections and says nothing
REDIS_SECONDS = 0.2


def _elsewhere() -> bool:
    return web.declared_here() not in PAGES


def _breached(limit: RequestLimit) -> Response:
    answer = make_response(web.error_page("http_429", 429))
    answer.headers["Retry-After"] = str(max(1, int(limit.reset_at - time.time())))
    return answer


def _patience() -> dict[str, str | int]:
    # the limiter's type knows no fractions, the client does
    return {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}  # type: ignore[dict-item]


def init_app(app: Flask, settings: Settings) -> Limiter | None:
    """Count from now on; 0 = no such limit."""
    if not settings.requests_per_minute:
        return None
    limiter = Limiter(
        web.caller_network,
        app=app,
        # one count for all pages together
        application_limits=[f"{settings.requests_per_minute} per minute"],
        storage_uri=settings.redis_url or "memory://",
        storage_options=_patience() if settings.redis_url else {},
        strategy="fixed-window",
        in_memory_fallback_enabled=bool(settings.redis_url),
        swallow_errors=True,
        key_prefix="idp",
        on_breach=_breached,
    )
    limiter.request_filter(_elsewhere)
    return limiter
