"""Promises of referrals to partners: what leaves, what is shown when it cannot, and how ours follow what comes back."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from stepwell_referral.app import listens
from stepwell_referral.subscriptions import PATIENT_CHANGED
from stepwell_referral.use_cases.partners import concerns, outgoing, show_refusal, take_news
from stepwell_shared.canonical import extension_url, topic
from stepwell_shared.consent.serving import CONSENT_CHANGED
from stepwell_shared.events.bodies import completed
from stepwell_shared.events.notification import ReceivedEvent
from stepwell_shared.events.outbox import Entry, decode_payload
from stepwell_shared.events.progress import PendingEvent
from stepwell_shared.federation.exchange import NotReadyError
from stepwell_shared.federation.partners import Partner, save_partner
from stepwell_shared.fhir import validation
from stepwell_shared.fhir.body import encode
from stepwell_shared.fhir.interactions import built
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.unit import UnitOfWork
from stepwell_shared.runtime import Runtime

from tests.services.referral.assigning import accepted, assigned, assignment, hear, referral_events, referrals
from tests.shared.federation.pairs import HUB_URL, hub
from tests.support.consents import label, of_types, opt_in, provision, sharing
from tests.support.runtime import NORTH, START, URLS, Clock, received, stored

Resource = dict[str, Any]


@pytest.fixture
async def partner(runtime: Runtime) -> Partner:
    """The hub, whose place is asked for tier 3."""
    partner = hub()
    await save_partner(runtime.database, partner, START)
    (place,) = [each for each in await stored(runtime, NORTH, "HealthcareService") if each["id"] == "default-tier-3"]
    change = {
        **place,
        "providedBy": {"reference": partner.organization},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"{HUB_URL}/HealthcareService/there"}],
    }
    await runtime.store.commit(UnitOfWork(NORTH, [built(runtime.engine, change, runtime.clock(), version=2)]))
    return partner


async def consents(runtime: Runtime, consent: Resource, version: int = 1) -> None:
    """Screening announces a Consent."""
    told = {**consent, "meta": {"versionId": str(version)}}
    heard = received(topic("consent-changed"), [(f"{URLS['screening']}/Consent/{consent['id']}", told)])
    await listens(runtime)[CONSENT_CHANGED](heard, NORTH)


async def refer(runtime: Runtime, request_id: str = "s1", *, consent: Resource | None = None) -> Resource:
    """A referral that was asked for, of a person whose record is here with a Consent to sharing it."""
    await consents(runtime, consent or opt_in("p1"))
    patient = {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {"versionId": "1"},
        "name": [{"family": "Example"}],
        "telecom": [{"system": "phone", "value": "1"}],
        "generalPractitioner": [{"reference": "Practitioner/inside"}],
    }
    heard = received(topic("patient-changed"), [(f"{URLS['screening']}/Patient/p1", patient)])
    await listens(runtime)[PATIENT_CHANGED](heard, NORTH)
    await hear(runtime, assigned(accepted(assignment(request_id))))
    return (await referrals(runtime, NORTH))[-1]


async def pending(runtime: Runtime, number: int = -1) -> PendingEvent:
    """An event of the outbox as delivery takes it."""
    async with runtime.database.transaction(NORTH) as connection:
        rows = await connection.fetch(
            "SELECT subject, focus, payload FROM outbox WHERE topic = $1 ORDER BY position", topic("referral-changed")
        )
    row = rows[number]
    (entries,) = await completed(runtime.database, NORTH, [decode_payload(row["payload"])])
    return PendingEvent((1, 1), row["subject"], row["focus"], entries, None, START)


def news(task: Resource, status: str, version: int, **changed: Any) -> ReceivedEvent:
    """The hub's Task in some version, as it announces it."""
    theirs = {
        "resourceType": "Task",
        "id": "there",
        "meta": {"versionId": str(version)},
        "identifier": task["identifier"],
        "status": status,
        "intent": "order",
        "lastModified": "2026-11-21T10:00:00Z",
        **changed,
    }
    return received(topic("referral-changed"), [(f"{HUB_URL}/Task/there", theirs)], number=version)


async def ours(runtime: Runtime) -> Resource:
    (task,) = await referrals(runtime, NORTH)
    return task


@pytest.mark.parametrize(
    "changed",
    [
        {"identifier": [{"system": "https://elsewhere.example", "value": "x"}]},
        {"identifier": [{"system": "https://stepwell.health/fhir/NamingSystem/referral", "value": "unknown"}]},
        {"resourceType": "ServiceRequest"},
        {"meta": {}},
    ],
    ids=["foreign", "unknown", "type", "version"],
)
async def test_news_about_what_is_no_referral_to_the_partner_are_refused(
    runtime: Runtime, partner: Partner, changed: Resource
) -> None:
    before = await refer(runtime)
    with pytest.raises(FhirError) as refused:
        await take_news(runtime, partner, news(before, "accepted", 2, **changed))
    assert refused.value.category is Category.BUSINESS_RULE
    assert await ours(runtime) == before


