"""A relying party in a process of its own, asked by lines of JSON: {"verb": …, "given": {…}} in, {"done": …} or {"failed": {…}} out."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


class Failed(Exception):
    """What the client library threw: its name, code and, from the platform, `error` and `status`."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(said.get("message"))
        self.code, self.error, self.status = said.get("code"), said.get("error"), said.get("status")


class Driven:
    """One relying party; each verb is a function of the driver."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, verb: str, **given: Any) -> Any:
        """What the verb returned; Failed with what it threw."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"verb": verb, "given": given}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the driver ended with {self.process.wait(5)}"
        said = json.loads(line)
        if "failed" in said:
            raise Failed(said["failed"])
        return said["done"]


@contextmanager
def driven(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Driven]:
    """A fresh process; it ends with its standard input."""
    with subprocess.Popen(command, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Driven(process)
        finally:
            process.stdin.close() if process.stdin else None
            process.wait(10)
