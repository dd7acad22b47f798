"""A private PostgreSQL server for one test worker: Debian's binaries, a socket in a temporary folder, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def _demoted() -> list[str]:
    """PostgreSQL refuses to run as root: prefix that becomes its own user."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.getuid() == 0 else []


@contextmanager
def server() -> Iterator[str]:
    """Start a server; yields the SQLAlchemy URL of its maintenance database, `{name}` stands for the database."""
    assert BINARIES, "PostgreSQL is missing: install the Debian packages named in packages.txt"
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.getuid() == 0:
        shutil.chown(folder, pwd.getpwnam("postgres").pw_uid)
    run, data, user = BINARIES[-1], folder / "data", "postgres"
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([*_demoted(), run / "initdb", "-D", data, "-U", user, "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8"], **quiet)  # type: ignore[call-overload]
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c full_page_writes=off -c max_connections=60"
    subprocess.run([*_demoted(), run / "pg_ctl", "-D", data, "-w", "-o", options, "-l", folder / "log", "start"], **quiet)  # type: ignore[call-overload]
    try:
        yield f"postgresql+psycopg://{user}@/{{name}}?host={folder}"
    finally:
        subprocess.run([*_demoted(), run / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]
        shutil.rmtree(folder)
