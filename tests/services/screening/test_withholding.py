"""Promises of what an outside subscriber is told: resource by resource, by the Consents of the moment of sending."""

import httpx
import pytest
from stepwell_shared.consent.sharing import Sharing
from stepwell_shared.consent.withholding import withholding
from stepwell_shared.events.outbox import Entry, decode_payload
from stepwell_shared.events.withholding import Told, Withhold
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.runtime import Runtime

from tests.services.screening.submitting import EHR, Resource, accept, form
from tests.support.consents import label, of_types, opt_in, provision, sharing
from tests.support.runtime import NORTH, SOUTH

HUB = "Organization/hub"


@pytest.fixture
async def scored(runtime: Runtime, http: httpx.AsyncClient) -> Told:
    """The event of a positive safety item: the response, its score, the risk that is open, and the person."""
    await accept(http, form(2, id="r1", meta={"security": [label("PSY")]}))
    async with runtime.database.transaction(NORTH) as connection:
        row = await connection.fetchrow("SELECT subject, payload FROM outbox WHERE topic LIKE '%score-finalized'")
    return Told(row["subject"], decode_payload(row["payload"]))


def rule(runtime: Runtime) -> Withhold:
    return withholding(runtime.database, Sharing.of(runtime.engine))


async def told(runtime: Runtime, event: Told, actor: str = HUB, tenant: str = NORTH) -> list[str]:
    (entries,) = await rule(runtime)(tenant, actor, [event])
    return [entry.full_url.split("/")[-2] for entry in entries]


async def give(http: httpx.AsyncClient, consent: Resource) -> None:
    assert (await http.put(f"Consent/{consent['id']}", json=consent, headers=EHR)).status_code in {200, 201}


async def test_without_a_consent_an_event_is_withheld_whole(runtime: Runtime, scored: Told) -> None:
    assert await told(runtime, scored) == []


async def test_a_denied_focus_takes_everything_beside_it_along(
    runtime: Runtime, http: httpx.AsyncClient, scored: Told
) -> None:
    await give(http, sharing("p1", provision("permit", HUB, classes=of_types("Patient", "Observation"))))
    assert await told(runtime, scored) == []
    await give(
        http, sharing("p1", provision("permit", HUB, provision=[provision("deny", securityLabel=[label("PSY")])]))
    )
    assert await told(runtime, scored) == []


async def test_what_is_denied_beside_a_permitted_focus_is_left_out(
    runtime: Runtime, http: httpx.AsyncClient, scored: Told
) -> None:
    exception = provision("deny", classes=of_types("RiskAssessment", "Patient"))
    await give(http, sharing("p1", provision("permit", HUB, provision=[exception])))
    assert await told(runtime, scored) == ["QuestionnaireResponse", "Observation"]


async def test_what_is_permitted_goes_as_it_was_announced_until_the_withdrawal(
    runtime: Runtime, http: httpx.AsyncClient, scored: Told
) -> None:
    await give(http, opt_in("p1"))
    (entries,) = await rule(runtime)(NORTH, HUB, [scored])
    assert list(entries) == list(scored.entries)
    assert await told(runtime, scored, actor="RelatedPerson/mother") == []
    assert await told(runtime, scored, tenant=SOUTH) == []
    await give(http, {**opt_in("p1"), "status": "inactive"})
    assert await told(runtime, scored) == []


async def test_what_is_not_stored_any_more_cannot_be_looked_at_and_is_withheld(
    runtime: Runtime, http: httpx.AsyncClient, scored: Told
) -> None:
    await give(http, opt_in("p1"))
    gone = Entry(scored.entries[0].full_url, version=99)
    assert await told(runtime, Told(scored.subject, [gone, *scored.entries[1:]])) == []


async def test_while_consents_cannot_be_read_nothing_is_sent(
    runtime: Runtime, scored: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> list[object]:
        raise ConnectionError

    monkeypatch.setattr("stepwell_shared.consent.withholding.completed", away)
    with pytest.raises(FhirError) as refused:
        await told(runtime, scored)
    assert refused.value.category is Category.UNAVAILABLE


async def test_consents_of_people_known_by_an_identifier_or_an_address_are_found(
    runtime: Runtime, http: httpx.AsyncClient
) -> None:
    sharing_of = Sharing.of(runtime.engine)
    subjects = {
        "https://ehr.example/fhir/Patient/7": {"reference": "https://ehr.example/fhir/Patient/7"},
        "urn:clinic|4711": {"identifier": {"system": "urn:clinic", "value": "4711"}},
    }
    for number, (key, subject) in enumerate(subjects.items()):
        await give(http, {**opt_in("p1"), "id": f"c{number}", "patient": subject})
        assert [each.id for each in await sharing_of.consents_about(NORTH, key)] == [f"c{number}"]
    assert await sharing_of.consents_about(NORTH, "") == []
