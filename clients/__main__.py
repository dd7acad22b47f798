"""`python -m clients register` writes the registrations for the platform's administrator; `python -m clients serve` runs every system.

Both take `--state DIR` (0700: the systems' private keys), `--first-port N`, which moves the ports, in the same order, and `--demand-key SYSTEM`.
"""

import argparse
import logging
import signal
import threading
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, make_server

from clients.relying_party.app import create_app
from clients.relying_party.registration import Registration, demanding_the_key, for_platform, private_key, read_all


def _key_file(state: Path, system: Registration) -> Path:
    return state / f"{system.system}.pem"


def register(systems: list[Registration], state: Path, out: Path) -> None:
    """Write `<out>/<system>.toml` for each system; holds public keys only."""
    out.mkdir(parents=True, exist_ok=True)
    for system in systems:
        (out / f"{system.system}.toml").write_text(for_platform(system, private_key(_key_file(state, system))), "utf-8")


def _server(system: Registration, issuer: str, state: Path) -> BaseWSGIServer:
    host, _, port = system.origin.partition("://")[2].rpartition(":")
    return make_server(host, int(port), create_app(system, issuer, key=private_key(_key_file(state, system))), threaded=True)


def serve(systems: list[Registration], issuer: str, state: Path) -> None:
    """Serve every system on its own port until SIGTERM or SIGINT."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    servers = [_server(system, issuer, state) for system in systems]
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    done.wait()  # the threads are daemons: they end with the process, and keep nothing that must be written


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m clients", description=__doc__)
    parser.add_argument("command", choices=["register", "serve"])
    parser.add_argument("--state", type=Path, required=True, help="directory of the systems' private keys")
    parser.add_argument("--first-port", type=int, help="ports count from here (default: as in client.toml)")
    parser.add_argument("--demand-key", metavar="SYSTEM", action="append", default=[], help="this system lets in who signed in with an e-key")
    parser.add_argument("--issuer", default="http://127.0.0.1:8000", help="address of the platform (serve)")
    parser.add_argument("--out", type=Path, help="directory of the registrations (register)")
    given = parser.parse_args()
    systems = [demanding_the_key(one) if one.system in given.demand_key else one for one in read_all(given.first_port)]
    if given.command == "serve":
        serve(systems, given.issuer, given.state)
    elif given.out is None:
        parser.error("register needs --out")
    else:
        register(systems, given.state, given.out)


if __name__ == "__main__":
    main()