async def test_a_partner_cannot_move_what_was_asked_of_somebody_else(runtime: Runtime, partner: Partner) -> None:
    before = await refer(runtime)
    stranger = hub(name="other")
    with pytest.raises(FhirError):
        await take_news(runtime, stranger, news(before, "accepted", 2))
    assert not await concerns(runtime, stranger, await pending(runtime))
    assert await ours(runtime) == before


async def test_drafts_and_what_the_partner_knows_stay_here(runtime: Runtime, partner: Partner) -> None:
    await hear(runtime, assigned(assignment("s0")))
    assert not await concerns(runtime, partner, await pending(runtime))
    task = await refer(runtime)
    assert await concerns(runtime, partner, await pending(runtime))
    await take_news(runtime, partner, news(task, "requested", 1))
    assert not await concerns(runtime, partner, await pending(runtime))


async def test_nobody_is_sent_without_a_record_that_is_still_on_its_way(runtime: Runtime, partner: Partner) -> None:
    await hear(runtime, assigned(accepted(assignment("s1"))))
    with pytest.raises(NotReadyError):
        await outgoing(runtime, partner, await pending(runtime))


@pytest.mark.parametrize(
    "consent",
    [
        {**opt_in("p1"), "status": "inactive"},
        opt_in("p2"),
        sharing("p1", provision("deny", "Organization/partner-hub"), rule="OPTIN"),
        sharing("p1", provision("permit", "Organization/partner-other")),
        sharing("p1", provision("permit", "Organization/partner-hub", classes=of_types("Task", "Patient"))),
    ],
    ids=["withdrawn", "somebody else's", "denied", "for another", "not all of it"],
)
async def test_without_a_consent_nothing_leaves_and_the_task_says_so_once(
    runtime: Runtime, partner: Partner, emitted: Callable[[Resource], None], consent: Resource
) -> None:
    await refer(runtime, consent=consent)
    for _ in range(2):
        assert (await outgoing(runtime, partner, await pending(runtime))).entries == []
    task = await ours(runtime)
    assert (task["status"], task["meta"]["versionId"]) == ("requested", "2")
    assert task["businessStatus"]["coding"][0]["code"] == "not-consented"
    assert "The hub" in task["statusReason"]["text"]
    validation.check(encode(task), "Task")
    emitted(task)


async def test_a_consent_that_comes_later_sends_what_waited_for_it(runtime: Runtime, partner: Partner) -> None:
    await refer(runtime, consent=opt_in("p2"))
    await outgoing(runtime, partner, await pending(runtime))
    await consents(runtime, sharing("p1", provision("permit", "Organization/partner-hub")))
    task = await ours(runtime)
    assert ("statusReason" in task, task["businessStatus"]["text"]) == (False, "Referred")
    event = await pending(runtime)
    assert await concerns(runtime, partner, event)
    assert len((await outgoing(runtime, partner, event)).entries) == 3


async def test_what_waits_to_be_sent_does_not_go_once_the_consent_is_withdrawn(
    runtime: Runtime, partner: Partner
) -> None:
    await refer(runtime)
    event = await pending(runtime)
    assert (await outgoing(runtime, partner, event)).entries
    await consents(runtime, {**opt_in("p1"), "status": "inactive"}, 2)
    assert (await outgoing(runtime, partner, event)).entries == []


async def test_taking_back_needs_no_consent(runtime: Runtime, partner: Partner) -> None:
    await refer(runtime)
    await consents(runtime, {**opt_in("p1"), "status": "inactive"}, 2)
    await hear(runtime, assigned({**accepted(assignment("s1")), "status": "revoked"}, 2))
    assert len((await outgoing(runtime, partner, await pending(runtime))).entries) == 1


async def test_what_has_a_denied_label_does_not_leave(runtime: Runtime, partner: Partner) -> None:
    exception = provision("deny", securityLabel=[label("PSY")])
    await refer(runtime, consent=sharing("p1", {"provision": [exception]}, rule="OPTIN"))
    event = await pending(runtime)
    assert (await outgoing(runtime, partner, event)).entries
    task = {**await ours(runtime), "meta": {"versionId": "2", "security": [label("PSY")]}}
    entry = Entry(event.entries[0].full_url, msgspec.Raw(encode(task)))
    assert (await outgoing(runtime, partner, replace(event, entries=[entry, *event.entries[1:]]))).entries == []


