"""The command line as tests use it: one run, its exit code, what it said."""

from dataclasses import dataclass

from flask import Flask

from idp.cli import cli
from idp.db import session
from idp.errors import IdpError

# who runs a command that asks for it (R90)
OPERATED = ("--operator", "tester", "--reason", "trial")


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Standard error, line by line."""
        return self.err.splitlines()


def idp(app: Flask, *words: object) -> Said:
    """Run `idp WORDS…` on this app; our own errors become exit code 1 and their text, as main() does it. A bug raises."""
    result = app.test_cli_runner().invoke(cli, [str(word) for word in words])
    if isinstance(result.exception, IdpError):
        return Said(1, result.stdout, result.stderr + str(result.exception))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    with app.app_context():
        session.rollback()
    return Said(result.exit_code, result.stdout, result.stderr)
