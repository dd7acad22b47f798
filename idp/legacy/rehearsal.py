"""Running commands of this program against a scratch database that is thrown away (SQLite, a master secret of its own)."""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_IDP = (sys.executable, "-c", "import sys; sys.argv[0] = 'idp'; from idp.cli import main; main()")
# what the kernel counts peak memory in
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Ran:
    """What one command did: exit code, seconds, peak memory in bytes, and the files that hold what it said."""

    code: int
    seconds: float
    peak_bytes: int
    out: Path
    err: Path

    def errors(self) -> Iterator[str]:
        """Standard error line by line; there may be a million."""
        with self.err.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")


@dataclass(frozen=True)
class Scratch:
    """The folder with database and secret, and the environment that leads there."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *words: str) -> Ran:
        """`idp WORDS…`, in a process of its own, so that its memory is its own too; it ends with this one."""
        out, err = (self.folder / f"{words[1] if len(words) > 1 else words[0]}.{what}" for what in ("out", "err"))
        began = time.monotonic()
        with out.open("wb") as said, err.open("wb") as complained:
            process = subprocess.Popen(  # noqa: S603  # this program itself
                [*_IDP, *words], env=dict(self.environment), stdin=subprocess.DEVNULL, stdout=said, stderr=complained
            )
            try:
                _pid, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                process.wait()
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
        return Ran(process.returncode, time.monotonic() - began, usage.ru_maxrss * RSS_UNIT, out, err)


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Scratch]:
    """A scratch database in a new folder (0700) under `parent`, or where temporary files go; removed at the end, after errors too.

    The other settings are those of this process's environment, so that what is rehearsed is what will run.
    """
    with tempfile.TemporaryDirectory(prefix="idp-rehearsal-", dir=parent) as name:
        folder = Path(name)
        own = {"IDP_DATABASE_URL": f"sqlite:///{folder / 'scratch.db'}", "IDP_DATA_DIR": name, "IDP_SECRET_KEY": secrets.token_urlsafe(48)}
        yield Scratch(folder, {**os.environ, **own})
