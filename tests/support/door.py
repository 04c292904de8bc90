"""The FHIR routes of a service in the test's own process, as one caller finds them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.routes import Door, FhirApplication
from stepwell_shared.runtime import Runtime

from tests.support.engine import access_record


@asynccontextmanager
async def door_for(runtime: Runtime, access: Access) -> AsyncIterator[httpx.AsyncClient]:
    """A client for whom every request is this caller's."""

    async def authenticate(header: str | None) -> Access:
        return access

    app = FhirApplication(Door(runtime.engine, authenticate, access_record), urlsplit(runtime.engine.base_url).path)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=runtime.engine.base_url + "/") as client:
        yield client
