"""Rows B1, B2 and B6 of the FHIR checklist: batches. https://hl7.org/fhir/R4/http.html#brules"""

from typing import Any

import orjson
import pytest
from stepwell_shared.fhir.bundle import dispatch
from stepwell_shared.fhir.outcome import FhirError

from tests.support.bundles import bundle_of, do_batch, entry, id_in, send, statuses
from tests.support.engine import SOUTH, Bench, FakeAccess, json_of, patient, response

P = "urn:uuid:0f2e1c7a-1111-4444-8888-000000000001"
IDENTIFIER = [{"system": "http://hospital.example/mrn", "value": "m-1"}]
MRN = "identifier=http://hospital.example/mrn|m-1"


def outcome(answered: dict[str, Any]) -> list[str]:
    """Where the outcome of an entry points."""
    return [place for issue in answered["response"]["outcome"]["issue"] for place in issue.get("expression", [])]


async def test_b2_a_batch_that_is_no_bundle_is_refused_as_a_whole(bench: Bench) -> None:
    for body in ({**bundle_of("batch"), "total": 1}, bundle_of("batch", {"resource": patient()})):
        with pytest.raises(FhirError) as raised:
            await send(bench, body)
        assert raised.value.status == 400
    with pytest.raises(FhirError) as raised:
        await send(bench, {**bundle_of("batch"), "entry": [7]})
    assert raised.value.status == 400


async def test_b2_each_entry_fails_for_itself_and_the_answer_is_200(bench: Bench) -> None:
    await bench.update(patient(id="a"))
    found = await do_batch(
        bench,
        entry("PUT", "Patient/b", patient(id="b")),
        entry("POST", "Patient", patient(gender="unknowable")),
        entry("GET", "Patient/nobody"),
        entry("PUT", "Patient/a", patient(id="a"), ifMatch='W/"7"'),
        entry("GET", "Nothing/1"),
        entry("POST", "Patient"),
        entry("POST", "Patient", patient(gender=None)),
        entry("POST", "Patient", {"resourceType": "Patient", "name": []}),
        entry("POST", "Patient", {}),
        entry("GET", "Patient/a"),
    )
    assert statuses(found) == ["201", "400", "404", "412", "400", "400", "400", "400", "400", "200"]
    assert outcome(found[1]) == ["Bundle.entry[1].resource.gender"]
    assert outcome(found[3]) == ["Bundle.entry[3]"]
    assert outcome(found[4]) == ["Bundle.entry[4].request.url"]
    assert sorted(await bench.found("Patient")) == ["a", "b"]


async def test_b2_each_entry_needs_its_own_scope(bench: Bench) -> None:
    access = FakeAccess(denied=frozenset({"Patient.create"}), narrowed={"Patient.update": ["gender=female"]})
    found = await do_batch(
        bench,
        entry("POST", "Patient", patient()),
        entry("PUT", "Patient/a", patient(id="a", gender="male")),
        entry("PUT", "Patient/b", patient(id="b", gender="female")),
        access=access,
    )
    assert statuses(found) == ["403", "403", "201"]


async def test_b2_entries_do_not_refer_to_each_other(bench: Bench) -> None:
    found = await do_batch(
        bench,
        entry("POST", "Patient", patient(), fullUrl=P),
        entry("POST", "QuestionnaireResponse", response(subject={"reference": P})),
    )
    assert statuses(found) == ["201", "400"]
    assert outcome(found[1]) == ["Bundle.entry[1].resource.subject.reference"]


async def test_b2_conditional_references_are_for_transactions(bench: Bench) -> None:
    await bench.update(patient(id="a", identifier=IDENTIFIER))
    sent = response(subject={"reference": f"Patient?{MRN}"})
    assert statuses(await do_batch(bench, entry("POST", "QuestionnaireResponse", sent))) == ["400"]


async def test_b2_another_tenant_is_neither_found_nor_touched(bench: Bench) -> None:
    south = FakeAccess(tenant=SOUTH)
    await bench.update(patient(id="a", gender="female"), access=south)
    found = await do_batch(bench, entry("GET", "Patient/a"), entry("GET", "Patient"), entry("DELETE", "Patient/a"))
    assert statuses(found) == ["404", "200", "204"]
    assert found[1]["resource"].get("entry", []) == []
    assert json_of(await bench.read("Patient", "a", access=south))["gender"] == "female"


async def test_b1_every_kind_of_interaction_is_answered_in_its_place(bench: Bench) -> None:
    await bench.update(patient(id="a", identifier=IDENTIFIER))
    found = await do_batch(
        bench,
        entry("GET", f"Patient?{MRN}&_count=1"),
        entry("GET", "Patient/a/_history"),
        entry("GET", "Patient/a/_history/1"),
        entry("HEAD", "Patient/a"),
        entry("POST", "Patient", patient(), ifNoneExist=MRN),
        entry("GET", "Patient/a", ifNoneMatch='W/"1"'),
        entry("PUT", "Patient?identifier=urn:x|1", patient(identifier=[{"system": "urn:x", "value": "1"}])),
        entry("DELETE", "Patient/nobody"),
    )
    assert statuses(found) == ["200", "200", "200", "200", "200", "304", "201", "204"]
    assert [found[place]["resource"]["resourceType"] for place in (0, 1, 2)] == ["Bundle", "Bundle", "Patient"]
    assert "resource" not in found[3]
    assert id_in(found[4]) == "a"


async def test_b6_a_patch_is_a_fhirpath_patch(bench: Bench) -> None:
    await bench.update(patient(id="a", gender="male"))
    operation = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Patient.gender"}]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
    found = await do_batch(bench, entry("PATCH", "Patient/a", patch), entry("PATCH", "Patient/nobody", patch))
    assert statuses(found) == ["200", "404"]
    assert "gender" not in found[0]["resource"]


async def test_every_entry_is_on_record_with_its_type_and_status(bench: Bench) -> None:
    await do_batch(
        bench,
        entry("PUT", "Patient/a", patient(id="a")),
        entry("GET", "Questionnaire/q"),
        entry("PUT", "Patient/b", patient(id="c")),
    )
    assert sorted(await bench.audit(), key=str) == [
        ("read", "Questionnaire", "q", 404), ("update", "Patient", "a", 201), ("update", "Patient", "b", 400)
    ]  # fmt: skip


async def test_a_fault_in_one_entry_tells_nothing_and_spares_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("Geheimnis")

    monkeypatch.setitem(dispatch._WRITES, "DELETE", (fail, "delete"))
    answered = await send(
        bench, bundle_of("batch", entry("DELETE", "Patient/a"), entry("PUT", "Patient/b", patient(id="b")))
    )
    assert statuses(orjson.loads(answered.body)["entry"]) == ["500", "201"]
    assert b"Geheimnis" not in answered.body
