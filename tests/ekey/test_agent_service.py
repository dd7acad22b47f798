"""Who may ask the agent and how it answers, without a card."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from idp.ekey.agent.cards import Card, CardFault, Code, ReaderState
from idp.ekey.agent.guard import wellformed_origin
from tests.ekey.running_agent import NONCE, ORIGIN, OTHER_ORIGIN, Page, agent

JSON = {"Content-Type": "application/json"}
BODY = json.dumps({"nonce": NONCE})


class NoReaders:
    """A computer without readers."""

    def states(self) -> list[ReaderState]:
        return []

    def open(self, reader: str) -> AbstractContextManager[Card]:
        raise CardFault(Code.NO_READER)

    def changes(self) -> Iterator[list[ReaderState]]:
        yield []


@pytest.fixture
def page() -> Iterator[Page]:
    with agent(NoReaders()) as page:
        yield page


def test_no_reader_is_told(page: Page) -> None:
    assert page.status() == {
        "card": False,
        "username": None,
        "pin_tries": None,
        "not_after": None,
        "error": "no_reader",
        "version": "0.1.0",
        "readers": [],
    }
    answer = page.authenticate()
    assert (answer.status, answer.json) == (409, {"error": "no_reader", "tries": None})


@pytest.mark.parametrize(
    "origin", ["https://evil.test", "http://idp.test", "https://idp.test:444", "https://IDP.test", "https://idp.test/", "null", None]
)
@pytest.mark.parametrize("path", ["/v1/status", "/v1/events", "/v1/authenticate", "/v1/authenticate-form"])
def test_a_foreign_origin_gets_nothing(page: Page, origin: str | None, path: str) -> None:
    page.origin = origin
    for method in ("GET", "POST", "OPTIONS"):
        answer = page.ask(method, path)
        assert (answer.status, answer.json) == (403, {"error": "origin"})
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("host", ["evil.test", "evil.test:{port}", "127.0.0.1", "127.0.0.1:1", "idp.test:{port}", "[::1]:{port}"])
def test_a_rebound_name_is_misdirected(page: Page, host: str) -> None:
    answer = page.ask("GET", "/v1/status", host=host.format(port=page.port))
    assert (answer.status, answer.json) == (421, {"error": "host"})


def test_both_loopback_names_are_ours(page: Page) -> None:
    assert page.ask("GET", "/v1/status", host=f"localhost:{page.port}").status == 200


@pytest.mark.parametrize("origin", [ORIGIN, OTHER_ORIGIN])
@pytest.mark.parametrize("kind", ["Private", "Local"])
def test_preflights_of_our_pages_pass(page: Page, origin: str, kind: str) -> None:
    page.origin = origin
    answer = page.ask(
        "OPTIONS", "/v1/authenticate", headers={f"Access-Control-Request-{kind}-Network": "true", "Access-Control-Request-Method": "POST"}
    )
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers[f"Access-Control-Allow-{kind}-Network"] == "true"
    assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (BODY, {"Content-Type": "text/plain"}, 415),
        (BODY, {}, 415),
        (BODY, {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (BODY, {**JSON, "Transfer-Encoding": "chunked"}, 411),
        ("", JSON, 400),
        ("x" * 5000, JSON, 413),
        ("{", JSON, 400),
        ("[" * 4000, JSON, 400),
        ("[]", JSON, 400),
        (json.dumps({"nonce": NONCE, "origin": "https://evil.test"}), JSON, 400),
        (json.dumps({"nonce": NONCE, "pin": "123456"}), JSON, 400),
        (json.dumps({"nonce": "short"}), JSON, 400),
        (json.dumps({"nonce": 1}), JSON, 400),
    ],
)
def test_bodies_that_are_no_nonce_are_refused(page: Page, body: str, headers: dict[str, str], status: int) -> None:
    assert page.ask("POST", "/v1/authenticate", body, headers).status == status
    assert page.person.asked == []


def test_other_paths_and_methods(page: Page) -> None:
    assert page.ask("GET", "/").status == 404
    assert page.ask("GET", "/v1/status?x=1").status == 404
    assert page.ask("GET", "/v1/authenticate").status == 405
    assert page.ask("POST", "/v1/status", BODY, JSON).status == 405


def test_the_form_road_leads_back_with_what_went_wrong(page: Page) -> None:
    answer = page.by_form()
    assert answer.status == 303
    assert answer.headers["Location"] == f"{ORIGIN}/ekey/return#error=no_reader&state=s1"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("fields", [{"extra": "1"}, {"pin": "123456"}, {"state": "a b"}, {"state": ""}, {"nonce": "short"}, {"state": "x" * 257}])
def test_forms_that_are_none_of_ours_are_refused(page: Page, fields: dict[str, str]) -> None:
    answer = page.by_form(None, **fields)
    assert answer.status == 400
    assert "Location" not in answer.headers


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "cors"}])
def test_the_form_road_is_for_whole_pages(page: Page, headers: dict[str, str]) -> None:
    assert page.by_form(headers).json == {"error": "frame"}


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("https://idp.test", True),
        ("https://idp.test:8443", True),
        ("http://127.0.0.1:8000", True),
        ("http://idp.localhost:8000", True),
        ("http://idp.test", False),
        ("https://idp.test/", False),
        ("https://idp.test:443", False),
        ("https://Idp.test", False),
        ("https://a@idp.test", False),
        ("https://idp.test:x", False),
        ("*", False),
        ("null", False),
        ("", False),
    ],
)
def test_origins_are_spelled_as_browsers_do(text: str, *, good: bool) -> None:
    assert wellformed_origin(text) is good
