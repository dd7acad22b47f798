"""Chromium, and the demo's processes, prepared once a worker and started anew for each test."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.demo import Demo, Prepared, free_ports


@pytest.fixture(params=[True, False], ids=["js", "nojs"])
def chromium_page(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """A fresh browser profile, once with and once without JavaScript (R80)."""
    context = chromium.new_context(java_script_enabled=request.param, locale="zh-CN", viewport={"width": 1000, "height": 800})
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("demo")
    demo = Demo(folder / "state", free_ports())
    with demo.running() as started:
        pass
    shutil.copytree(demo.state, folder / "prepared")
    return Prepared(demo, folder / "prepared", started.seconds)


@pytest.fixture
def demo(prepared: Prepared) -> Iterator[Demo]:
    """The running demo, as on the first day."""
    prepared.demo.restore(prepared.copy)
    with prepared.demo.running():
        yield prepared.demo
