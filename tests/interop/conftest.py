"""One prepared platform a worker; each module runs a copy with relying parties of its own."""

import os
from collections.abc import Iterator

import pytest

from tests.interop.driven import Driven, driven
from tests.interop.node_packages import installed
from tests.interop.served import Platform, copy_of, free_ports
from tests.interop.visitor import Visitor

RELYING_PARTIES = 4


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    platform = Platform(tmp_path_factory.mktemp("prepared") / "data", free_ports(1)[0])
    platform.prepare()
    return platform


@pytest.fixture(scope="module")
def platform(prepared: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform; `reachable` are ports for relying parties."""
    with copy_of(prepared, tmp_path_factory.mktemp("served") / "data", free_ports(1 + RELYING_PARTIES)).running() as served:
        yield served


@pytest.fixture
def visitor(platform: Platform) -> Visitor:
    return Visitor(platform.issuer)


@pytest.fixture
def client() -> Iterator[Driven]:
    """openid-client in Node."""
    home = installed()
    with driven(["node", str(home / "openid_client.mjs")], {"PATH": os.environ["PATH"], "HOME": str(home)}) as running:
        yield running
