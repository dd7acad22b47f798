"""A person with a browser: opens pages, fills the form that is shown, follows where it leads."""

import re
from html.parser import HTMLParser

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from idp import opaque_tokens
from idp.captcha.models import CaptchaChallenge
from idp.captcha.rules import PURPOSE
from idp.db import session
from idp.one_time_codes import delivery
from idp.worker import deliver


class ShownPage(HTMLParser):
    """The first form of <main>: where it goes and what it holds already; and the page's heading."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.heading = ""
        self._in_main = self._done = self._in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_main |= tag == "main"
        self._in_heading = tag == "h1"
        if tag == "form" and self._in_main and not self.action:
            self.action = values["action"]
        if tag == "input" and self.action and not self._done and values.get("name"):
            if values.get("type") in ("radio", "checkbox") and "checked" not in values:
                return
            self.fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._done |= tag == "form" and bool(self.action)
        self._in_heading &= tag != "h1"

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.heading += data.strip()


class Person:
    """One browser. `page` is the last answer; `at` its path."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.client = app.test_client()
        self.page: TestResponse

    @property
    def at(self) -> str:
        return self.page.request.path

    @property
    def text(self) -> str:
        return self.page.get_data(as_text=True)

    def open(self, path: str) -> TestResponse:
        self.page = self.client.get(path, follow_redirects=True)
        return self.page

    def form(self) -> ShownPage:
        parsed = ShownPage()
        parsed.feed(self.text)
        return parsed

    @property
    def heading(self) -> str:
        return self.form().heading

    def prepare(self, **typed: str) -> tuple[str, dict[str, str]]:
        """Where the shown form goes, and its fields with what is typed; the captcha is read off the database as eyes would read the picture."""
        form = self.form()
        assert form.action, f"no form at {self.at}"
        fields = form.fields | typed
        if "captcha_id" in fields and "captcha" not in typed:
            fields["captcha"] = self.read_captcha(fields["captcha_id"])
        return form.action, fields

    def read_captcha(self, challenge_id: str) -> str:
        with self.app.app_context():
            sealed = session.scalar(select(CaptchaChallenge.sealed_answer).where(CaptchaChallenge.id == challenge_id)) or ""
            return opaque_tokens.unseal(self.app.extensions["idp"].secret, PURPOSE, sealed)

    def submit(self, **typed: str) -> TestResponse:
        """Send the shown form and follow where it leads."""
        action, fields = self.prepare(**typed)
        self.page = self.client.post(action, data=fields, follow_redirects=True)
        return self.page

    def type_password(self, name: str, password: str) -> TestResponse:
        """From the address of the manual to the answer of the password form."""
        self.open("/loginCorp.html")
        return self.submit(username=name, password=password)

    def sign_in(self, name: str, password: str, new_password: str) -> TestResponse:
        """The whole first sign-in: old password, new password, contacts, hall."""
        self.type_password(name, password)
        if self.at.endswith("/change"):
            self.submit(new_password=new_password, confirm_password=new_password)
        if self.at.endswith("/contacts"):
            self.give_contacts(mobile="13800138000", email="user@example.cn")
        return self.page

    def give_contacts(self, **given: str) -> TestResponse:
        """Fill in the contacts and prove the first of them."""
        self.submit(**given)
        return self.submit(**{f"{next(iter(given))}_code": self.read_code()})

    def read_code(self, channel: str = "mobile") -> str:
        """The newest code on this person's telephone or in their mailbox."""
        runtime = self.app.extensions["idp"]
        deliver(self.app, {delivery.CODE: delivery.deliver(runtime.adapters, runtime.secret)})
        box = runtime.adapters.sms.box
        return str(re.findall(r"\d{6}", box.texts[-1][1] if channel == "mobile" else box.mails[-1][2])[0])
