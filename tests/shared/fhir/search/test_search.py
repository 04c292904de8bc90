"""Search on a real database: https://hl7.org/fhir/R4/search.html, refusals first."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.outcome import FhirError

from tests.support.engine import (
    BASE_URL,
    ROUTING_URL,
    SOUTH,
    Bench,
    FakeAccess,
    ids_in,
    json_of,
    link,
    patient,
    response,
)

PHQ_9 = "https://stepwell.health/fhir/Questionnaire/phq-9"
POLICY = "https://stepwell.health/fhir/PlanDefinition/stepped-care"


async def follow(bench: Bench, url: str, resource_type: str, **given: Any) -> dict[str, Any]:
    """The page at a link."""
    request = bench.request(resource_type, parameters=parse_qsl(urlsplit(url).query), **given)
    return json_of(await interactions.search(bench.engine, request))


async def refusal(bench: Bench, query: str, resource_type: str = "Patient", **given: Any) -> FhirError:
    with pytest.raises(FhirError) as caught:
        await bench.found(resource_type, query, **given)
    assert caught.value.status == 400
    return caught.value


class TestRefusals:
    @pytest.mark.parametrize(
        "query",
        [
            "gender:exact=male", "gender:in=x", "gender:text=x", "identifier:of-type=a|b",
            "family:nonsense=x", "identifier:in=x", "gender:not-in=x",
            "_tag:above=x", "general-practitioner:below=x",
            "birthdate:nonsense=1980", "birthdate:missing=maybe", "_id:exact=p1", "_id:missing=maybe",
            "_lastUpdated:not=2026", "_query=named", "identifier=|",
        ],
    )  # fmt: skip
    async def test_s3_an_unsupported_modifier_is_never_ignored(self, bench: Bench, query: str) -> None:
        await refusal(bench, query)

    @pytest.mark.parametrize(
        "query",
        [
            "patient:Group.name=x",
            "questionnaire.nonsense=a",
            "subject:Nonsense=p",
            "patient.nonsense=x",
            "patient:Nonsense.name=x",
            "status.name=x",
            "patient.patient.name=x",
        ],
    )
    async def test_s3_s12_chains_and_unknown_targets_are_refused(self, bench: Bench, query: str) -> None:
        await refusal(bench, query, "QuestionnaireResponse")

    @pytest.mark.parametrize(
        "query",
        [
            "birthdate=yesterday", "birthdate=1980-13", "birthdate=1980-02-30", "birthdate=xx1980", "birthdate=ge",
            "birthdate=1980-01-01T10", "birthdate=1980-01-01T25:00", "birthdate=1980-1-1", "birthdate=٢٠٢٦",
            "birthdate=1980-00", "_lastUpdated=soon", "_lastUpdated=ge2026-11-21,soon", "_count=many", "_count=-1",
            "_count=²", "_count=1.0", "_total=some", "_sort=nonsense", "_sort=gender,nonsense", "_sort=gender,,_id",
            "_sort=a,b,c,d,e",
            "birthdate=1980-01-01T10:00:00+99:00",
        ],
    )  # fmt: skip
    async def test_s3_s9_a_bad_value_is_invalid_and_not_quoted(self, bench: Bench, query: str) -> None:
        error = await refusal(bench, query)
        value = query.partition("=")[2]
        assert len(value) < 4 or value not in str(error)

    async def test_s3_an_unknown_parameter_is_refused_only_when_strict(self, bench: Bench) -> None:
        await bench.update(patient(id="p1"))
        strict = {"prefer": "return=minimal; handling=strict"}
        for query in ("nonsense=1", "_list=x", "_text=x"):
            assert await bench.found("Patient", query, headers={"prefer": "handling=lenient"}) == ["p1"]
            await refusal(bench, query, headers=strict)
        assert await bench.found("Patient", "gender:missing=true&_format=json&_pretty=true", headers=strict) == ["p1"]

    async def test_s2_what_was_ignored_is_not_in_the_self_link(self, bench: Bench) -> None:
        found = await bench.search("Patient", "nonsense=1&gender=male&_count=5&family=&_format=json")
        assert link(found, "self") == f"{BASE_URL}/Patient?gender=male&_count=5"


class TestTokens:
    @pytest.fixture
    async def bench(self, bench: Bench) -> Bench:
        identifiers: dict[str, list[dict[str, str]]] = {
            "both": [{"system": "urn:a", "value": "1"}, {"system": "urn:b", "value": "2"}],
            "plain": [{"value": "1"}],
            "odd": [{"system": "urn:a", "value": "x,y|z$w\\"}],
            "none": [],
        }
        for id_, found in identifiers.items():
            await bench.update(patient(id=id_, active=id_ == "both", **({"identifier": found} if found else {})))
        return bench

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("identifier=1", {"both", "plain"}),
            ("identifier=urn:a|1", {"both"}),
            ("identifier=urn:b|1", set()),
            ("identifier=|1", {"plain"}),
            ("identifier=urn:a|", {"both", "odd"}),
            ("identifier=1,2", {"both", "plain"}),
            ("identifier=1&identifier=2", {"both"}),
            ("identifier=,1,", {"both", "plain"}),
            ("identifier=", {"both", "plain", "odd", "none"}),
            ("identifier=ONE", set()),
            ("identifier:not=1", {"odd", "none"}),
            ("identifier:not=1,urn:a|", {"none"}),
            ("identifier:missing=true", {"none"}),
            ("identifier:missing=false", {"both", "plain", "odd"}),
            ("active=true", {"both"}),
            ("active=false", {"plain", "odd", "none"}),
            ("active:not=true", {"plain", "odd", "none"}),
            ("gender:missing=true", {"both", "plain", "odd", "none"}),
            ("identifier=x\\,y\\|z\\$w\\\\", {"odd"}),
            ("identifier=urn:a|x\\,y\\|z\\$w\\\\", {"odd"}),
            ("identifier=x\\\\,1", {"both", "plain"}),
            ("identifier=x\\,1", set()),
            ("_id=both,odd,nobody", {"both", "odd"}),
            ("_id=BOTH", set()),
            ("_id=,", set()),
        ],
    )
    async def test_s4_s7_every_form_finds_what_it_names(self, bench: Bench, query: str, expected: set[str]) -> None:
        assert set(await bench.found("Patient", query)) == expected
        assert await bench.found("Patient", query, access=FakeAccess(tenant=SOUTH)) == []


class TestStrings:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("family=mül", True), ("family=MUL", True), ("family=muller", True), ("family=üller", False),
            ("family=Müllers", False), ("given=ann", True), ("given=lise", True), ("given=mari", False),
            ("family=nobody,mu", True), ("family:missing=false", True), ("family=m%", False), ("family=m_ller", False),
        ],
    )  # fmt: skip
    async def test_s6_case_and_accents_do_not_matter_and_the_start_is_enough(
        self, bench: Bench, query: str, *, found: bool
    ) -> None:
        await bench.update(patient(id="p1", name=[{"family": "Müller", "given": ["Anné", "Lise"]}]))
        assert bool(await bench.found("Patient", query)) is found


class TestReferences:
    @pytest.mark.parametrize(
        "spelling",
        [
            "p1", "Patient/p1", "Patient/p1/_history/3", f"{BASE_URL}/Patient/p1", f"{BASE_URL}/Patient/p1/_history/1",
            f"{ROUTING_URL}/Patient/p1", BASE_URL.replace("https", "http") + "/Patient/p1", "nobody,p1",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("stored", ["Patient/p1", f"{BASE_URL}/Patient/p1", "Patient/p1/_history/2"])
    async def test_s8_g1_every_spelling_of_an_address_finds_the_same(
        self, bench: Bench, spelling: str, stored: str
    ) -> None:
        await bench.update(response(id="r1", subject={"reference": stored}))
        for name in ("patient", "subject", "subject:Patient", "patient:Patient"):
            assert await bench.found("QuestionnaireResponse", f"{name}={spelling}") == ["r1"]

    @pytest.mark.parametrize(
        "query",
        ["patient=p", "patient=p11", "patient=Group/p1", "subject:Group=p1", "patient=https://elsewhere.org/Patient/p1",
         "author=p1", "patient=ftp://screening.example.org/screening/fhir/Patient/p1", "patient=#p1"],
    )  # fmt: skip
    async def test_s8_other_addresses_find_nothing(self, bench: Bench, query: str) -> None:
        await bench.update(response(id="r1", subject={"reference": "Patient/p1"}))
        assert await bench.found("QuestionnaireResponse", query) == []

    async def test_s8_a_foreign_address_is_found_as_it_stands(self, bench: Bench) -> None:
        await bench.update(response(id="r1", subject={"reference": "https://elsewhere.org/fhir/Patient/p1"}))
        assert await bench.found("QuestionnaireResponse", "patient=https://elsewhere.org/fhir/Patient/p1") == ["r1"]
        assert await bench.found("QuestionnaireResponse", "patient=p1") == []

    async def test_s5_missing_is_told_for_references(self, bench: Bench) -> None:
        await bench.update(response(id="r1", subject={"reference": "Patient/p1"}))
        await bench.update(response(id="r2"))
        assert await bench.found("QuestionnaireResponse", "patient:missing=true") == ["r2"]
        assert await bench.found("QuestionnaireResponse", "patient:missing=false") == ["r1"]

    async def test_s8_a_canonical_without_version_finds_every_version(self, bench: Bench) -> None:
        for number, canonical in enumerate((f"{PHQ_9}|1.0.0", f"{PHQ_9}|2", PHQ_9, f"{PHQ_9}-a|1.0.0")):
            await bench.update(response(id=f"r{number}", questionnaire=canonical))
        assert await bench.found("QuestionnaireResponse", f"questionnaire={PHQ_9}") == ["r0", "r1", "r2"]
        assert await bench.found("QuestionnaireResponse", f"questionnaire={PHQ_9}|1.0.0") == ["r0"]
        assert await bench.found("QuestionnaireResponse", f"questionnaire={PHQ_9}\\|1.0.0") == ["r0"]

    async def test_s8_so_does_a_canonical_that_is_kept_in_rows(self, routing_bench: Bench) -> None:
        request = {"resourceType": "ServiceRequest", "status": "active", "intent": "plan", "subject": {"display": "A"}}
        await routing_bench.update({**request, "id": "s1", "instantiatesCanonical": [f"{POLICY}|1.0.0"]})
        await routing_bench.update({**request, "id": "s2", "instantiatesCanonical": [f"{POLICY}|2.0.0", "urn:x"]})
        for query, expected in ((POLICY, ["s1", "s2"]), (f"{POLICY}|2.0.0", ["s2"]), (f"{POLICY}|3", [])):
            assert await routing_bench.found("ServiceRequest", f"instantiates-canonical={query}") == expected

    async def test_s11_a_uri_matches_exactly(self, bench: Bench) -> None:
        for number, url in enumerate((PHQ_9, PHQ_9 + "/", PHQ_9.upper())):
            questionnaire = {"resourceType": "Questionnaire", "id": f"q{number}", "status": "active", "url": url}
            await bench.update(questionnaire)
        assert await bench.found("Questionnaire", f"url={PHQ_9}") == ["q0"]


class TestLastUpdated:
    @pytest.mark.parametrize(
        ("value", "found"),
        [
            ("2026-11-21", True), ("2026-11-21T20:54:00.000Z", True), ("2026-11-21T20:54:00Z", True),
            ("2026-11-21T21:54:00+01:00", True), ("2026-11-21T20:53:59Z", False), ("gt2026-11-21T20:53:59Z", True),
            ("gt2026-11-21T20:54:00Z", False), ("ge2026-11-21T20:54:00Z", True), ("lt2026-11-21T20:54:00Z", False),
            ("le2026-11-21T20:54:00Z", True), ("sa2026-11-21T20:53:59Z", True), ("sa2026-11-21T20:54:00Z", False),
            ("eb2026-11-21T20:54:00Z", False), ("eb2026-11-21T20:54:01Z", True), ("ne2026-11-21T20:53:59Z", True),
            ("2025,2026", True), ("ap0001", False), ("ap9999", False), ("gt9999", False), ("lt0001", False),
        ],
    )  # fmt: skip
    async def test_s9_s18_a_moment_is_inside_exactly_one_second(self, bench: Bench, value: str, *, found: bool) -> None:
        await bench.update(patient(id="p1"))
        assert bool(await bench.found("Patient", f"_lastUpdated={value}")) is found


class TestPages:
    @pytest.fixture
    async def bench(self, bench: Bench) -> Bench:
        genders: list[str | None] = ["male", "female", None, "other", "female", None, "male"]
        for number, gender in enumerate(genders):
            birth = {"birthDate": f"19{80 - number}-01-02"} if number % 3 else {}
            await bench.update(patient(id=f"p{number}", **({"gender": gender} if gender else {}), **birth))
        return bench

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            ("_id", "p0 p1 p2 p3 p4 p5 p6"),
            ("-_id", "p6 p5 p4 p3 p2 p1 p0"),
            ("gender", "p1 p4 p0 p6 p3 p2 p5"),
            ("-gender", "p3 p6 p0 p4 p1 p5 p2"),
            ("birthdate", "p5 p4 p2 p1 p0 p3 p6"),
            ("-birthdate", "p1 p2 p4 p5 p6 p3 p0"),
            ("_lastUpdated", "p0 p1 p2 p3 p4 p5 p6"),
        ],
    )
    @pytest.mark.parametrize("count", [1, 2, 3, 7])
    async def test_s14_s15_s16_pages_keep_the_order_and_leave_nothing_out(
        self, bench: Bench, sort: str, expected: str, count: int
    ) -> None:
        page = await bench.search("Patient", f"_sort={sort}&_count={count}&_total=accurate")
        seen = ids_in(page)
        while following := link(page, "next"):
            assert f"_count={count}" in following
            page = await follow(bench, following, "Patient")
            assert len(ids_in(page)) <= count
            assert link(page, "self") == following
            assert page["total"] == 7
            seen += ids_in(page)
        assert " ".join(seen) == expected

    async def test_s16_what_is_stored_meanwhile_neither_repeats_nor_hides_anything(self, bench: Bench) -> None:
        page = await bench.search("Patient", "_sort=gender&_count=2")
        seen = ids_in(page)
        number = 0
        while following := link(page, "next"):
            await asyncio.gather(
                *(bench.update(patient(id=f"new-{number}-{gender}", gender=gender)) for gender in ("female", "other"))
            )
            number += 1
            page = await follow(bench, following, "Patient")
            seen += ids_in(page)
        assert len(seen) == len(set(seen))
        assert {f"p{n}" for n in range(7)} <= set(seen)

    async def test_s15_count_zero_and_summary_count_tell_only_how_many(self, bench: Bench) -> None:
        for query in ("_count=0", "_summary=count", "_count=0&_total=none", "_total=none&_count=0"):
            found = await bench.search("Patient", query)
            assert (found.get("total"), found.get("entry"), link(found, "next")) in {
                (7, None, None),
                (None, None, None),
            }
        assert (await bench.search("Patient", "_count=0&gender=male"))["total"] == 2

    async def test_s15_a_total_is_told_only_when_asked_for(self, bench: Bench) -> None:
        for query, expected in (("", None), ("_total=none", None), ("_total=estimate", 7), ("_total=accurate", 7)):
            assert (await bench.search("Patient", query)).get("total") == expected

    async def test_s1_an_empty_result_has_no_entry_at_all(self, bench: Bench) -> None:
        assert "entry" not in await bench.search("Patient", "_id=nobody")

    async def test_s1_entries_say_where_and_why(self, bench: Bench) -> None:
        (entry,) = (await bench.search("Patient", "_id=p1"))["entry"]
        assert entry["fullUrl"] == f"{BASE_URL}/Patient/p1"
        assert entry["search"] == {"mode": "match"}
        assert entry["resource"] == json_of(await bench.read("Patient", "p1"))

    async def test_s15_a_huge_count_is_a_large_page(self, bench: Bench) -> None:
        assert len(await bench.found("Patient", f"_count={'9' * 5000}")) == 7


class TestCursors:
    async def test_s16_what_this_server_did_not_give_is_refused(self, bench: Bench) -> None:
        for number in range(3):
            await bench.update(patient(id=f"p{number}", gender="male"))
        url = link(await bench.search("Patient", "_count=1&_sort=gender"), "next") or ""
        cursor = dict(parse_qsl(urlsplit(url).query))["_cursor"]
        forged = ["x", "%", "é", "A" * 40, cursor[:-2], "B" + cursor[1:], cursor[:24] + "AA" + cursor[26:], "=" * 9]
        for text in forged:
            await refusal(bench, f"_sort=gender&_cursor={text}")

    async def test_s16_a_cursor_belongs_to_its_order_and_type(self, bench: Bench) -> None:
        for number in range(3):
            await bench.update(patient(id=f"p{number}", gender="male"))
        url = link(await bench.search("Patient", "_count=1&_sort=gender"), "next") or ""
        cursor = dict(parse_qsl(urlsplit(url).query))["_cursor"]
        for query in ("_sort=birthdate", "_sort=-gender", "_sort=_lastUpdated", ""):
            await refusal(bench, f"{query}&_cursor={cursor}")
        await refusal(bench, f"_sort=status&_cursor={cursor}", "QuestionnaireResponse")

    async def test_s16_a_cursor_of_one_tenant_shows_another_only_its_own(self, bench: Bench) -> None:
        south = FakeAccess(tenant=SOUTH)
        for number in range(3):
            await bench.update(patient(id=f"p{number}"))
        await bench.update(patient(id="z"), access=south)
        url = link(await bench.search("Patient", "_count=1"), "next") or ""
        assert ids_in(await follow(bench, url, "Patient", access=south)) == ["z"]


class TestCost:
    async def test_too_many_values_are_refused_before_the_database_sees_them(self, bench: Bench) -> None:
        error = await refusal(bench, "identifier=" + ",".join(str(number) for number in range(2000)))
        assert error.issues[0].code == "too-costly"

    async def test_some_hundred_values_are_no_obstacle(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", identifier=[{"value": "499"}]))
        assert await bench.found("Patient", "identifier=" + ",".join(map(str, range(490)))) == []
        assert await bench.found("Patient", "_id=" + ",".join(f"p{number}" for number in range(900))) == ["p1"]
