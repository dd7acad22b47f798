"""The agent in this process, and a page that asks it."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from idp.ekey.agent.authentication import Authentication
from idp.ekey.agent.cards import Readers
from idp.ekey.agent.events import Events
from idp.ekey.agent.guard import Guard
from idp.ekey.agent.prompts import CallablePrompt, Question
from idp.ekey.agent.service import Parts, make_server

ORIGIN, OTHER_ORIGIN = "https://idp.test", "https://backup.idp.test:8443"
NONCE = "9mVfxhGAMRjcRkzPWCz3zq3KmAT9EUxkZ8ZbBLcW5cE="


@dataclass
class Person:
    """Gives a PIN, or what a test puts in its place; remembers what was asked."""

    pin: str | None = "123456"
    uses_last_try: bool = False
    meanwhile: Callable[[], None] = lambda: None
    asked: list[Question] = field(default_factory=list)

    def give(self, question: Question) -> str | None:
        self.asked.append(question)
        self.meanwhile()
        return self.pin


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Page:
    """A page of `origin` in a browser that shares the agent's computer."""

    port: int
    person: Person
    origin: str | None = ORIGIN

    def ask(self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None, host: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"Host": host or f"127.0.0.1:{self.port}"} | ({"Origin": self.origin} if self.origin else {}) | (headers or {})
        try:
            connection.request(method, path, body or None, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()

    def authenticate(self, nonce: str = NONCE) -> Answer:
        return self.ask("POST", "/v1/authenticate", json.dumps({"nonce": nonce}), {"Content-Type": "application/json"})

    def by_form(self, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        form = urlencode({"nonce": NONCE, "state": "s1", **fields})
        return self.ask("POST", "/v1/authenticate-form", form, {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})

    def status(self) -> dict[str, Any]:
        answer = self.ask("GET", "/v1/status")
        assert answer.status == 200
        return dict(answer.json)


@contextmanager
def agent(readers: Readers, person: Person | None = None, origins: frozenset[str] = frozenset({ORIGIN, OTHER_ORIGIN})) -> Iterator[Page]:
    """The agent on a free port, serving these origins."""
    person = person or Person()
    prompt = CallablePrompt(person.give, lambda _: person.uses_last_try)
    events, stop = Events(readers), threading.Event()
    server = make_server(0, lambda port: Parts(Guard(port, origins), Authentication(readers, prompt), events))
    # unlike service.start it looks often whether it should end: a test waits for that
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    threading.Thread(target=events.watch, args=(stop,), daemon=True).start()
    try:
        yield Page(server.server_port, person)
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
