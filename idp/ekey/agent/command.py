"""The command `idp-ekey-agent`: reads its options, starts the service, asks for PINs in the main thread. `personalise` writes a card instead."""

import argparse
import locale
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

from idp.ekey.agent import PORT, VERSION, personalisation, words
from idp.ekey.agent.authentication import Authentication
from idp.ekey.agent.cards import Readers
from idp.ekey.agent.events import Events
from idp.ekey.agent.guard import Guard, wellformed_origin
from idp.ekey.agent.pcsc import PcscReaders
from idp.ekey.agent.prompts import MainThreadPrompt, Prompt, TerminalPrompt
from idp.ekey.agent.service import ADDRESS, Parts, make_server, start

LARGEST_LOG = 1_000_000  # bytes


def _origin(text: str) -> str:
    if not wellformed_origin(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no origin: https://name[:port] in lower case, without a slash at the end")
    return text


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "idp-ekey-agent",
        description="Lets pages of the platform ask the e-key in this computer's reader for a signature. @FILE: options, one a line.",
        fromfile_prefix_chars="@",
    )
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument("--port", type=int, default=int(os.environ.get("IDP_AGENT_PORT", PORT)), help="TCP port on 127.0.0.1 [IDP_AGENT_PORT]")
    default = os.environ.get("IDP_AGENT_ORIGINS", "").split()
    parser.add_argument("--origin", type=_origin, action="append", help="an origin of the platform; may be repeated [IDP_AGENT_ORIGINS, with spaces]")
    parser.add_argument("--prompt", choices=("window", "terminal"), default="window", help="where the PIN is asked")
    parser.add_argument("--log-file", type=lambda text: Path(text).expanduser(), help="where the log goes; default: standard error")
    system = words.language(os.environ.get("LANG") or locale.getlocale()[0] or "")
    parser.add_argument("--language", choices=sorted(words.LANGUAGES), default=system, help="language of the PIN window")
    options = parser.parse_args(arguments)
    options.origin = options.origin or [_checked(parser, origin) for origin in default]
    if not options.origin:
        parser.error("name at least one --origin")
    return options


def _checked(parser: argparse.ArgumentParser, origin: str) -> str:
    try:
        return _origin(origin)
    except argparse.ArgumentTypeError as error:
        parser.error(f"IDP_AGENT_ORIGINS: {error}")


def _prompt(kind: str, language: str) -> Prompt:
    texts = words.LANGUAGES[language]
    if kind == "terminal":
        return TerminalPrompt(texts)
    from idp.ekey.agent.window import WindowPrompt  # Tk may be absent where the terminal is used

    return WindowPrompt(texts)


def _log(file: Path | None) -> logging.Handler:
    """Method, path and outcome of each request, for whoever looks after this computer; never a body, a token or a PIN."""
    return logging.StreamHandler() if file is None else RotatingFileHandler(file, maxBytes=LARGEST_LOG, backupCount=1, encoding="utf-8")


def run(port: int, origins: Sequence[str], readers: Readers, carried: MainThreadPrompt, stop: threading.Event) -> None:
    """Serve until `stop` is set; the calling thread asks for PINs and must be the main one if the prompt opens windows."""
    events = Events(readers)
    server = make_server(port, lambda bound: Parts(Guard(bound, frozenset(origins)), Authentication(readers, carried), events))
    start(server, events, stop)
    print(f"http://{ADDRESS}:{server.server_port}", flush=True)  # noqa: T201  # tells whoever started it that it is ready
    try:
        carried.answer_until(stop)
    finally:
        server.shutdown()
        server.server_close()


def _end(carried: MainThreadPrompt, stop: threading.Event) -> None:
    """End at the next look, or at once where a question waits for a person; once, because a second signal may find us on the way out."""
    first = not stop.is_set()
    stop.set()
    if first and carried.asking:
        sys.exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent until Ctrl-C or SIGTERM; gives the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["personalise"]:
        return personalisation.main(arguments[1:], PcscReaders())
    options = _options(arguments)
    try:
        logging.basicConfig(level=logging.INFO, handlers=[_log(options.log_file)], format="%(asctime)s %(message)s")
    except OSError as error:
        print(f"--log-file {options.log_file}: {error.strerror}", file=sys.stderr)  # noqa: T201  # as below
        return 1
    carried, stop = MainThreadPrompt(_prompt(options.prompt, options.language)), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _end(carried, stop))
    try:
        run(options.port, options.origin, PcscReaders(), carried, stop)
    except OSError as error:
        print(f"port {options.port}: {error.strerror}", file=sys.stderr)  # noqa: T201  # unlike write, it does without a console, as on Windows
        return 1
    return 0
