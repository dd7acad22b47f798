"""The platform as operators run it: prepared by the command line, served by granian on a free loopback port, beside its worker."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from demo.processes import Child, running, wait_until_up
from tests.command_line import OPERATED

ROOT = Path(__file__).parent.parent.parent
NAME, PASSWORD = "jidian_strong", "Strong1Passw0rd"  # class 3 with a strong old password: no forced change
SECRET = "interop-secret-0123456789-ABCDEFGHIJ"
FINE = (0, 3)
LAG_POLLS = 50


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, all different."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def as_toml(value: object) -> str:
    """One value as TOML; objects inline."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {as_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_toml(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Platform:
    """One platform: its folder and port. `reachable` are the host:port pairs of relying parties it may call."""

    data: Path
    port: int
    reachable: tuple[str, ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """Where people and clients find it: here, unless a proxy stands before it."""
        return self.more.get("IDP_ISSUER", self.upstream)

    @property
    def upstream(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """None of the caller's settings, and no captcha to read (D16)."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("IDP_", "AUTHLIB_"))}
        own = {
            "IDP_DATA_DIR": str(self.data),
            "IDP_ISSUER": self.issuer,
            "IDP_CAPTCHA": "after_failures",
            "IDP_CLIENT_REGISTRATION": "on",
            "IDP_OUTBOUND_ALLOW": ",".join(self.reachable),
        }
        return {**clean, **own, **self.more}

    def idp(self, *words: object) -> str:
        """Run `idp WORDS…`; what it printed."""
        command = [str(Path(sys.executable).with_name("idp")), *map(str, words)]
        ended = subprocess.run(command, env=self.environment(), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert ended.returncode in FINE, ended.stdout + ended.stderr
        return ended.stdout

    def prepare(self) -> None:
        """Database, keys, and the sample data's people, by the commands that an operator types."""
        self.idp("init")
        self.idp("legacy", "import-all", ROOT / "sample_data", "--as-of", "2018-07-30", *OPERATED)
        self.idp("legacy", "merge", "--apply", "--unprobed", *OPERATED)

    def add_client(self, client_id: str, **members: Any) -> None:
        """Register a client from a file; with SECRET where its method is a secret."""
        file, secret = self.data / f"{client_id}.toml", self.data / f"{client_id}.secret"
        file.write_text("".join(f"{name} = {as_toml(value)}\n" for name, value in {"client_id": client_id, **members}.items()), "utf-8")
        secret.touch(0o600)
        secret.write_text(SECRET + "\n")
        keyless = members.get("token_endpoint_auth_method", "client_secret_basic").startswith("client_secret")
        self.idp("client", "apply", file, *(["--secret-file", secret] if keyless else []))

    def age_keys(self) -> None:
        """As if all published keys had been published long ago, so that the next ones may sign."""
        with closing(sqlite3.connect(self.data / "idp.db")) as database, database:
            database.execute("UPDATE oidc_signing_keys SET published_at = '2020-01-01 00:00:00.000000'")

    def wait_until_published(self) -> None:
        """Until the JWKS names every key that is to be in it; the served bytes may be five seconds old."""
        kept = json.loads(self.idp("keys", "list", "--json"))
        wanted = {key["kid"] for key in kept if key["state"] in ("next", "current")}
        for _ in range(LAG_POLLS):
            published = {key["kid"] for key in requests.get(f"{self.issuer}/oauth2/jwks", timeout=5).json()["keys"]}
            if wanted <= published:
                return
            time.sleep(0.2)
        raise AssertionError(f"not published: {wanted - published}")

    @contextmanager
    def running(self) -> Iterator["Platform"]:
        """Server and worker, until the caller is done."""
        server = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(self.port)]
        threads = ["--workers", "1", "--blocking-threads", "4", "--log-level", "warning", "--no-ws"]
        with running(Child("platform", [*server, *threads, "idp.wsgi:app"], self.environment())) as child:
            wait_until_up(child, f"{self.upstream}/.well-known/openid-configuration", f"127.0.0.1:{self.port}", threading.Event())
            with running(Child("worker", [sys.executable, "-m", "idp.worker"], self.environment())):
                yield self


def copy_of(prepared: Platform, folder: Path, ports: list[int]) -> Platform:
    """A platform of its own on the prepared data; the first port is its, the others are its relying parties'."""
    shutil.copytree(prepared.data, folder)
    return Platform(folder, ports[0], tuple(f"127.0.0.1:{port}" for port in ports[1:]))
