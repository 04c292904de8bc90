"""Searches that are refused."""

from typing import Any

import pytest
from stepwell_shared.fhir.outcome import FhirError

from tests.support.engine import Bench


async def refusal(bench: Bench, resource_type: str, query: str, **given: Any) -> FhirError:
    """The 400 that a search gets; its OperationOutcome says where."""
    with pytest.raises(FhirError) as caught:
        await bench.found(resource_type, query, **given)
    assert caught.value.status == 400, query
    assert all(issue.expression and issue.diagnostics for issue in caught.value.issues), query
    return caught.value
