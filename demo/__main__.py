"""Prepare once, start the platform, the business systems and the worker, say where everything is, end cleanly.

What was prepared is stamped with a digest of all that it was made from, so that a second start only starts. `IDP_…` variables are passed on;
the data directory is `.state/demo/platform` unless IDP_DATA_DIR says otherwise.
"""

import argparse
import csv
import os
import signal
import sys
import threading
import time
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo import cards, preparation
from demo.processes import Child, Failed, Running, running, wait_until_up
from virtual_card.reader import Reader, virtual_reader

ROOT = Path(__file__).parent.parent
ISSUER = "http://127.0.0.1:8000"
SYSTEMS_PORT = 8001
# one account of each of the three classes of the manual: system, name there, how it is typed at the platform
ACCOUNTS = (
    ("export", "beijing", "{code}-{name}", "出口、进口（同一把电子钥匙，两个旧密码均可首次登录）"),
    ("mech_electrical", "jidian_strong", "{name}", "机电产品进口单证（原用户名、原密码）"),
    ("dual_use", "liangyong", "{name}", "两用物项（管制应用的用户名）"),
)


CODES = "短信验证码、邮件不发送，显示在本终端 / one-time codes and mails are printed here instead of being sent: NOT SENT … to +86138…"


@dataclass(frozen=True)
class Place:
    """Where this demo lives: its folder, the platform's address, the port it listens on, the first port of the systems."""

    state: Path
    issuer: str
    port: int
    systems_port: int

    def environment(self) -> dict[str, str]:
        """What the platform's processes see."""
        # the business systems are told of sign-outs on loopback
        told = ",".join(f"127.0.0.1:{self.systems_port + number}" for number in range(len(systems())))
        mine = {"IDP_DATA_DIR": str(self.state / "platform"), "IDP_ISSUER": self.issuer, "IDP_OUTBOUND_ALLOW": told}
        data_dir = Path(os.environ.get("IDP_DATA_DIR") or mine["IDP_DATA_DIR"])
        return {**mine, "PYTHONUNBUFFERED": "1", **(cards.settings(data_dir) if cards.possible() else {}), **os.environ}


def _listening_port(issuer: str) -> int:
    """The issuer's own port on loopback; behind a proxy 8000."""
    host, _, port = issuer.partition("://")[2].rpartition(":")
    return int(port) if host in ("127.0.0.1", "localhost") and port.isdigit() and issuer.startswith("http:") else 8000


