"""S17 on read, vread and search, and the refusal of parts on PUT; G7: Prefer."""

import pytest
from stepwell_shared.fhir.messages import Request

from tests.shared.fhir.interactions.refusing import refused, status_of
from tests.support.engine import Bench, json_of, patient

SUBSETTED = "SUBSETTED"
WHO = {"id": "p1", "gender": "female", "birthDate": "1980-02-01", "contact": [{"name": {"text": "x"}}]}


async def test_s17_what_is_no_view_is_refused(bench: Bench) -> None:
    await bench.update(patient(**WHO))
    for query in ([("_summary", "maybe")], [("_summary", "count")], [("_summary", "true"), ("_elements", "gender")]):
        assert await status_of(bench.read("Patient", "p1", parameters=query)) == 400
        assert await status_of(bench.vread("Patient", "p1", "1", parameters=query)) == 400


async def test_s17_a_part_cannot_be_put_back(bench: Bench) -> None:
    await bench.update(patient(**WHO))
    part = json_of(await bench.read("Patient", "p1", parameters=[("_elements", "gender")]))
    for call in (bench.update(part), bench.update_match(part, "_id=p1")):
        error = await refused(call)
        assert (error.status, error.issues[0].expression) == (422, "Patient.meta.tag")
    assert "birthDate" in json_of(await bench.read("Patient", "p1"))


async def test_s17_i1_reads_and_searches_show_the_part_that_is_wanted(bench: Bench) -> None:
    await bench.update(patient(**WHO))
    query = [("_elements", "gender")]
    shown = [
        json_of(await bench.read("Patient", "p1", parameters=query)),
        json_of(await bench.vread("Patient", "p1", "1", parameters=query)),
        (await bench.search("Patient", "_elements=gender"))["entry"][0]["resource"],
    ]
    for resource in shown:
        assert set(resource) == {"resourceType", "id", "meta", "gender"}
        assert resource["meta"]["tag"][0]["code"] == SUBSETTED
    summary = json_of(await bench.read("Patient", "p1", parameters=[("_summary", "true")]))
    assert "contact" not in summary
    assert summary["birthDate"] == "1980-02-01"


async def test_s17_without_a_wish_the_stored_bytes_are_sent(bench: Bench) -> None:
    created = await bench.update(patient(**WHO))
    for query in ([], [("_summary", "false")], [("_pretty", "false")]):
        assert (await bench.read("Patient", "p1", parameters=query)).body == created.body


async def test_s17_a_view_stays_with_the_pages_of_a_search(bench: Bench) -> None:
    for number in range(3):
        await bench.update(patient(id=f"p{number}", gender="female"))
    bundle = await bench.search("Patient", "_summary=text&_count=1")
    assert all("_summary=text" in each["url"] for each in bundle["link"])
    assert "gender" not in bundle["entry"][0]["resource"]
    counted = await bench.search("Patient", "_summary=count")
    assert (counted["total"], "entry" in counted) == (3, False)


@pytest.mark.parametrize(
    ("prefer", "wanted", "strict"),
    [
        ("", "representation", False),
        ("return=minimal", "minimal", False),
        ("return=OperationOutcome; handling=strict", "OperationOutcome", True),
        ("handling=strict, return=minimal", "minimal", True),
        ("respond-async, return = minimal", "minimal", False),
        ('return="minimal"', "minimal", False),
        ("Return=minimal", "minimal", False),
        ("return=everything", "representation", False),
        ("handling=lenient", "representation", False),
    ],
)
async def test_g7_prefer_takes_several_values(bench: Bench, prefer: str, wanted: str, strict: bool) -> None:
    request: Request = bench.request("Patient", headers={"prefer": prefer})
    assert (request.preferred_return, request.strict) == (wanted, strict)
