"""Screening's Runtime and FHIR door on a database of its own, beside a tenant that nothing may reach."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from stepwell_screening.app import service
from stepwell_shared.runtime import Runtime

from tests.conftest import DatabaseOf
from tests.services.screening.submitting import EHR, SOUTH_EHR, everything, form, patient
from tests.support.runtime import SOUTH, http_of, running, shipped


async def _south_has_a_person(runtime: Runtime) -> None:
    async with http_of(runtime, service) as client:
        for resource in (patient(), patient("south-only"), form(1, id="r1")):
            await client.put(f"{resource['resourceType']}/{resource['id']}", json=resource, headers=SOUTH_EHR)


BESIDE_SOUTH = shipped(service, "beside_south", _south_has_a_person)


@pytest.fixture(scope="session")
def south_at_first() -> list[dict[str, Any]]:
    """What south has in every clone, once a test has looked."""
    return []


@pytest.fixture
async def runtime(
    database_of: DatabaseOf, tmp_path: Path, south_at_first: list[dict[str, Any]]
) -> AsyncIterator[Runtime]:
    """The running parts. South has a person and a response under the same ids, which every test leaves as they are."""
    async with running(service, await database_of("screening", BESIDE_SOUTH), tmp_path, is_prepared=True) as opened:
        if not south_at_first:
            south_at_first.append(await everything(opened, SOUTH))
        yield opened
        assert await everything(opened, SOUTH) == south_at_first[0]


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """The door, with Patient/p1 of north behind it."""
    async with http_of(runtime, service) as client:
        await client.put("Patient/p1", json=patient(), headers=EHR)
        yield client