def _passwords() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(system, name) → enterprise code and old password, from the sample data."""
    with (ROOT / "sample_data" / "passwords.csv").open(encoding="utf-8", newline="") as file:
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for row in csv.DictReader(file):
            found.setdefault((row["system"], row["username"]), []).append((row["enterprise_code"], row["password"]))
    return found


def _addresses(place: Place) -> Table:
    table = Table(title="地址 / Addresses", title_justify="left")
    table.add_column("系统")
    table.add_column("address", no_wrap=True)
    table.add_row("商务部业务系统统一平台（登录）", f"{place.issuer}/loginCorp.html")
    for number, (name, _code) in enumerate(systems()):
        table.add_row(name, f"http://127.0.0.1:{place.systems_port + number}")
    return table


def systems() -> list[tuple[str, str]]:
    """Name and code of each business system in the order of their ports."""
    found: list[dict[str, Any]] = [tomllib.loads(file.read_text("utf-8")) for file in (ROOT / "clients").glob("*/client.toml")]
    return [(one["client_name"], one["system"]) for one in sorted(found, key=lambda one: str(one["redirect_uris"]))]


def _accounts() -> Table:
    table = Table(title="试用账号 / Accounts to try (旧密码首次登录有效，登录后按提示设置新密码)", title_justify="left")
    for column in ("用户名", "旧密码", "业务"):
        table.add_column(column, no_wrap=column != "业务", overflow="fold")
    known = _passwords()
    for system, name, form, business in ACCOUNTS:
        code, password = known[system, name][0]
        passwords = [password, *(known["import", name][0][1:] if system == "export" else ())]
        table.add_row(form.format(code=code, name=name), " 或 ".join(passwords), business)
    return table


def _keys() -> Table:
    table = Table(title="电子钥匙 / E-keys (登录页点【读取电子钥匙】)", title_justify="left")
    for column in ("卡", "用户名", "PIN"):
        table.add_column(column, no_wrap=True)
    for name in cards.CARDS:
        (user,) = (form.format(code=_passwords()[system, account][0][0], name=account) for system, account, form, _ in ACCOUNTS if account == name)
        table.add_row(name, user, cards.PIN)
    return table


def _say(place: Place, console: Console, started: float) -> None:
    console.print(_addresses(place), _accounts(), sep="\n")
    if cards.possible():
        console.print(_keys())
        console.print(cards.DEMAND, soft_wrap=True, highlight=False)
    console.print(cards.HOW if cards.possible() else cards.MISSING, soft_wrap=True, highlight=False)
    console.print(CODES, soft_wrap=True, highlight=False)
    console.print(f"用时 {time.monotonic() - started:.1f} 秒。Ctrl-C 结束；重新开始：删除 {place.state}。", markup=False, highlight=False)


def _platform(place: Place) -> Child:
    server = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(place.port)]
    threads = ["--workers", "1", "--blocking-threads", "4", "--log-level", "warning", "--no-ws"]
    return Child("platform", [*server, *threads, "idp.wsgi:app"], place.environment())


def _worker(place: Place) -> Child:
    return Child("worker", [sys.executable, "-m", "idp.worker"], place.environment())


def _business_systems(place: Place) -> Child:
    arguments = ["--state", str(place.state / "systems"), "--first-port", str(place.systems_port), "--issuer", place.issuer, *cards.demands()]
    # strangers to the platform: none of its settings reach them
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    return Child("business systems", [sys.executable, "-m", "clients", "serve", *arguments], environment)


def _agent(place: Place, reader: Reader) -> Child:
    """It asks for the PIN in a window of its own, on the terminal where there is no screen for one."""
    window = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and find_spec("tkinter") is not None
    arguments = [sys.executable, "-m", "idp.ekey.agent", "--origin", place.issuer, "--prompt", "window" if window else "terminal"]
    return Child("e-key driver", arguments, {**reader.environment, "LANG": "zh_CN.UTF-8"}, terminal=True)


def _desk(stack: ExitStack, place: Place, children: list[Running]) -> cards.Desk | None:
    """Reader and driver, where this machine can have them."""
    if not cards.possible():
        return None
    reader = stack.enter_context(virtual_reader())
    children.append(stack.enter_context(running(_agent(place, reader))))
    return cards.Desk(place.state, reader)


def _run(place: Place) -> None:
    started, console, done = time.monotonic(), Console(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: done.set())
    preparation.prepare(ROOT, place.state, place.environment(), place.systems_port, [code for _name, code in systems()], console, done)
    with ExitStack() as stack:
        children = [stack.enter_context(running(child)) for child in (_platform(place), _business_systems(place))]
        host = place.issuer.partition("://")[2]
        wait_until_up(children[0], f"http://127.0.0.1:{place.port}/.well-known/openid-configuration", host, done)
        wait_until_up(children[1], f"http://127.0.0.1:{place.systems_port}/", f"127.0.0.1:{place.systems_port}", done)
        # the one nobody waits for comes last
        children.append(stack.enter_context(running(_worker(place))))
        desk = _desk(stack, place, children)
        if not done.is_set():
            _say(place, console, started)
        while not done.wait(0.5):
            if desk is not None:
                desk.follow()
            for child in children:
                child.must_be_running()


def main() -> int:
    """Read the command line; 0 after Ctrl-C, 1 with a message where something could not start."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--state", type=Path, default=ROOT / ".state" / "demo", help="folder of the demo's data")
    parser.add_argument("--systems-port", type=int, default=SYSTEMS_PORT, help="port of the first business system")
    commands = parser.add_subparsers(dest="command").add_parser("card", help="put an e-key into the running demo's reader, or pull it")
    actions = commands.add_subparsers(dest="action", required=True)
    actions.add_parser("put").add_argument("name", choices=sorted(cards.CARDS))
    actions.add_parser("pull")
    given = parser.parse_args()
    if given.command == "card":
        cards.choose(given.state, given.name if given.action == "put" else "")
        return 0
    issuer = os.environ.get("IDP_ISSUER") or ISSUER
    try:
        _run(Place(given.state.absolute(), issuer, _listening_port(issuer), given.systems_port))
    except Failed as error:
        print(f"demo: {error}", file=sys.stderr)  # noqa: T201  # a command talks to its terminal
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
