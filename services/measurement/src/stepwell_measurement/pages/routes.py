"""`GET /measurement/trajectory/{patient}`: one person's way as data or as a picture, for bearers of a token."""

import re

from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.pages.door import Authenticate, Shown, Visit, staff_door
from stepwell_shared.pages.headers import security_headers
from stepwell_shared.runtime import Page, Runtime

from stepwell_measurement.data import words
from stepwell_measurement.pages.plot import trajectory_svg
from stepwell_measurement.pages.report import trajectory_report
from stepwell_measurement.use_cases.viewing import view_of

PATH = "/measurement/trajectory/"
JSON, SVG = "application/json", "image/svg+xml"
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")  # https://hl7.org/fhir/R4/datatypes.html#id
FORMATS = {"json": JSON, JSON: JSON, "svg": SVG, SVG: SVG}
HEADERS = {**security_headers(), "Vary": "Accept, Accept-Language"}


def trajectory_pages(runtime: Runtime, authenticate: Authenticate) -> tuple[str, Page]:
    """What answers below the address of trajectories."""
    return PATH, staff_door(runtime, authenticate, _page, languages=words.languages())


async def _page(visit: Visit) -> Shown:
    """The person's way in the format and language that are asked for. Raises FhirError."""
    id_ = visit.exchange.path.removeprefix(PATH)
    if not _ID.fullmatch(id_):
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    media_type, language = _format(visit.exchange), visit.language
    view = await view_of(visit.runtime, visit.request("Patient", id_))
    body = trajectory_svg(view, language) if media_type == SVG else encode(trajectory_report(view, language))
    headers = {**HEADERS, "Content-Language": language}
    return Shown(body, "$trajectory", "Patient", id_, media_type=media_type, headers=headers)


def _format(exchange: Exchange) -> str:
    """JSON unless a picture is asked for, by `_format` or else by Accept. Raises FhirError NOT_ACCEPTABLE."""
    wanted = exchange.parameter("_format")
    if wanted is None:
        return SVG if SVG in exchange.headers.get("accept", "") else JSON
    if wanted.replace(" ", "+") not in FORMATS:
        raise FhirError(Category.NOT_ACCEPTABLE, "_format is json or svg")
    return FORMATS[wanted.replace(" ", "+")]
