"""Whether the time of an answer tells who has an account: `python -m benchmarks.answers [--tries 200]` (threats F).

One process, one SQLite file, wrong passwords and forgotten ones by turns; for each kind of account the median, and how far medians of the same
kind lie apart by chance.
"""

import argparse
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from passlib.hash import bcrypt
from sqlalchemy import delete

from idp import opaque_tokens
from idp.accounts import argon2id, credentials, directory
from idp.accounts.models import Account, FormerPassword, PasswordFailures
from idp.adapters import Adapters, SystemClock
from idp.app import adapters_for, create_app
from idp.captcha.models import CaptchaChallenge
from idp.db import session, transaction, upgrade
from idp.enterprises.models import Enterprise
from idp.limits import LimitWindow
from idp.settings import Settings, master_secret

CODE, WRONG, MOBILE = "0441987654321", "Wrong-Password-1", "+8613800138000"
KINDS = ("unknown", "known", "old-bcrypt", "old-md5", "disabled", "unknown-locked", "known-locked")
HALVES = 200


def furnish(app: Flask, secret: str) -> None:
    """One account of each kind but `unknown`, all with the same proven number."""
    runtime = app.extensions["idp"]
    own = argon2id.hasher(runtime.settings.argon2_memory_kib, runtime.settings.argon2_passes, 0).hash("Right-Password-1")
    old = {"old-bcrypt": ("bcrypt", bcrypt.using(rounds=10).hash("Right-1")), "old-md5": ("md5-hex-upper", "0" * 32)}
    with transaction():
        firm = Enterprise(code=CODE, name="甲")
        session.add(firm)
        for kind in (name for name in KINDS if not name.startswith("unknown")):
            now = runtime.adapters.clock.now()
            row = Account(
                sub=opaque_tokens.make(), enterprise=firm, user_class=1, created_at=now, updated_at=now, mobile=MOBILE, mobile_proven_at=now
            )
            row.status = "disabled" if kind == "disabled" else "active"
            row.password_hash = None if kind in old else own
            session.add(row)
            session.flush()
            directory.add_name(row, f"{CODE}-{kind}", canonical=True)
            if kind in old:
                scheme, stored = old[kind]
                sealed = opaque_tokens.seal(secret, credentials.PURPOSE, stored)
                session.add(FormerPassword(account_id=row.id, system="export", scheme=scheme, sealed_hash=sealed))


class Visitor:
    """Somebody new for every try."""

    def __init__(self, app: Flask) -> None:
        """No cookies yet."""
        self._app, self._client = app, app.test_client()

    def open(self, path: str) -> tuple[str, dict[str, str]]:
        """Where the page's first form goes, and its hidden fields."""
        text = self._client.get(path, follow_redirects=True).text
        main = text.partition("<main")[2]
        fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', main))
        return re.findall(r'<form method="post" action="([^"]+)"', main)[0], fields

    def answer(self, fields: dict[str, str], secret: str) -> str:
        """What the picture shows."""
        with self._app.app_context():
            asked = session.get_one(CaptchaChallenge, fields["captcha_id"])
            return opaque_tokens.unseal(secret, "captcha", asked.sealed_answer)

    def timed(self, action: str, fields: dict[str, str]) -> float:
        """Seconds until the answer."""
        began = time.perf_counter()
        self._client.post(action, data=fields)
        return time.perf_counter() - began


def forget(app: Flask) -> None:
    """No try knows of the one before."""
    with app.app_context(), transaction():
        session.execute(delete(PasswordFailures))
        session.execute(delete(LimitWindow))


def sign_in(app: Flask, secret: str, kind: str) -> float:
    """One wrong password."""
    forget(app)
    visitors = [Visitor(app) for _ in range(6 if kind.endswith("locked") else 1)]
    seconds = 0.0
    for visitor in visitors:
        action, fields = visitor.open("/login")
        typed = {"username": f"{CODE}-{kind}", "password": WRONG, "captcha": visitor.answer(fields, secret)}
        seconds = visitor.timed(action, {**fields, **typed})
    return seconds


def recover(app: Flask, secret: str, kind: str) -> float:
    """One forgotten password, with the number that all of them have."""
    forget(app)
    visitor = Visitor(app)
    action, fields = visitor.open("/recover")
    return visitor.timed(action, {**fields, "username": f"{CODE}-{kind}", "contact": MOBILE, "captcha": visitor.answer(fields, secret)})


def chance(times: list[float]) -> float:
    """How far apart the medians of two halves of the same times lie, 95 times of 100."""
    apart = []
    for _ in range(HALVES):
        mixed = random.sample(times, len(times))
        half = len(mixed) // 2
        apart.append(abs(statistics.median(mixed[:half]) - statistics.median(mixed[half:])))
    return sorted(apart)[int(HALVES * 0.95)]


def measure(name: str, one: Callable[[str], float], tries: int) -> None:
    """By turns, so that whatever else the machine does meets all kinds alike; then a line for each."""
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(tries):
        for kind in random.sample(KINDS, len(KINDS)):
            times[kind].append(one(kind))
    base = statistics.median(times["unknown"])
    for kind, found in times.items():
        median = statistics.median(found)
        figures = f"median {median * 1000:7.2f} ms · {(median - base) * 1000:+6.2f} ms · by chance {chance(found) * 1000:5.2f} ms"
        sys.stdout.write(f"{name:8} {kind:15} {figures}\n")


def main() -> None:
    """Measure both forms."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tries", type=int, default=200)
    options.add_argument("--step", type=int, default=100, help="answer_milliseconds; 0 shows what they would tell without it")
    given = options.parse_args()
    tries = given.tries
    with tempfile.TemporaryDirectory() as folder:
        key = "benchmark-" + "0123456789abcdef" * 3
        settings = Settings(data_dir=Path(folder), secret_key=key, requests_per_minute=0, answer_milliseconds=given.step)
        built = adapters_for(settings)
        app = create_app(settings, Adapters(SystemClock(), built.mail, built.sms, built.outbound))
        secret = master_secret(settings)
        with app.app_context():
            upgrade()
            furnish(app, secret)
        app.config["SERVER_NAME"] = "127.0.0.1:8000"
        measure("sign-in", lambda kind: sign_in(app, secret, kind), tries)
        measure("recovery", lambda kind: recover(app, secret, kind), tries)


if __name__ == "__main__":
    main()
