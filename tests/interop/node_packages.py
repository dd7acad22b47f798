"""The client libraries that npm installs, as tests/interop/node/package-lock.json names them."""

import fcntl
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from tests.interop.served import ROOT

SOURCE = Path(__file__).parent / "node"
HOME = ROOT / ".state" / "interop"


def installed() -> Path:
    """The folder with the locked packages and our programs; installed when the lock has changed, by one test worker at a time."""
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
        shutil.copy(SOURCE / "openid_client.mjs", HOME / "openid_client.mjs")
    return HOME
