"""A virtual reader for the tests of a worker, and cards to put in. Fixtures of every folder, by tests/conftest.py."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtual_card.personalisation import make_sample_card
from virtual_card.reader import Reader, virtual_reader

PIN, PUK = "123456", "12345678"
SLOTS = (0, 1)


@pytest.fixture(scope="session")
def running_reader() -> Iterator[Reader]:
    """One reader a worker: libpcsclite looks only once where its daemon is."""
    with virtual_reader() as reader:
        before = os.environ.get("PCSCLITE_CSOCK_NAME")
        os.environ["PCSCLITE_CSOCK_NAME"] = str(reader.socket)
        yield reader
        if before is None:
            del os.environ["PCSCLITE_CSOCK_NAME"]


@pytest.fixture
def reader(running_reader: Reader) -> Iterator[Reader]:
    """The reader, empty before and after."""
    yield running_reader
    for slot in SLOTS:
        running_reader.remove(slot)


@pytest.fixture(scope="session")
def rsa_template(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An RSA card is made once: its key takes a while."""
    return make_sample_card(tmp_path_factory.mktemp("rsa") / "card.json", "张三", "rsa2048", pin=PIN, puk=PUK).read_text()


class Cards:
    """Makes card files."""

    def __init__(self, folder: Path, rsa: str) -> None:
        self._folder, self._rsa, self._count = folder, rsa, 0

    def new(self, kind: str = "p256", name: str = "张三", *, compressed: bool = False) -> Path:
        self._count += 1
        path = self._folder / f"card{self._count}.json"
        if kind == "rsa2048" and name == "张三" and not compressed:
            path.write_text(self._rsa)
            return path
        return make_sample_card(path, name, kind, pin=PIN, puk=PUK, compressed=compressed)


@pytest.fixture
def cards(tmp_path: Path, rsa_template: str) -> Cards:
    return Cards(tmp_path, rsa_template)
