"""The REST interactions as plain functions: https://hl7.org/fhir/R4/http.html, refusals first."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import orjson
import pytest
from stepwell_shared.fhir import interactions
from stepwell_shared.fhir.outcome import FhirError
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Registry

from tests.conftest import DatabaseOf
from tests.support.engine import (
    BASE_URL,
    SOUTH,
    Bench,
    FakeAccess,
    json_of,
    link,
    patient,
    plain_registry,
    response,
    scoped,
)
from tests.support.engine import (
    bench as open_bench,
)

EAST = FakeAccess(tenant=SOUTH)


async def refused(call: Awaitable[object]) -> FhirError:
    with pytest.raises(FhirError) as caught:
        await call
    return caught.value


class TestRead:
    async def test_i1_an_unknown_id_is_not_found_and_a_deleted_one_is_gone(self, bench: Bench) -> None:
        assert (await refused(bench.read("Patient", "nobody"))).status == 404
        await bench.update(patient(id="p1"))
        await bench.delete("Patient", "p1")
        gone = await refused(bench.read("Patient", "p1"))
        assert (gone.status, gone.headers["ETag"], gone.issues[0].code) == (410, 'W/"2"', "deleted")

    async def test_g13_another_tenant_finds_nothing_by_any_way(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", gender="female"))
        await bench.update(patient(id="p1", gender="male"))
        for call in (
            bench.read("Patient", "p1", access=EAST),
            bench.vread("Patient", "p1", "1", access=EAST),
            bench.history("Patient", "p1", access=EAST),
        ):
            assert (await refused(call)).status == 404
        assert await bench.found("Patient", access=EAST) == []
        assert await bench.found("Patient", "_id=p1", access=EAST) == []
        assert (await bench.delete("Patient", "p1", access=EAST)).status == 204
        assert (await bench.update(patient(id="p1"), access=EAST)).status == 201
        assert json_of(await bench.read("Patient", "p1"))["gender"] == "male"

    async def test_i1_a_type_that_is_not_served_is_not_found(self, bench: Bench) -> None:
        assert (await refused(bench.read("Medication", "m1"))).status == 404

    @pytest.mark.parametrize("etag", ['W/"1"', '"1"', 'W/"7", W/"1"'])
    async def test_g6_who_has_the_version_gets_no_body(self, bench: Bench, etag: str) -> None:
        await bench.update(patient(id="p1"))
        answer = await bench.read("Patient", "p1", headers={"if-none-match": etag})
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", 'W/"1"')

    async def test_g6_who_has_an_older_version_gets_the_whole(self, bench: Bench) -> None:
        await bench.update(patient(id="p1"))
        await bench.update(patient(id="p1", gender="male"))
        answer = await bench.read("Patient", "p1", headers={"if-none-match": 'W/"1"'})
        assert (answer.status, json_of(answer)["gender"]) == (200, "male")

    async def test_g5_etag_and_last_modified_say_the_version(self, bench: Bench) -> None:
        await bench.update(patient(id="p1"))
        answer = await bench.read("Patient", "p1")
        assert answer.headers == {"ETag": 'W/"1"', "Last-Modified": "Sat, 21 Nov 2026 20:54:00 GMT"}
        assert json_of(answer)["meta"] == {"versionId": "1", "lastUpdated": "2026-11-21T20:54:00.000Z"}


class TestVread:
    @pytest.mark.parametrize("version", ["3", "0", "-1", "01", "one", "9" * 5000, "٢", "1e0"])
    async def test_i2_a_version_that_never_was_is_not_found(self, bench: Bench, version: str) -> None:
        await bench.update(patient(id="p1"))
        await bench.update(patient(id="p1"))
        assert (await refused(bench.vread("Patient", "p1", version))).status == 404

    async def test_i2_the_version_of_the_deletion_is_gone_and_older_ones_stay(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", gender="female"))
        await bench.delete("Patient", "p1")
        assert (await refused(bench.vread("Patient", "p1", "2"))).status == 410
        old = await bench.vread("Patient", "p1", "1")
        assert (old.headers["ETag"], json_of(old)["gender"]) == ('W/"1"', "female")


class TestCreate:
    @pytest.mark.parametrize(
        "body",
        [b"", b"null", b"[]", b"{", b'"Patient"', b'{"resourceType":"Patient","nonsense":1}', b"{}", b"\xff\xfe"],
    )
    async def test_i3_what_is_no_valid_patient_is_invalid(self, bench: Bench, body: bytes) -> None:
        request = bench.request("Patient", body=body)
        assert (await refused(interactions.create(bench.engine, request))).status == 400

    async def test_i3_id_and_version_of_the_client_are_ignored(self, bench: Bench) -> None:
        sent = patient(id="mine", meta={"versionId": "9", "lastUpdated": "2001-01-01T00:00:00Z"})
        answer = await bench.create(sent)
        body = json_of(answer)
        assert answer.status == 201
        assert body["id"] != "mine"
        assert body["meta"] == {"versionId": "1", "lastUpdated": "2026-11-21T20:54:00.000Z"}
        assert answer.headers["Location"] == f"{BASE_URL}/Patient/{body['id']}/_history/1"

    @pytest.mark.parametrize(
        ("preference", "expected"),
        [
            ("return=minimal", None),
            ("return=OperationOutcome", "OperationOutcome"),
            ("return=representation", "Patient"),
        ],
    )
    async def test_g7_the_body_of_the_answer_is_what_the_client_prefers(
        self, bench: Bench, preference: str, expected: str | None
    ) -> None:
        answer = await bench.create(patient(), headers={"prefer": f"respond-async, {preference}; handling=strict"})
        assert answer.status == 201
        assert (orjson.loads(answer.body)["resourceType"] if answer.body else None) == expected

    async def test_g8_a_success_carries_no_error(self, bench: Bench) -> None:
        answer = await bench.create(patient(), headers={"prefer": "return=OperationOutcome"})
        assert [issue["severity"] for issue in json_of(answer)["issue"]] == ["information"]

    async def test_an_id_that_is_taken_is_no_fault_of_the_client(self, bench: Bench) -> None:
        await bench.update(patient(id="id-2", gender="male"))
        answer = await bench.create(patient())
        assert json_of(answer)["id"] != "id-2"
        assert json_of(await bench.read("Patient", "id-2"))["gender"] == "male"


class TestConditionalCreate:
    async def test_i4_what_cannot_be_searched_is_refused(self, bench: Bench) -> None:
        for criteria in ("", "nonsense=1", "identifier:of-type=a", "_count=1", "_id:text=p"):
            found = await refused(bench.create(patient(), headers={"if-none-exist": criteria}))
            assert found.status == 400

    async def test_i4_it_needs_the_right_to_search(self, bench: Bench) -> None:
        blind = FakeAccess(denied=frozenset({"Patient.search-type"}))
        assert (await refused(bench.create(patient(), access=blind, headers={"if-none-exist": "_id=p"}))).status == 403

    async def test_i4_several_matches_are_refused(self, bench: Bench) -> None:
        for _ in range(2):
            await bench.create(patient(gender="female"))
        error = await refused(bench.create(patient(), headers={"if-none-exist": "gender=female"}))
        assert (error.status, error.issues[0].code) == (412, "multiple-matches")

    async def test_i4_one_match_is_answered_and_nothing_is_stored(self, bench: Bench) -> None:
        first = await bench.create(patient(gender="female"))
        again = await bench.create(patient(gender="female"), headers={"if-none-exist": "gender=female"})
        assert (again.status, again.body) == (200, first.body)
        assert again.headers["Location"] == first.headers["Location"]
        assert again.headers["ETag"] == 'W/"1"'
        assert len(await bench.found("Patient")) == 1

    async def test_i4_64_identical_requests_at_once_leave_one(self, bench: Bench) -> None:
        sent = patient(identifier=[{"system": "urn:x", "value": "1"}])
        headers = {"if-none-exist": "identifier=urn:x|1"}
        answers = await asyncio.gather(*(bench.create(sent, headers=headers) for _ in range(64)))
        assert sorted(answer.status for answer in answers) == [200] * 63 + [201]
        assert len({answer.headers["Location"] for answer in answers}) == 1
        assert len(await bench.found("Patient")) == 1

    async def test_i4_two_spellings_of_the_same_criteria_leave_one(self, bench: Bench) -> None:
        sent = patient(identifier=[{"system": "urn:x", "value": "1"}])
        spellings = ["identifier=urn:x|1", "identifier=urn%3Ax%7C1"] * 8
        await asyncio.gather(*(bench.create(sent, headers={"if-none-exist": each}) for each in spellings))
        assert len(await bench.found("Patient")) == 1

    async def test_i4_many_at_once_leave_one_even_when_the_derived_place_is_taken(self, bench: Bench) -> None:
        sent, headers = patient(gender="female"), {"if-none-exist": "gender=female"}
        first = json_of(await bench.create(sent, headers=headers))
        await bench.update(patient(id=first["id"], gender="male"))
        answers = await asyncio.gather(*(bench.create(sent, headers=headers) for _ in range(16)))
        assert sorted(answer.status for answer in answers) == [200] * 15 + [201]
        assert json_of(await bench.read("Patient", first["id"]))["gender"] == "male"

    async def test_i4_after_a_deletion_it_creates_again(self, bench: Bench) -> None:
        sent, headers = patient(gender="female"), {"if-none-exist": "gender=female"}
        first = json_of(await bench.create(sent, headers=headers))
        await bench.delete("Patient", first["id"])
        assert (await bench.create(sent, headers=headers)).status == 201
        assert len(await bench.found("Patient", "gender=female")) == 1


class TestUniqueIdentifier:
    """QuestionnaireResponses are kept once per business identifier."""

    async def test_other_content_under_the_same_identifier_conflicts(self, bench: Bench) -> None:
        identifier = {"system": "urn:x", "value": "1"}
        await bench.create(response(identifier=identifier))
        error = await refused(bench.create(response(identifier=identifier, status="amended")))
        assert (error.status, error.issues[0].expression) == (409, "QuestionnaireResponse.identifier")

    async def test_the_same_sent_often_and_at_once_is_stored_once(self, bench: Bench) -> None:
        sent = response(identifier={"system": "urn:x", "value": "1"})
        answers = await asyncio.gather(*(bench.create(sent) for _ in range(16)))
        assert sorted(answer.status for answer in answers) == [200] * 15 + [201]
        again = await bench.create({**sent, "meta": {"tag": [{"code": "resent"}]}})
        assert (again.status, again.headers["ETag"]) == (200, 'W/"1"')

    async def test_who_may_only_create_needs_no_right_to_search(self, bench: Bench) -> None:
        sender = scoped("system/QuestionnaireResponse.c")
        sent = response(identifier={"system": "urn:x", "value": "1"})
        assert [(await bench.create(sent, access=sender)).status for _ in range(2)] == [201, 200]

    @pytest.mark.parametrize("value", ["a,b", "a|b", "a\\", "a\\,b", "$1", "a\\|", "ü ", "%2C", "+"])
    async def test_separators_in_an_identifier_are_only_characters(self, bench: Bench, value: str) -> None:
        for system in ("urn:a,b", "urn:a|b", "urn:a"):
            sent = response(identifier={"system": system, "value": value})
            assert [(await bench.create(sent)).status for _ in range(2)] == [201, 200]

    async def test_another_system_or_tenant_is_another_identifier(self, bench: Bench) -> None:
        statuses = [
            (await bench.create(response(identifier={"system": "urn:x", "value": "1"}))).status,
            (await bench.create(response(identifier={"value": "1"}))).status,
            (await bench.create(response(identifier={"system": "urn:x", "value": "1"}), access=EAST)).status,
        ]
        assert statuses == [201, 201, 201]


class TestUpdate:
    async def test_i5_the_id_of_body_and_address_must_agree(self, bench: Bench) -> None:
        for sent in (patient(), patient(id="other")):
            error = await refused(bench.update(sent, at="p1"))
            assert (error.status, error.issues[0].expression) == (400, "Patient.id")

    @pytest.mark.parametrize("tag", ["1", "W/1", '""', "*", 'W/""', '"one"', 'W/"1", W/"2"', '"' + "9" * 5000, 'w/"1"'])
    async def test_i6_a_malformed_etag_is_invalid(self, bench: Bench, tag: str) -> None:
        await bench.update(patient(id="p1"))
        assert (await refused(bench.update(patient(id="p1"), headers={"if-match": tag}))).status == 400

    @pytest.mark.parametrize("tag", ['W/"2"', '"2"', 'W/"01"', f'W/"{"9" * 5000}"'])
    async def test_i6_another_version_than_the_current_one_fails_and_writes_nothing(
        self, bench: Bench, tag: str
    ) -> None:
        await bench.update(patient(id="p1"))
        assert (await refused(bench.update(patient(id="p1"), headers={"if-match": tag}))).status == 412
        assert (await bench.read("Patient", "p1")).headers["ETag"] == 'W/"1"'

    async def test_i6_if_match_on_an_unknown_id_fails(self, bench: Bench) -> None:
        assert (await refused(bench.update(patient(id="p1"), headers={"if-match": 'W/"1"'}))).status == 412

    async def test_i5_a_type_that_clients_do_not_create_takes_no_new_id(self, database_of: DatabaseOf) -> None:
        registry = Registry("screening")
        for served_type in plain_registry("screening"):
            registry.add(replace(served_type, interactions=READ_ONLY | {Interaction.UPDATE, Interaction.DELETE}))
        async with open_bench(await database_of("screening"), registry=registry) as found:
            assert (await refused(found.update(patient(id="p1")))).status == 405
            assert (await refused(found.create(patient()))).status == 405

    @pytest.mark.parametrize("tag", ['W/"1"', '"1"', ' W/"1" '])
    async def test_i6_the_current_version_in_both_forms_matches(self, bench: Bench, tag: str) -> None:
        await bench.update(patient(id="p1"))
        answer = await bench.update(patient(id="p1"), headers={"if-match": tag})
        assert (answer.status, answer.headers["ETag"]) == (200, 'W/"2"')

    async def test_i5_a_new_id_is_created_and_a_known_one_changed(self, bench: Bench) -> None:
        new, known = await bench.update(patient(id="p1")), await bench.update(patient(id="p1"))
        assert (new.status, new.headers["Location"]) == (201, f"{BASE_URL}/Patient/p1/_history/1")
        assert (known.status, "Location" in known.headers) == (200, False)

    async def test_i5_a_deleted_one_comes_back_under_the_next_version(self, bench: Bench) -> None:
        await bench.update(patient(id="p1"))
        await bench.delete("Patient", "p1")
        back = await bench.update(patient(id="p1", gender="male"))
        assert (back.status, back.headers["ETag"]) == (201, 'W/"3"')
        assert await bench.found("Patient", "gender=male") == ["p1"]

    async def test_i6_of_many_with_the_same_if_match_one_wins(self, bench: Bench) -> None:
        await bench.update(patient(id="p1"))

        async def attempt() -> int:
            try:
                return (await bench.update(patient(id="p1"), headers={"if-match": 'W/"1"'})).status
            except FhirError as error:
                return error.status

        assert sorted(await asyncio.gather(*(attempt() for _ in range(16)))) == [200] + [412] * 15

    async def test_i5_without_if_match_all_of_many_are_stored_one_after_the_other(self, bench: Bench) -> None:
        await asyncio.gather(*(bench.update(patient(id="p1")) for _ in range(6)))
        assert (await bench.history("Patient", "p1"))["total"] == 6

    async def test_search_forgets_what_the_old_version_said(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", name=[{"family": "Old"}]))
        await bench.update(patient(id="p1", name=[{"family": "New"}]))
        assert await bench.found("Patient", "family=old") == []
        assert await bench.found("Patient", "family=new") == ["p1"]


class TestDelete:
    async def test_i10_another_version_is_not_deleted(self, bench: Bench) -> None:
        await bench.update(patient(id="p1"))
        assert (await refused(bench.delete("Patient", "p1", headers={"if-match": 'W/"2"'}))).status == 412
        assert (await bench.read("Patient", "p1")).status == 200

    async def test_i10_what_never_was_and_what_is_gone_delete_quietly(self, bench: Bench) -> None:
        assert (await bench.delete("Patient", "nobody")).status == 204
        await bench.update(patient(id="p1"))
        assert [(await bench.delete("Patient", "p1")).status for _ in range(2)] == [204, 204]
        assert (await bench.history("Patient", "p1"))["total"] == 2

    async def test_i10_search_does_not_find_it(self, bench: Bench) -> None:
        await bench.update(patient(id="p1", name=[{"family": "Gone"}]))
        await bench.delete("Patient", "p1")
        for query in ("", "_id=p1", "family=gone", "family:missing=true", "identifier:missing=true"):
            assert await bench.found("Patient", query) == []


class TestHistory:
    @pytest.mark.parametrize("query", ["_count=x", "_count=-1", "_count=1.5", "_before=x", "_count=²"])
    async def test_i12_a_bad_page_is_invalid(self, bench: Bench, query: str) -> None:
        await bench.update(patient(id="p1"))
        assert (await refused(bench.history("Patient", "p1", query))).status == 400

    async def test_i12_what_never_was_has_no_history(self, bench: Bench) -> None:
        assert (await refused(bench.history("Patient", "p1"))).status == 404

    async def test_i12_it_tells_every_version_newest_first_with_deletions(self, bench: Bench) -> None:
        created = json_of(await bench.create(patient(gender="female")))
        id_ = created["id"]
        bench.clock.advance(minutes=1)
        await bench.update(patient(id=id_, gender="male"))
        await bench.delete("Patient", id_)
        found = await bench.history("Patient", id_)
        assert (found["type"], found["total"]) == ("history", 3)
        assert [entry["request"]["method"] for entry in found["entry"]] == ["DELETE", "PUT", "POST"]
        assert [entry["response"]["etag"] for entry in found["entry"]] == ['W/"3"', 'W/"2"', 'W/"1"']
        assert [entry["response"]["status"] for entry in found["entry"]] == ["204", "200", "201"]
        assert "resource" not in found["entry"][0]
        assert found["entry"][2]["resource"] == created
        assert {entry["fullUrl"] for entry in found["entry"]} == {f"{BASE_URL}/Patient/{id_}"}

    async def test_i12_pages_follow_each_other_to_the_end(self, bench: Bench) -> None:
        for _ in range(5):
            await bench.update(patient(id="p1"))
        query, seen = "_count=2&_unknown=1", []
        while query:
            page = await bench.history("Patient", "p1", query)
            assert page["total"] == 5
            assert "_unknown" not in (link(page, "self") or "")
            seen += [entry["resource"]["meta"]["versionId"] for entry in page["entry"]]
            await bench.update(patient(id="p2"))
            query = (link(page, "next") or "").partition("?")[2]
        assert seen == ["5", "4", "3", "2", "1"]

    async def test_i12_count_zero_tells_only_how_many(self, bench: Bench) -> None:
        await bench.update(patient(id="p1"))
        page = await bench.history("Patient", "p1", "_count=0")
        assert (page["total"], page.get("entry"), link(page, "next")) == (1, None, None)

    async def test_a_huge_count_is_only_a_large_page(self, bench: Bench) -> None:
        await bench.update(patient(id="p1"))
        assert len((await bench.history("Patient", "p1", f"_count={'9' * 5000}"))["entry"]) == 1


class TestRecord:
    async def test_writes_are_on_record_in_the_same_commit(self, bench: Bench) -> None:
        created = json_of(await bench.create(patient()))["id"]
        await bench.update(patient(id="p1"))
        await bench.update(patient(id="p1"))
        await bench.delete("Patient", "p1")
        assert await bench.audit() == [
            ("create", "Patient", created, 201),
            ("update", "Patient", "p1", 201),
            ("update", "Patient", "p1", 200),
            ("delete", "Patient", "p1", 204),
        ]
        assert await bench.audit(SOUTH) == []
