import pytest

from tests.oidc.conftest import beijing, platform, public, refreshing, rp, shanghai, signing_keys

__all__ = ["beijing", "platform", "public", "refreshing", "rp", "shanghai", "signing_keys"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Races take threads and time: they belong to `make test`, not to the quick check."""
    for item in items:
        if "/races/" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)
