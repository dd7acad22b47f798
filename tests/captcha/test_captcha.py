import threading
from collections.abc import Iterator
from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from idp import typed_digits
from idp.captcha import image, rules
from idp.captcha.models import CaptchaChallenge
from idp.db import session, transaction
from tests.conftest import SECRET
from tests.fakes import START, FakeClock

pytestmark = pytest.mark.slow

LIFE = 300
THREADS = 8


def ask(transaction_id: str = "t") -> str:
    with transaction():
        return rules.new(transaction_id, SECRET, START, LIFE)


def answer(challenge_id: str) -> str:
    found = rules.answer_of(challenge_id, SECRET, START)
    assert found is not None
    return found


def check(challenge_id: str, typed: str, transaction_id: str = "t", seconds: int = 0) -> bool:
    clock = FakeClock()
    clock.advance(seconds=seconds)
    with transaction():
        return rules.check(challenge_id, transaction_id, typed, SECRET, clock.now())


@pytest.fixture(autouse=True)
def _context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.mark.requirement("R25")
@pytest.mark.requirement("R60")
@pytest.mark.store
def test_right_answer_opens_once() -> None:
    asked = ask()
    typed = answer(asked)
    assert check(asked, typed)
    assert not check(asked, typed)


@pytest.mark.requirement("R60")
@pytest.mark.store
def test_wrong_answer_spends_it_too() -> None:
    asked = ask()
    typed = answer(asked)
    assert not check(asked, "11111")
    assert not check(asked, typed)


@pytest.mark.requirement("R60")
@pytest.mark.parametrize(("seconds", "taken"), [(LIFE - 1, True), (LIFE, False)])
def test_five_minutes_and_no_longer(seconds: int, taken: bool) -> None:
    asked = ask()
    assert check(asked, answer(asked), seconds=seconds) is taken


def test_a_long_answer_is_not_looked_at() -> None:
    asked = ask()
    assert not check(asked, answer(asked) + " " * typed_digits.MAX_TYPED_CHARACTERS)


def test_another_transaction_cannot_use_or_spend_it() -> None:
    asked = ask()
    typed = answer(asked)
    assert not check(asked, typed, transaction_id="another")
    assert check(asked, typed)


@pytest.mark.parametrize("change", [lambda t: t.translate(str.maketrans("23456789", "２３４５６７８９")), lambda t: f" {t[:2]} {t[2:]}\u3000"])
def test_what_input_methods_make_of_digits_is_taken(change: object) -> None:
    asked = ask()
    assert check(asked, change(answer(asked)))  # type: ignore[operator]  # one of the two lambdas


@pytest.mark.store
@pytest.mark.parametrize("typed", ["", "\x00", "9" * 100_000, "２" * 33, "\ud800", "😀" * 5])
def test_odd_answers_are_wrong_and_raise_nothing(typed: str) -> None:
    assert not check(ask(), typed)


@pytest.mark.store
@pytest.mark.parametrize("challenge_id", ["", "\x00", "x" * 43, "x" * 100_000, "\ud800", "中"])
def test_odd_ids_are_unknown_and_raise_nothing(challenge_id: str) -> None:
    assert not check(challenge_id, "23456")


@pytest.mark.store
def test_of_eight_threads_one_is_right(app: Flask) -> None:
    asked = ask()
    typed = answer(asked)
    gate, won = threading.Barrier(THREADS), []

    def one() -> None:
        with app.app_context():
            gate.wait()
            won.append(check(asked, typed))

    threads = [threading.Thread(target=one) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won.count(True) == 1


def test_answer_never_stands_readable_in_the_database() -> None:
    asked = ask()
    row = session.get_one(CaptchaChallenge, asked)
    assert answer(asked) not in row.sealed_answer
    assert set(answer(asked)) <= set(rules.DIGITS)


def test_sweep_drops_the_old_and_keeps_the_living() -> None:
    asked = ask()
    with transaction():
        rules.sweep(START)
    assert session.get(CaptchaChallenge, asked)
    clock = FakeClock()
    clock.advance(seconds=LIFE + 1)
    with transaction():
        rules.sweep(clock.now())
    assert not session.get(CaptchaChallenge, asked)


def test_picture_is_shown_while_open_only(browser: FlaskClient) -> None:
    asked = ask()
    shown = browser.get(f"/captcha/{asked}.png")
    assert (shown.status_code, shown.mimetype, shown.headers["Cache-Control"]) == (200, "image/png", "no-store")
    assert Image.open(BytesIO(shown.data)).size == (image.WIDTH, image.HEIGHT)
    assert "Set-Cookie" not in shown.headers
    check(asked, "")
    assert browser.get(f"/captcha/{asked}.png").status_code == 404


def test_picture_dies_with_its_time(browser: FlaskClient, clock: FakeClock) -> None:
    asked = ask()
    clock.advance(seconds=LIFE)
    assert browser.get(f"/captcha/{asked}.png").status_code == 404


@pytest.mark.parametrize("path", ["/captcha/x.png", "/captcha/%00.png", "/captcha/%ff.png", "/captcha/" + "x" * 5000 + ".png"])
def test_unknown_pictures_are_not_found(browser: FlaskClient, path: str) -> None:
    assert browser.get(path).status_code == 404


def luminance(pixel: tuple[int, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in pixel)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.requirement("R79")
@pytest.mark.spec("WCAG 2.2", "1.4.3")
def test_digits_stand_out() -> None:
    picture = Image.open(BytesIO(image.draw("23456"))).convert("RGB")
    lights = sorted(luminance(picture.getpixel((x, y))) for x in range(image.WIDTH) for y in range(image.HEIGHT))  # type: ignore[arg-type]  # RGB gives tuples
    dark, light = lights[len(lights) // 20], lights[len(lights) // 2]
    assert (light + 0.05) / (dark + 0.05) > 4.5
