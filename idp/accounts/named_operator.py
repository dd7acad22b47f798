"""R90: a command that changes something is run by a named operator for a reason, and every event it writes carries both."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from idp.accounts import directory, roles
from idp.audit.origin import Origin, current
from idp.errors import BadInput

MAX_OPERATOR_CHARACTERS = 64
MAX_REASON_CHARACTERS = 200


def named_operator(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--operator` and `--reason`; BadInput for a name that may not operate or a reason that is none."""
    operated = click.option("--operator", required=True, help="Who runs this command, by name; kept in the audit.")(named(command))
    return click.option("--reason", required=True, help="Why; kept in the audit. No personal data.")(operated)


def named(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for what is called with `operator` and `reason`: they are checked, and stand with every event that it writes."""

    @wraps(command)
    def run(*args: Any, operator: str, reason: str, **more: Any) -> Any:
        name = _name(operator)
        if not 0 < len(reason.strip()) <= MAX_REASON_CHARACTERS or not reason.isprintable():
            raise BadInput(f"must say why, in 1 to {MAX_REASON_CHARACTERS} characters", field="--reason")
        before = current.set(Origin(operator=name, why=reason.strip()))
        try:
            return command(*args, **more)
        finally:
            current.reset(before)

    return run


def _name(operator: str) -> str:
    name = directory.name_key(operator)
    if not name or len(name) > MAX_OPERATOR_CHARACTERS:
        raise BadInput(f"must be a name of at most {MAX_OPERATOR_CHARACTERS} characters", field="--operator")
    # R90: operator, security officer and auditor are never one person
    if not roles.may_operate(name):
        raise BadInput("is a security officer or auditor, who may change nothing here", field="--operator")
    return name
