"""A person before a browser without JavaScript: follows redirects, fills the forms that are shown, and comes back where the relying party waits."""

from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import requests

from tests.interop.served import NAME, PASSWORD
from tests.person import ShownPage

HOPS = 25


@dataclass(frozen=True)
class Arrival:
    """Where the way ended: the address, what was posted there (form_post), and the page unless the driver stopped before it."""

    url: str
    form: dict[str, str] = field(default_factory=dict)
    page: requests.Response | None = None

    @property
    def text(self) -> str:
        return self.page.text if self.page is not None else ""


class Visitor:
    """One browser, whose cookies are shared over the ports of a host as in any browser."""

    def __init__(self, issuer: str, name: str = NAME, password: str = PASSWORD) -> None:
        self.issuer, self.name, self.password = issuer, name, password
        self.session = requests.Session()
        self.seen: list[str] = []
        # whether the person says no on the first page that lets them
        self.refuses = False

    def go(self, url: str, until: str | None = None) -> Arrival:
        """Follow `url`, signing in and agreeing where asked; stops before fetching an address that starts with `until`."""
        self.seen = []
        form: dict[str, str] | None = None
        for _ in range(HOPS):
            if until is not None and url.startswith(until):
                return Arrival(url, form or {})
            self.seen.append(url)
            page = self.session.request("GET" if form is None else "POST", url, data=form, allow_redirects=False, timeout=20)
            assert page.status_code < 500, f"{url}: {page.status_code}"
            if page.is_redirect:
                url, form = urljoin(url, page.headers["Location"]), None
                continue
            action, form = self._answer(page)
            if not action:
                return Arrival(url, {}, page)
            url = urljoin(url, action)
        raise AssertionError(f"no end: {self.seen}")

    def _answer(self, page: requests.Response) -> tuple[str, dict[str, str] | None]:
        """Where the shown form goes and what the person types; "" where the way ends."""
        at, shown = urlsplit(page.url).path, ShownPage()
        shown.feed(page.text)
        if not page.url.startswith(self.issuer) or not shown.action or page.status_code != 200:
            return "", None
        if self.refuses and 'value="deny"' in page.text:
            return shown.action, shown.fields | {"action": "deny"}
        if at.endswith("/password"):
            return shown.action, shown.fields | {"username": self.name, "password": self.password}
        if at.endswith("/contacts"):
            return shown.action, shown.fields | {"mobile": "13800138000", "email": "user@example.cn"}
        if at.endswith("/proof"):
            return shown.action, shown.fields | {"action": "later"}
        if at.endswith("/consent") or at == "/device":
            return shown.action, shown.fields | {"action": "allow"}
        # form_post: the form leads to the relying party
        return (shown.action, shown.fields) if "://" in shown.action and not shown.action.startswith(self.issuer) else ("", None)

    def confirm(self, arrival: Arrival) -> Arrival:
        """Press the button of a page that asks (sign-out)."""
        shown = ShownPage()
        shown.feed(arrival.text)
        self.session.post(urljoin(arrival.url, shown.action), data=shown.fields, timeout=20).raise_for_status()
        return arrival
