"""A cluster that initdb has made, for tests of what comes after."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from stepwell_shared.cli.embedded import EmbeddedPostgres


@pytest.fixture(scope="session")
def initialised() -> Iterator[Path]:
    """The home folder of a stopped server that holds nothing yet; a test starts a copy of it."""
    with tempfile.TemporaryDirectory(prefix="sw-") as place:
        Path(place).chmod(0o711)
        postgres = EmbeddedPostgres(Path(place) / "home", durable=False)
        with postgres:
            pass
        yield postgres.home
