"""What rows S2, S3, S5, S6, S11 and S13 of the FHIR checklist ask beside values: names, what is not known, what is
empty, parts of addresses, paths of URLs, what is gone. https://hl7.org/fhir/R4/search.html
"""

import pytest
from stepwell_shared.fhir.outcome import FhirError

from tests.shared.fhir.search.refusing import refusal
from tests.support.engine import Bench, patient, response

STRICT = {"prefer": "handling=strict"}
ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
FORMS = "https://forms.example/north/phq"


async def test_s2_every_type_is_searched_by_id(bench: Bench) -> None:
    for served_type in bench.engine.registry:
        assert await bench.found(served_type.name, "_id=nobody", headers=STRICT) == []


@pytest.mark.parametrize("query", ["Gender=male", "GENDER=male", "_ID=p1", "_lastupdated=2026", "_Count=1"])
async def test_s2_names_are_case_sensitive(bench: Bench, query: str) -> None:
    await bench.update(patient(id="p1"))
    with pytest.raises(FhirError, match="has no search parameter"):
        await bench.found("Patient", query, headers=STRICT)
    assert await bench.found("Patient", query) == ["p1"]


async def test_s3_an_unknown_code_or_subject_finds_nothing(bench: Bench) -> None:
    await bench.update(response(id="r1", subject={"reference": "Patient/p1"}))
    for query in ("status=nonsense", "patient=nobody", "subject=Patient/nobody", "identifier=urn:nobody|1"):
        assert await bench.found("QuestionnaireResponse", query, headers=STRICT) == []


async def test_s3_an_empty_value_does_not_count(bench: Bench) -> None:
    await bench.update(patient(id="p1", gender="male"))
    for query in ("gender=", "family=&gender=male", "birthdate=", "general-practitioner="):
        assert await bench.found("Patient", query, headers=STRICT) == ["p1"]


async def test_s5_a_primitive_of_extensions_only_is_missing(bench: Bench) -> None:
    absent = dict.fromkeys(("_birthDate", "_gender", "_active"), ABSENT)
    await bench.update(patient(id="absent", name=[{"_family": ABSENT}], **absent))
    await bench.update(patient(id="known", name=[{"family": "A"}], birthDate="1980", gender="male", active=True))
    for name in ("birthdate", "gender", "active", "family"):
        assert await bench.found("Patient", f"{name}:missing=true") == ["absent"], name
        assert await bench.found("Patient", f"{name}:missing=false") == ["known"], name


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("address=haupt", True), ("address=WIEN", True), ("address=osterreich", True), ("address=1010", True),
        ("address-city=wi", True), ("address-city=haupt", False), ("address-country=österreich", True),
        ("name=dr", True), ("name=jr", True), ("name=oz", True), ("name=Özlem Ö", True), ("name=lem", False),
    ],
)  # fmt: skip
async def test_s6_every_part_of_a_name_and_an_address_counts(bench: Bench, query: str, *, found: bool) -> None:
    address = {"line": ["Hauptstraße 1"], "city": "Wien", "country": "Österreich", "postalCode": "1010"}
    name = {"text": "Özlem Öz", "family": "Öz", "given": ["Özlem"], "prefix": ["Dr"], "suffix": ["Jr"]}
    await bench.update(patient(id="p1", name=[name], address=[address]))
    assert bool(await bench.found("Patient", query)) is found


async def test_s6_text_of_strings_is_refused(bench: Bench) -> None:
    for query in ("name:text=ann", "family:above=a", "address:in=a"):
        await refusal(bench, "Patient", query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"url={FORMS}", "deep"), (f"url={FORMS.upper()}", ""), ("url=https://forms.example/north", ""),
        ("url:below=https://forms.example/north", "deep deeper"), ("url:below=https://forms.example/nor", ""),
        (f"url:below={FORMS}/", "deep deeper"), (f"url:above={FORMS}/v1/draft", "deep deeper"),
        (f"url:above={FORMS}", "deep"), ("url:below=https://forms.example/_", ""), ("url=urn:oid:1.2.3", "plain"),
    ],
)  # fmt: skip
async def test_s11_paths_lead_above_and_below(bench: Bench, query: str, expected: str) -> None:
    beside = "https://forms.example/north-west"
    for id_, url in (("beside", beside), ("deep", FORMS), ("deeper", f"{FORMS}/v1"), ("plain", "urn:oid:1.2.3")):
        await bench.update({"resourceType": "Questionnaire", "id": id_, "status": "active", "url": url})
    assert " ".join(await bench.found("Questionnaire", query)) == expected


async def test_s11_above_and_below_are_for_urls_only(bench: Bench) -> None:
    for query in ("url:below=urn:oid:1.2", "url:above=urn:uuid:1", "url:contains=forms", "url:exact=x"):
        await refusal(bench, "Questionnaire", query)


async def test_s13_what_is_referred_to_and_not_there_is_left_out(bench: Bench) -> None:
    await bench.update(response(id="r1", subject={"reference": "Patient/nobody"}))
    await bench.update(patient(id="gone"))
    await bench.update(response(id="r2", subject={"reference": "Patient/gone"}))
    await bench.delete("Patient", "gone")
    assert await bench.found("QuestionnaireResponse", "_include=QuestionnaireResponse:patient&_sort=_id") == [
        "r1",
        "r2",
    ]