@pytest.mark.parametrize("shared", [frozenset(), frozenset({"contact", "reasons"})])
async def test_what_was_agreed_leaves_and_nothing_else(
    runtime: Runtime, partner: Partner, shared: frozenset[str]
) -> None:
    await refer(runtime)
    sent = await outgoing(runtime, hub(shared=shared), await pending(runtime))
    patient, request, task = (entry["resource"] for entry in sent.entries)
    assert ("telecom" in patient, "reasonCode" in request) == ("contact" in shared, "reasons" in shared)
    text = str(sent.entries)
    for inside in ("generalPractitioner", "reasonReference", "note", "wait-promise", "Device"):
        assert inside not in text
    named = {"system": "urn:ietf:rfc:3986", "value": f"{URLS['screening']}/Consent/opt-in-p1"}
    assert request["supportingInfo"] == [{"type": "Consent", "identifier": named}]
    assert task["owner"] == {"reference": "HealthcareService/there"}
    assert {each["requester"]["reference"] for each in (request, task)} == {partner.organization_there}
    assert patient["managingOrganization"]["reference"] == partner.organization_there
    for resource in (patient, request, task):
        assert "id" not in resource
        validation.check(encode(resource), resource["resourceType"])
    again = await outgoing(runtime, hub(shared=shared), await pending(runtime))
    assert again == sent


async def test_a_referral_that_is_taken_back_is_taken_back_there_by_itself(runtime: Runtime, partner: Partner) -> None:
    task = await refer(runtime)
    await hear(runtime, assigned({**accepted(assignment("s1")), "status": "revoked"}, 2))
    event = await pending(runtime)
    assert await concerns(runtime, partner, event)
    sent = await outgoing(runtime, partner, event)
    (abort,) = (entry["resource"] for entry in sent.entries)
    assert sent.alone
    assert abort["focus"]["identifier"]["value"] == task["identifier"][0]["value"]
    validation.check(encode(abort), "Task")


async def test_a_refusal_is_shown_on_the_task_once_and_goes_when_it_arrives(
    runtime: Runtime, partner: Partner, emitted: Callable[[Resource], None]
) -> None:
    await refer(runtime)
    event = await pending(runtime)
    for _ in range(2):
        await show_refusal(runtime, partner, event, "HTTP 422 business-rule: no such place")
    task = await ours(runtime)
    assert (task["status"], task["meta"]["versionId"]) == ("requested", "2")
    assert task["businessStatus"]["coding"][0]["code"] == "not-delivered"
    assert task["statusReason"]["text"].endswith("no such place")
    emitted(task)
    await take_news(runtime, partner, news(task, "requested", 1))
    task = await ours(runtime)
    assert (task["businessStatus"]["coding"][0]["code"], "statusReason" in task) == ("arrived", False)
    await show_refusal(runtime, partner, event, "late")
    assert await ours(runtime) == task


async def test_ours_follows_with_reasons_results_and_what_was_said(
    runtime: Runtime, partner: Partner, emitted: Callable[[Resource], None]
) -> None:
    before = await refer(runtime)
    output = {"type": {"text": "report"}, "valueReference": {"reference": "DocumentReference/d1"}}
    said = {"text": "we have seen each other"}
    event = news(before, "completed", 5, output=[output], note=[said], businessStatus={"text": "done"})
    await take_news(runtime, partner, event)
    task = await ours(runtime)
    assert (task["status"], task["businessStatus"]["text"]) == ("completed", "done")
    assert [each["code"] for each in task["businessStatus"]["coding"]] == ["7.0"]
    assert task["output"][0]["valueReference"]["reference"] == f"{HUB_URL}/DocumentReference/d1"
    assert task["note"] == [*before["note"], said]
    extensions = {each["url"]: each for each in task["extension"]}
    assert extensions[extension_url("partner-task")]["extension"][0]["valueUri"].endswith("/Task/there/_history/5")
    validation.check(encode(task), "Task")
    emitted(task)
    assert (await referral_events(runtime, NORTH))[-1].focus["status"] == "completed"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("skew", [timedelta(days=-3), timedelta(days=3)], ids=["behind", "ahead"])
async def test_late_double_and_mixed_up_news_end_the_same_whatever_the_clocks_say(
    runtime: Runtime, partner: Partner, order: tuple[int, ...], skew: timedelta
) -> None:
    task = await refer(runtime)
    assert isinstance(runtime.clock, Clock)
    runtime.clock.now += skew
    told = [news(task, "accepted", 2), news(task, "in-progress", 3), news(task, "on-hold", 6)]
    for index in (*order, *order):
        await take_news(runtime, partner, told[index])
    assert (await ours(runtime))["status"] == "on-hold"


async def test_what_is_closed_here_stays_closed_and_shows_that_the_partner_went_on(
    runtime: Runtime, partner: Partner
) -> None:
    task = await refer(runtime)
    await hear(runtime, assigned({**accepted(assignment("s1")), "status": "revoked"}, 2))
    await take_news(runtime, partner, news(task, "in-progress", 4))
    task = await ours(runtime)
    assert task["status"] == "cancelled"
    assert "in-progress" in str(task["extension"])
