"""What is refused, and how: by status, with the place, without quoting what was sent."""

from typing import Any

from stepwell_routing.cds.services import CARE_STEP, EARLIER_RESULTS, REFERRAL_STEP

from tests.services.routing.cds.ehr import BASE, Ehr, draft, ehr_of, orders, patient_view

CONTEXT: dict[str, Any] = patient_view()["context"]


MALFORMED: list[tuple[str, object, str | None]] = [
    (CARE_STEP, [], None),
    (CARE_STEP, {}, "hook"),
    (CARE_STEP, patient_view(hook="order-sign"), "hook"),
    (CARE_STEP, patient_view(hookInstance="1"), "hookInstance"),
    (CARE_STEP, patient_view(hookInstance=None), "hookInstance"),
    (CARE_STEP, patient_view(context="p1"), "context"),
    (CARE_STEP, patient_view(context={"userId": "Practitioner/x"}), "context.patientId"),
    (CARE_STEP, patient_view(context={**CONTEXT, "patientId": "secret name"}), "context.patientId"),
    (CARE_STEP, patient_view(context={"patientId": "p1"}), "context.userId"),
    (CARE_STEP, patient_view(prefetch=[1]), "prefetch"),
    (CARE_STEP, patient_view("p2", prefetch={"patient": {"id": "p1"}}), "prefetch.patient"),
    (CARE_STEP, {**patient_view(fhirAuthorization={}), "fhirServer": None}, "fhirServer"),
    (REFERRAL_STEP, orders(draftOrders=[draft()]), "context.draftOrders"),
    (REFERRAL_STEP, orders(hook="order-select", selections="all"), "context.selections"),
    (EARLIER_RESULTS, orders(draftOrders=None), "context.draftOrders"),
]


async def test_a_malformed_call_is_a_400_with_its_place(ehr: Ehr) -> None:
    for service, body, place in MALFORMED:
        answer = await ehr.post(service, body)
        assert answer.status_code == 400
        issues = answer.json()["issue"]
        assert place is None or [place] in [each.get("expression") for each in issues], place
        assert "secret" not in answer.text


async def test_what_is_no_json_or_too_deep_is_refused(ehr: Ehr) -> None:
    for content in (b"", b"{", b"[" * 100_000, b"\xff"):
        headers = {"Authorization": f"Bearer {ehr.token(f'{BASE}/care-step')}", "Content-Type": "application/json"}
        answer = await ehr.http.post(f"{BASE}/care-step", content=content, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["resourceType"] == "OperationOutcome"


async def test_odd_resources_in_orders_and_prefetch_say_nothing_and_break_nothing(ehr: Ehr) -> None:
    odd: list[Any] = [None, 1, "x", [], {}, {"resource": None}, {"resource": {"resourceType": "ServiceRequest"}}]
    concepts: list[Any] = [None, 1, [1], {"coding": 1}, [{}]]
    odd += [{"resource": draft(code=each, category=each, priority=[])} for each in concepts]
    bundle = {"resourceType": "Bundle", "entry": odd}
    prefetch = {"patient": None, "results": bundle, "reports": {"entry": 1}, "plans": "x"}
    for service in (REFERRAL_STEP, EARLIER_RESULTS):
        assert await ehr.cards(service, orders(draftOrders=bundle, prefetch=prefetch)) == []


async def test_addresses_and_methods_that_are_not_offered_are_refused(ehr: Ehr) -> None:
    for path in ("unknown", "care-step/else", "care-step/feedback/more"):
        assert (await ehr.post(path, patient_view())).status_code == 404
    refused = await ehr.http.get(f"{BASE}/care-step")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert (await ehr.http.post(BASE, json={})).status_code == 405
    headers = {"Authorization": f"Bearer {ehr.token(f'{BASE}/care-step')}", "Content-Type": "text/plain"}
    assert (await ehr.http.post(f"{BASE}/care-step", content=b"{}", headers=headers)).status_code == 415


async def test_discovery_is_open_and_names_every_hook_with_its_prefetch(ehr: Ehr) -> None:
    answer = await ehr.http.get(BASE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    services = answer.json()["services"]
    assert {(each["id"], each["hook"]) for each in services} == {
        (CARE_STEP, "patient-view"),
        *((id_, hook) for id_ in (REFERRAL_STEP, EARLIER_RESULTS) for hook in ("order-select", "order-sign")),
    }
    assert all(each["title"] and each["description"] and each["prefetch"]["patient"] for each in services)
    again = await ehr.http.get(BASE, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


async def test_browsers_of_any_origin_may_ask(ehr: Ehr) -> None:
    preflight = await ehr.http.options(f"{BASE}/care-step", headers={"Origin": "https://ehr.example"})
    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    for answer in (await ehr.http.get(BASE), await ehr.post(CARE_STEP, []), await ehr.post(CARE_STEP, patient_view())):
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_without_the_patient_that_carries_the_identifier_the_answer_is_412(ehr: Ehr) -> None:
    async with ehr_of(ehr.runtime, organisation="by-number", patient_system="https://ehr.example/mrn") as other:
        for prefetch in ({}, {"patient": {"id": "p1", "identifier": [{"system": "urn:else", "value": "7"}]}}):
            answer = await other.post(CARE_STEP, patient_view(prefetch=prefetch))
            assert answer.status_code == 412
            assert answer.json()["issue"][0]["expression"] == ["prefetch.patient"]
