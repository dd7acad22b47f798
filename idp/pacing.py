"""Answers whose time could tell who has an account leave at full steps of time (threats F).

A hash of an old system costs what that system chose, a message that is put on its way costs a row: so the person waits for the next tenth of a
second, whatever was found. Waiting costs no processor.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import make_response

from idp import web

sleep = time.sleep
View = TypeVar("View", bound=Callable[..., Any])
REFUSED = 400


def left(seconds: float, step: float) -> float:
    """How long until the next full step; both in seconds. 0 where there is no step."""
    return step - seconds % step if step else 0.0


def _wait(began: float) -> None:
    sleep(left(time.perf_counter() - began, web.runtime().settings.answer_milliseconds / 1000))


def refusals(view: View) -> View:
    """For a form: its refusals leave at full steps; what passes tells enough by itself and is not held up."""

    @wraps(view)
    def paced(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        answer = make_response(view(*arguments, **named))
        if answer.status_code >= REFUSED:
            _wait(began)
        return answer

    return paced  # type: ignore[return-value]  # the same parameters


def answers(view: View) -> View:
    """For a form that answers everybody alike: each answer leaves at full steps."""

    @wraps(view)
    def paced(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        answer = view(*arguments, **named)
        _wait(began)
        return answer

    return paced  # type: ignore[return-value]  # the same parameters
