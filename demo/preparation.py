"""What has to be there before the first start: database, keys, registers, the old systems' users, clients.

Each command is idempotent; the stamp only saves the time of running them again.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from rich.console import Console

from demo import cards
from demo.processes import Failed

AS_OF = "2018-07-30"
WHO = ("--operator", "demo", "--reason", "sample data")
# done · done, but rows were left out (the sample data has such rows on purpose)
FINE = (0, 3)
MADE_FROM = ("sample_data", "clients", "idp/migrations/versions", "idp/legacy", "idp/entitlements", "demo")
SUFFIXES = {".csv", ".toml", ".py"}


def fingerprint(root: Path, *facts: str) -> str:
    """Digest of everything that the prepared state was made from."""
    digest = sha256(repr(facts).encode())
    for folder in MADE_FROM:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in SUFFIXES:
                digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _idp(*arguments: str | Path) -> list[str]:
    return [str(Path(sys.executable).with_name("idp")), *map(str, arguments)]


def commands(root: Path, state: Path, systems_port: int, systems: list[str]) -> Iterator[tuple[str, list[str]]]:
    """What is said while it runs, and the command, in order."""
    registrations = state / "registrations"
    yield "database and keys / 数据库、密钥", _idp("init")
    yield "enterprises, e-keys, old users / 企业、电子钥匙、原系统用户", _idp("legacy", "import-all", root / "sample_data", "--as-of", AS_OF, *WHO)
    yield "accounts / 合并账号", _idp("legacy", "merge", "--apply", "--unprobed", *WHO)
    moved = ["--first-port", str(systems_port), *cards.demands()]
    yield (
        "registrations / 业务系统",
        [sys.executable, "-m", "clients", "register", "--state", str(state / "systems"), "--out", str(registrations), *moved],
    )
    yield "clients / 注册业务系统", _idp("client", "apply", *(registrations / f"{system}.toml" for system in systems))
    if cards.possible():
        yield "development CA / 试用证书机构", _idp("ekey", "dev-ca")
        yield "e-keys / 电子钥匙", _idp("ekey", "issue", *cards.CARDS.values(), "--out", state / "issued")


def prepare(
    root: Path, state: Path, environment: Mapping[str, str], systems_port: int, systems: list[str], console: Console, done: threading.Event
) -> None:
    """Run the commands unless the stamp says that they have been run; Failed names the one that refused."""
    database, data_dir = environment.get("IDP_DATABASE_URL", ""), Path(environment["IDP_DATA_DIR"])
    # the development CA's revocation lists are made anew long before they end
    fortnight = datetime.now(UTC).date().toordinal() // 14 if cards.possible() else 0
    want = fingerprint(root, environment["IDP_ISSUER"], str(systems_port), str(data_dir), str(fortnight))
    stamp = state / "stamp"
    # a database elsewhere may have been emptied since: there every start runs them again
    if not database and (data_dir / "idp.db").exists() and stamp.exists() and stamp.read_text() == want:
        return
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for words, command in commands(root, state, systems_port, systems):
        if done.is_set():
            return
        with console.status(words):
            _run(words, command, environment, done)
    if not done.is_set():
        if cards.possible():
            cards.make(state / "issued", state / "cards")
        stamp.write_text(want)


def _run(words: str, command: list[str], environment: Mapping[str, str], done: threading.Event) -> None:
    """One command in silence; what it said is shown only if it refused."""
    ended = subprocess.run(command, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603  # fixed commands
    # Ctrl-C ended the command too
    if ended.returncode not in FINE and not done.is_set():
        raise Failed(f"{words}\n{' '.join(command[1:])}\n{(ended.stdout + ended.stderr).strip()}")
