"""One running suite for all journeys of a worker that leave it as they found it."""

from collections.abc import Iterator

import pytest

from tests.support.suite import Suite, running_suite


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Four services that stay up; tests make people of their own."""
    with running_suite(tmp_path_factory.mktemp("suite")) as running:
        yield running
