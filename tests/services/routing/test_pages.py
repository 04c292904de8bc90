"""Promises of the simulation's page: behind a token, on record, a table beside each plot, what is unsafe first."""

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from stepwell_routing.pages import staff_pages
from stepwell_routing.pages.equity import equity_page
from stepwell_routing.pages.simulation import simulation_page
from stepwell_routing.rules.equity import EquityTally, watch
from stepwell_routing.rules.simulation import Frame, Tally, count, published
from stepwell_routing.rules.synthetic import people
from stepwell_routing.use_cases.reporting import About
from stepwell_shared.auth.roles import ROLES
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.wire import Exchange
from stepwell_shared.runtime import Runtime

from tests.services.routing.rules.shipped import NOW, POLICY
from tests.services.routing.rules.test_simulation import ASSUMPTIONS, PROMISES
from tests.support.runtime import NORTH, caller


class Elements(HTMLParser):
    """The elements of a page in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.names: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)


def page(*, broken: tuple[tuple[str, int], ...] = (), note: str = "A note") -> bytes:
    tally = Tally()
    for person in people([POLICY], ASSUMPTIONS, 2, 200, NOW):
        count(tally, person, POLICY, POLICY, PROMISES)
    report = published(tally, POLICY, POLICY, Frame(10, {}, 4, 1))
    assert report is not None
    return simulation_page(replace(report, broken=broken), About(NORTH, NOW, NOW, NOW, True, [note]))


def test_each_plot_is_followed_by_its_table_and_names_itself() -> None:
    names = Elements(page()).names
    plots = [index for index, name in enumerate(names) if name == "svg"]
    assert len(plots) == 2
    assert all("table" in names[index : index + 80] for index in plots)
    assert page().count(b'role="img" aria-labelledby=') == 2


def test_what_is_unsafe_stands_before_every_figure() -> None:
    text = page(broken=(("SAF-2", 1),))
    assert text.index(b"Not safe") < text.index(b"SAF-2") < text.index(b"<svg")


def test_nothing_that_is_said_becomes_markup() -> None:
    assert b"<script>" not in page(note="<script>alert(1)</script>")


async def asked(runtime: Runtime, role: str | None, path: str, method: str = "GET") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def authenticate(header: str | None) -> Any:
        if role is None:
            raise FhirError(Category.UNAUTHENTICATED, "no token")
        return caller(NORTH, [role], ROLES[role], "")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    (below, _), answer = staff_pages(runtime, authenticate)
    scope = {"method": method, "path": below + path, "headers": [], "query_string": b"cohort=synthetic&people=60"}
    await answer(Exchange(scope, receive, send))
    return sent


async def test_the_page_is_for_those_who_may_see_figures(runtime: Runtime) -> None:
    async with runtime.database.transaction(NORTH) as connection:
        id_ = await connection.fetchval("SELECT id FROM fhir_plandefinition LIMIT 1")
    refused = [(None, 401), ("patient", 403), ("community-health-worker", 403)]
    for role, status in refused:
        assert (await asked(runtime, role, f"{id_}/simulation"))[0]["status"] == status
    assert (await asked(runtime, "analyst", "absent/simulation"))[0]["status"] == 404
    head, _ = await asked(runtime, "analyst", f"{id_}/simulation", "TRACE")
    assert (head["status"], dict(head["headers"])[b"allow"]) == (405, b"GET, HEAD")
    head, body = await asked(runtime, "analyst", f"{id_}/simulation")
    assert head["status"] == 200
    assert b"do not exist" in body["body"]


def test_the_equity_page_says_first_what_differs_and_shows_every_interval() -> None:
    tally = EquityTally()
    for sex, low, high in (("female", 60, 20), ("male", 20, 60)):
        for rank, many in ((1, low), (2, high)):
            for _ in range(many):
                tally.add({"sex": sex, "language": "de"}, "phq-9-moderate", rank)
    found = watch(tally, "policy|1", 4, round_to=5)
    assert found is not None
    text = equity_page(found, About(NORTH, NOW, NOW, NOW, False, ["<script>"]))
    assert text.index(b"To look into") < text.index(b"sex female") < text.index(b"<svg")
    assert b"<script>" not in text
    assert b"too few people to compare" in text
    assert b"+50 (" in text
    assert b"-50 (" in text
    names = Elements(text).names
    assert "table" in names[names.index("svg") :]


async def test_the_equity_page_is_for_those_who_may_see_figures(runtime: Runtime) -> None:
    async with runtime.database.transaction(NORTH) as connection:
        id_ = await connection.fetchval("SELECT id FROM fhir_plandefinition LIMIT 1")
    assert (await asked(runtime, "community-health-worker", f"{id_}/equity"))[0]["status"] == 403
    head, body = await asked(runtime, "analyst", f"{id_}/equity")
    assert head["status"] == 200
    assert b"Equity watch" in body["body"]
