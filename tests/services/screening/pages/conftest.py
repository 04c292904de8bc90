"""The form pages of a running screening, its site's crisis contacts, and a person who is asked to fill in a form."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from stepwell_screening.pages import form_pages
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.runtime import Runtime

from tests.services.screening.pages.browsing import Browser
from tests.services.screening.submitting import EHR, Resource, patient

SiteFile = Callable[[Any], None]
SITE: dict[str, Any] = {
    "north": {
        "name": "North Practice",
        "crisisContacts": [
            {
                "name": {"en": "Example Line", "de": "Beispiel-Telefon"},
                "phone": "+1 555 0100",
                "hours": {"en": "always"},
            },
            {"name": {"en": "Example Chat"}, "url": "https://chat.example"},
        ],
    }
}


@pytest.fixture
def site(runtime: Runtime, tmp_path: Path) -> SiteFile:
    """Writes the file of the sites, in which north's has its contacts until a test changes it."""
    path = tmp_path / "site.json"
    runtime._settings = runtime.settings.model_copy(update={"site_file": path})

    def write(content: Any) -> None:
        path.write_text(json.dumps(content))

    write(SITE)
    return write


@pytest.fixture
async def person(http: httpx.AsyncClient) -> Resource:
    """Patient/p1, of whom a date of birth, a postal code and a telephone number are known."""
    found = patient(
        birthDate="1980-03-05",
        address=[{"postalCode": "AB 12"}],
        telecom=[{"system": "phone", "value": "+1 555 123-4567"}],
    )
    await http.put("Patient/p1", json=found, headers=EHR)
    return found


@pytest.fixture
async def browser(runtime: Runtime, site: SiteFile) -> AsyncIterator[Browser]:
    """A browser without scripts that has opened nothing yet."""
    async with Browser.at(_application(runtime)) as opened:
        yield opened


@pytest.fixture
async def other_browser(runtime: Runtime, site: SiteFile) -> AsyncIterator[Browser]:
    """Another person's, or the same person's elsewhere."""
    async with Browser.at(_application(runtime)) as opened:
        yield opened


def _application(runtime: Runtime) -> Any:
    _, page = form_pages(runtime)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await page(Exchange(scope, receive, send))

    return application
