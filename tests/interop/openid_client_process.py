"""openid-client in a Node process of its own, asked by lines of JSON (openid_client/driver.mjs)."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.interop.served import ROOT

SOURCE = Path(__file__).parent / "openid_client"
HOME = ROOT / ".state" / "interop"


class Failed(Exception):
    """What openid-client threw: its name, code and, from the platform, `error` and `status`."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(said.get("message"))
        self.code, self.error, self.status = said.get("code"), said.get("error"), said.get("status")


def installed() -> Path:
    """The folder with the locked packages; installed when the lock has changed, by one test worker at a time."""
    npm = shutil.which("npm")
    assert npm is not None, "Node.js is missing: install the Debian packages named in packages.txt"
    HOME.mkdir(parents=True, exist_ok=True)
    want = sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HOME / "locked"
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != want:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SOURCE / name, HOME / name)
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=HOME, check=True, stdin=subprocess.DEVNULL
            )
            stamp.write_text(want)
        # modules are looked for beside the program
        shutil.copy(SOURCE / "driver.mjs", HOME / "driver.mjs")
    return HOME


class OpenidClient:
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
def openid_client() -> Iterator[OpenidClient]:
    """A fresh Node process; it ends with its standard input."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(HOME)}
    command = ["node", str(installed() / "driver.mjs")]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield OpenidClient(process)
        finally:
            process.stdin.close() if process.stdin else None
            process.wait(10)
