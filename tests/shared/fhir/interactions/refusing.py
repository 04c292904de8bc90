"""What tests of the interactions share: the refusal of a call, and a caller of another tenant."""

from collections.abc import Awaitable

import pytest
from stepwell_shared.fhir.outcome import FhirError

from tests.support.engine import SOUTH, FakeAccess

EAST = FakeAccess(tenant=SOUTH)


async def refused(call: Awaitable[object]) -> FhirError:
    with pytest.raises(FhirError) as caught:
        await call
    return caught.value


async def status_of(call: Awaitable[object]) -> int:
    return (await refused(call)).status
