"""A registered EHR before routing's CDS services."""

from collections.abc import AsyncIterator

import pytest
from stepwell_shared.runtime import Runtime

from tests.services.routing.cds.ehr import Ehr, ehr_of


@pytest.fixture
async def ehr(runtime: Runtime) -> AsyncIterator[Ehr]:
    """It is answered from north, and its Patients have the ids that they have in Stepwell."""
    async with ehr_of(runtime) as opened:
        yield opened
