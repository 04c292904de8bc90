"""One suite for all pages whose commands are run, started as a newcomer starts it."""

from collections.abc import Iterator

import pytest

from tests.support.newcomer import Installation, installed


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Up, with its journey told; each page makes tenants and people of its own."""
    yield from installed(tmp_path_factory.mktemp("installation"))
