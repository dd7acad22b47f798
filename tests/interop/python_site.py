"""A relying party's own web application in Python, in a process of its own that knows nothing of the platform but what it is told."""

import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from demo.processes import Child, running, wait_until_up
from tests.interop.visitor import Visitor

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Site:
    """One site: the program beside this file, its port, and what makes it differ from other sites of the same program."""

    program: str
    port: int
    facts: Mapping[str, Any]

    def at(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @contextmanager
    def running(self, path: str) -> Iterator["Site"]:
        """Until the caller is done; `path` is a page that opens to everybody."""
        environment = {"PATH": os.environ["PATH"], "SITE": json.dumps(self.facts)}
        with running(Child(self.program, [sys.executable, str(HERE / self.program), str(self.port)], environment)) as child:
            wait_until_up(child, self.at(path), f"127.0.0.1:{self.port}", threading.Event())
            yield self

    def inside(self, visitor: Visitor, path: str = "/private") -> dict[str, Any]:
        """What a page of the site tells the person who is signed in there; nothing if it sends them elsewhere."""
        answer: requests.Response = visitor.session.get(self.at(path), allow_redirects=False, timeout=20)
        return answer.json() if answer.status_code == 200 else {}
