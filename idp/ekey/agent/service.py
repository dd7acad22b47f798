"""The HTTP service of the agent, on 127.0.0.1 only, on the standard library: four routes for one person need no framework.

The origin that a token is made for is the request's `Origin`, which a page cannot forge; no body names it. Bodies and tokens are not logged.
"""

import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

from idp.ekey.agent import APP_VERSION
from idp.ekey.agent.authentication import Authentication
from idp.ekey.agent.bodies import LARGEST_BODY, form_of, nonce_of
from idp.ekey.agent.cards import CardFault
from idp.ekey.agent.events import Events
from idp.ekey.agent.guard import Guard, Refusal, cors, preflight

LOG = logging.getLogger("idp.ekey.agent")
ADDRESS = "127.0.0.1"
IDLE_SECONDS = 15  # a client that is silent longer loses its connection
HEARTBEAT_SECONDS = 15
CARD_FAULT = 409
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
ALWAYS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Vary": "Origin",
}


@dataclass(frozen=True)
class Parts:
    """What the routes work with."""

    guard: Guard
    authentication: Authentication
    events: Events


class Handler(BaseHTTPRequestHandler):
    """One connection. A subclass made by `make_server` carries `parts`."""

    parts: Parts
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server_version, sys_version = APP_VERSION, ""

    def do_GET(self) -> None:
        """Routes that read."""
        self._serve("GET")

    def do_POST(self) -> None:
        """Routes that sign."""
        self._serve("POST")

    def do_OPTIONS(self) -> None:
        """Preflights of browsers (Fetch §3.2.2)."""
        self._serve("OPTIONS")

    @property
    def _origin(self) -> str:
        return self.headers.get("Origin", "")

    def _serve(self, method: str) -> None:
        refusal = self.parts.guard.refusal(self.headers.get_all("Host", []), self.headers.get_all("Origin", []))
        if refusal:
            self._refuse(refusal)
            return
        wanted, run = ROUTES.get(self.path, ("", None))
        if run is None:
            self._refuse(Refusal.NOT_FOUND)
        elif method == "OPTIONS":
            self._answer(204, b"", preflight(wanted))
        elif method != wanted:
            self._refuse(Refusal.METHOD)
        else:
            run(self)

    def status(self) -> None:
        """Who is in the reader; needs no PIN."""
        self._answer_json(200, self.parts.authentication.status())

    def authenticate(self) -> None:
        """A token for the nonce, after the PIN."""
        body = self._body(JSON)
        if body is None:
            return
        nonce = nonce_of(body)
        if nonce is None:
            self._refuse(Refusal.BODY)
            return
        try:
            token = self.parts.authentication.token(self._origin, nonce)
        except CardFault as fault:
            LOG.info("authentication for %s: %s", self._origin, fault.code)
            self._answer_json(CARD_FAULT, {"error": fault.code.value, "tries": fault.tries})
            return
        LOG.info("authentication for %s: signed", self._origin)
        self._answer(200, token.to_json().encode(), {"Content-Type": JSON})

    def authenticate_form(self) -> None:
        """The same for browsers that let no page speak to this computer: a form comes, and a redirect takes the token to the platform."""
        # only as a page of its own: in a frame nobody would see where the PIN goes (Fetch Metadata)
        if self.headers.get("Sec-Fetch-Dest", "document") != "document" or self.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
            self._refuse(Refusal.FRAME)
            return
        body = self._body(FORM)
        if body is None:
            return
        form = form_of(body)
        if form is None:
            self._refuse(Refusal.BODY)
            return
        result = self._result(form.nonce) | {"state": form.state}
        # the fragment stays in the browser: no log of any server holds the token (RFC 9110 §10.2.2: it is not sent)
        self._answer(303, b"", {"Location": f"{self._origin}/ekey/return#{urlencode(result)}"})

    def _result(self, nonce: str) -> dict[str, str]:
        try:
            return {"token": self.parts.authentication.token(self._origin, nonce).to_json()}
        except CardFault as fault:
            LOG.info("authentication for %s: %s", self._origin, fault.code)
            return {"error": fault.code.value} | ({"tries": str(fault.tries)} if fault.tries is not None else {})

    def events(self) -> None:
        """Insertions and removals as server-sent events, until the page goes."""
        with self.parts.events.listening() as happenings:
            if happenings is None:
                self._refuse(Refusal.CROWDED)
                return
            self.close_connection = True
            self._head(200, {"Content-Type": "text/event-stream"})
            self.wfile.write(b": listening\n\n")
            while True:
                self.wfile.write(_next_event(happenings))

    def _body(self, media_type: str) -> bytes | None:
        """The body, if it is of this type and small; otherwise the request is refused and None comes back."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            self._refuse(Refusal.LENGTH)
        elif len(length) > len(str(LARGEST_BODY)) or int(length) > LARGEST_BODY:
            self._refuse(Refusal.TOO_LARGE)
        elif self.headers.get("Content-Type", "").split(";")[0].strip().lower() != media_type:
            self._refuse(Refusal.MEDIA_TYPE)
        else:
            return self.rfile.read(int(length))
        return None

    def _refuse(self, refusal: Refusal) -> None:
        self.close_connection = True  # a body may be left unread
        self._answer_json(refusal.status, {"error": refusal.code})

    def _answer_json(self, status: int, content: Mapping[str, object]) -> None:
        self._answer(status, json.dumps(content, ensure_ascii=False).encode(), {"Content-Type": JSON})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        length = {} if status == 204 else {"Content-Length": str(len(body))}
        self._head(status, {**length, **headers})
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers; only pages of allowed origins are let read them."""
        self.send_response(status)
        known = self._origin in self.parts.guard.origins
        readable = cors(self._origin, self.headers.get) if known else {}
        closing = {"Connection": "close"} if self.close_connection else {}
        for name, value in {**ALWAYS, **readable, **closing, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that the base class gives
        """Method, path and status; the base class calls this with the request line, which carries no secret: paths have no query here."""
        LOG.info(format, *(ascii(str(arg).split("?", maxsplit=1)[0])[1:-1] for arg in args))


def _next_event(happenings: "queue.Queue[tuple[str, str]]") -> bytes:
    try:
        kind, reader = happenings.get(timeout=HEARTBEAT_SECONDS)
    except queue.Empty:
        return b": still here\n\n"
    return f"event: {kind}\ndata: {json.dumps({'reader': reader})}\n\n".encode()


ROUTES: dict[str, tuple[str, Callable[[Handler], None]]] = {
    "/v1/status": ("GET", Handler.status),
    "/v1/events": ("GET", Handler.events),
    "/v1/authenticate": ("POST", Handler.authenticate),
    "/v1/authenticate-form": ("POST", Handler.authenticate_form),
}


class Server(ThreadingHTTPServer):
    """Threads end with the program; a page that goes away mid-answer is no event worth a trace."""

    daemon_threads = True
    # on Windows this option would let another program take the port away
    allow_reuse_address = os.name != "nt"

    def handle_error(self, request: object, client_address: object) -> None:
        """Note the kind of failure only: a trace could show values."""
        LOG.info("connection ended", exc_info=False)


def make_server(port: int, parts: Callable[[int], Parts]) -> Server:
    """A server on `port` (0: any) that does not serve yet; `parts` learns the port in use."""
    handler = type("BoundHandler", (Handler,), {})
    server = Server((ADDRESS, port), handler)
    handler.parts = parts(server.server_port)  # type: ignore[attr-defined]  # of the subclass made above
    return server


def start(server: Server, events: Events, stop: threading.Event) -> None:
    """Serve and watch the readers in threads of their own."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=events.watch, args=(stop,), daemon=True).start()
