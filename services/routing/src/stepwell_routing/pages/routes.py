"""Pages of policies and of case reviews, below /routing/policies and /routing/reviews, for bearers of a token."""

import re

from stepwell_shared.fhir.messages import Request
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import Interaction
from stepwell_shared.pages.door import Authenticate, Shown, Visit, staff_door
from stepwell_shared.pages.layout import page_headers
from stepwell_shared.runtime import Page, Runtime

from stepwell_routing.pages.case_review import list_page, sheet_page
from stepwell_routing.pages.equity import equity_page
from stepwell_routing.pages.simulation import simulation_page
from stepwell_routing.use_cases.case_reviews import open_reviews, review_list
from stepwell_routing.use_cases.people import require_whole
from stepwell_routing.use_cases.review_sheets import sheet_of, told_by_rules
from stepwell_routing.use_cases.simulating import simulated, watched

POLICIES, REVIEWS = "/routing/policies/", "/routing/reviews/"
# What somebody must be able to read, all of it, to see the page of a case review.
READ_FOR_REVIEWS = ("List", "Task", "ServiceRequest", "EpisodeOfCare", "Observation", "CarePlan", "Communication")

_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")


def staff_pages(runtime: Runtime, authenticate: Authenticate) -> tuple[tuple[str, ...], Page]:
    """What answers below the addresses of these pages."""
    return (POLICIES, REVIEWS), staff_door(runtime, authenticate, _page)


async def _page(visit: Visit) -> Shown:
    """The page at an address. Raises FhirError."""
    path = visit.exchange.path
    about_reviews = path.startswith(REVIEWS)
    id_, _, name = path.removeprefix(REVIEWS if about_reviews else POLICIES).partition("/")
    if not _ID.fullmatch(id_) or (name and not _ID.fullmatch(name)):
        raise FhirError(Category.NOT_FOUND, "there is no such page")
    if about_reviews:
        page = await _review(visit.runtime, visit.request("Task" if name else "List", id_), name)
        shown, of = ("$case-review", page), ("Task", name) if name else ("List", id_)
    else:
        shown, of = await _figures(visit.runtime, visit.request("PlanDefinition", id_), name), ("PlanDefinition", id_)
    return Shown(shown[1], shown[0], *of, headers=page_headers())


async def _figures(runtime: Runtime, request: Request, name: str) -> tuple[str, bytes]:
    """A page about a policy, and the operation whose figures it has."""
    if name == "simulation":
        request.access.require("PlanDefinition", Interaction.READ)
        found = await simulated(runtime, request)
        return "$simulate", simulation_page(found.report, found.about)
    if name == "equity":
        request.access.require("PlanDefinition", Interaction.READ)
        return "$equity-watch", equity_page(*await watched(runtime, request))
    raise FhirError(Category.NOT_FOUND, "there is no such page")


async def _review(runtime: Runtime, request: Request, task_id: str) -> bytes:
    """`{list}`: who is to be reviewed; `{list}/{task}`: what reviewers need to know of one of them."""
    for each in READ_FOR_REVIEWS:
        request.access.require(each, Interaction.SEARCH_TYPE)
        require_whole(request, each, Interaction.SEARCH_TYPE)
    tenant, now = request.access.tenant, runtime.clock()
    _, found = await review_list(runtime, tenant, request.id)
    tasks = await open_reviews(runtime, tenant, found)
    if not task_id:
        told = await told_by_rules(runtime, tenant)
        return list_page(str(found.get("title", "Case reviews")), request.id, tasks, told, now)
    task = next((each for each in tasks if each["id"] == task_id), None)
    if task is None:
        raise FhirError(Category.NOT_FOUND, "there is no open review with this id on this list")
    return sheet_page(await sheet_of(runtime, tenant, task), now)
