"""Rows B1 and B3-B7 of the FHIR checklist: transactions. https://hl7.org/fhir/R4/http.html#trules"""

import asyncio
import itertools
from typing import Any

import orjson
import pytest
from stepwell_shared.fhir.outcome import FhirError

from tests.support.bundles import bundle_of, entry, id_in, places, refused, send, statuses, transact
from tests.support.engine import BASE_URL, SOUTH, Bench, FakeAccess, Resource, json_of, patient, response
from tests.support.engine import bench as open_bench

P, Q = "urn:uuid:0f2e1c7a-1111-4444-8888-000000000001", "urn:uuid:0f2e1c7a-1111-4444-8888-000000000002"
IDENTIFIER = [{"system": "http://hospital.example/mrn", "value": "m-1"}]
IDENTIFIER_U = {"system": "urn:x", "value": "u"}
MRN = "identifier=http://hospital.example/mrn|m-1"


def of(reference: str, **members: Any) -> Resource:
    """A response of this subject."""
    return response(subject={"reference": reference}, authored="2026-11-21T10:00:00Z", **members)


async def nothing_changed(bench: Bench, *types: str) -> None:
    for resource_type in types or ("Patient", "QuestionnaireResponse"):
        assert await bench.found(resource_type) == []


class TestB1:
    @pytest.mark.parametrize("kind", ["history", "searchset", "collection", "document", "message", "batch-response"])
    async def test_b1_other_bundles_are_refused(self, bench: Bench, kind: str) -> None:
        with pytest.raises(FhirError) as raised:
            await send(bench, bundle_of(kind))
        assert (raised.value.status, places(raised.value)) == (400, ["Bundle.type"])

    async def test_b1_what_is_no_bundle_is_refused(self, bench: Bench) -> None:
        with pytest.raises(FhirError) as raised:
            await send(bench, patient())
        assert raised.value.status == 400

    async def test_b1_an_entry_without_request_is_refused(self, bench: Bench) -> None:
        error = await refused(bench, {"resource": patient()})
        assert error.status == 400
        await nothing_changed(bench)

    @pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
    async def test_b1_a_write_needs_a_resource(self, bench: Bench, method: str) -> None:
        error = await refused(bench, entry(method, "Patient/a" if method != "POST" else "Patient"))
        assert (error.status, places(error)) == (400, ["Bundle.entry[0].resource"])

    @pytest.mark.parametrize(
        ("method", "url"),
        [("POST", "Patient/a"), ("PUT", "Patient"), ("DELETE", "Patient"), ("GET", "Nothing/1"), ("GET", "/Patient"),
         ("GET", "http://elsewhere.example/Patient/1"), ("GET", "Patient/1/2"), ("PUT", "Patient/a?x=y"),
         ("GET", "Patient/a/_history/1/2"), ("POST", "Patient?x=y"), ("GET", "../Patient/1"), ("GET", "Patient/a b")],
    )  # fmt: skip
    async def test_b1_a_url_that_names_nothing_here_is_refused_with_its_place(
        self, bench: Bench, method: str, url: str
    ) -> None:
        resource = patient(id="a") if method in {"POST", "PUT"} else None
        error = await refused(bench, entry("GET", "Patient"), entry(method, url, resource))
        assert (error.status, places(error)) == (400, ["Bundle.entry[1].request.url"])

    async def test_b1_answers_stand_in_the_order_of_the_request(self, bench: Bench) -> None:
        await bench.create(patient(id="ignored"))
        found = await transact(
            bench,
            entry("GET", "Patient/b"),
            entry("PUT", "Patient/b", patient(id="b", gender="female")),
            entry("POST", "Patient", patient(gender="male")),
            entry("DELETE", "Patient/id-1"),
        )
        assert statuses(found) == ["200", "201", "201", "204"]
        assert found[0]["resource"] == found[1]["resource"]
        assert found[1]["fullUrl"] == f"{BASE_URL}/Patient/b"
        assert found[2]["response"] | {"location": ""} == {
            "status": "201 Created", "location": "", "etag": 'W/"1"', "lastModified": "2026-11-21T20:54:00.000Z"
        }  # fmt: skip
        assert found[3] == {"response": {"status": "204 No Content", "etag": 'W/"2"'}}

    async def test_b1_an_empty_transaction_is_answered_empty(self, bench: Bench) -> None:
        body = json_of(await send(bench, bundle_of("transaction")))
        assert body == {"resourceType": "Bundle", "type": "transaction-response"}

    @pytest.mark.parametrize(
        ("preferred", "members"),
        [("minimal", set()), ("representation", {"resource", "fullUrl"}), ("OperationOutcome", {"outcome"})],
    )
    async def test_b1_g7_each_entry_has_as_much_as_the_client_prefers(
        self, bench: Bench, preferred: str, members: set[str]
    ) -> None:
        sent = bundle_of("transaction", entry("POST", "Patient", patient()))
        body = json_of(await send(bench, sent, headers={"prefer": f"return={preferred}"}))
        (answered,) = body["entry"]
        place = answered["response"] if preferred == "OperationOutcome" else answered
        assert members <= set(place)
        assert set(answered) == {"response"} | (members - {"outcome"})

    async def test_b1_too_many_entries_are_refused_before_anything_is_done(self, bench: Bench) -> None:
        for kind in ("transaction", "batch"):
            with pytest.raises(FhirError) as raised:
                await send(bench, bundle_of(kind, *[entry("GET", "Patient/a")] * 10_000))
            assert raised.value.status == 413
            assert "1000 entries" in raised.value.issues[0].diagnostics


class TestB3:
    async def test_b3_one_bad_entry_leaves_nothing(self, bench: Bench) -> None:
        error = await refused(
            bench, entry("POST", "Patient", patient()), entry("POST", "Patient", patient(gender="unknowable"))
        )
        assert (error.status, places(error)) == (400, ["Bundle.entry[1].resource.gender"])
        await nothing_changed(bench)

    async def test_b3_a_failed_precondition_leaves_nothing(self, bench: Bench) -> None:
        await bench.update(patient(id="a"))
        error = await refused(
            bench,
            entry("PUT", "Patient/b", patient(id="b")),
            entry("PUT", "Patient/a", patient(id="a", gender="male"), ifMatch='W/"7"'),
        )
        assert (error.status, places(error)) == (412, ["Bundle.entry[1]"])
        assert await bench.found("Patient") == ["a"]

    async def test_b3_a_read_that_finds_nothing_fails_the_whole(self, bench: Bench) -> None:
        error = await refused(bench, entry("POST", "Patient", patient()), entry("GET", "Patient/nobody"))
        assert (error.status, places(error)) == (404, ["Bundle.entry[1]"])
        await nothing_changed(bench)

    async def test_b3_an_entry_that_the_token_does_not_grant_fails_the_whole(self, bench: Bench) -> None:
        access = FakeAccess(denied=frozenset({"QuestionnaireResponse.create"}))
        error = await refused(
            bench,
            entry("POST", "Patient", patient()),
            entry("POST", "QuestionnaireResponse", response()),
            access=access,
        )
        assert (error.status, places(error)) == (403, ["Bundle.entry[1]"])
        await nothing_changed(bench)

    async def test_b3_narrowed_scopes_hold_for_every_entry(self, bench: Bench) -> None:
        access = FakeAccess(narrowed={"Patient.create": ["gender=female"]})
        error = await refused(
            bench,
            entry("POST", "Patient", patient(gender="female")),
            entry("POST", "Patient", patient(gender="male")),
            access=access,
        )
        assert (error.status, places(error)) == (403, ["Bundle.entry[1]"])
        await nothing_changed(bench)

    @pytest.mark.parametrize(
        "second",
        [
            entry("PUT", "Patient/a", patient(id="a", gender="male")),
            entry("DELETE", "Patient/a"),
            entry("PUT", f"Patient?{MRN}", patient(identifier=IDENTIFIER)),
            entry("DELETE", f"Patient?{MRN}"),
            entry("POST", "Patient", patient(identifier=IDENTIFIER), ifNoneExist=MRN),
        ],
    )
    async def test_b3_the_same_identity_twice_is_refused_also_after_resolving_criteria(
        self, bench: Bench, second: Resource
    ) -> None:
        await bench.update(patient(id="a", identifier=IDENTIFIER))
        first = entry("PUT", "Patient/a", patient(id="a", gender="female", identifier=IDENTIFIER))
        for entries in ([first, second], [second, first]):
            error = await refused(bench, *entries)
            assert (error.status, places(error)) == (400, ["Bundle.entry[1]"])
        assert json_of(await bench.read("Patient", "a"))["meta"]["versionId"] == "1"

    async def test_b3_two_creates_by_the_same_criteria_are_the_same_identity(self, bench: Bench) -> None:
        one = entry("POST", "Patient", patient(identifier=IDENTIFIER), ifNoneExist=MRN)
        error = await refused(bench, one, one)
        assert (error.status, places(error)) == (400, ["Bundle.entry[1]"])
        await nothing_changed(bench)

    async def test_b3_the_result_does_not_depend_on_the_order_of_the_entries(self, bench: Bench) -> None:
        results = []
        for number, order in enumerate(itertools.permutations(range(4))):
            old, new = f"old-{number}", f"new-{number}"
            identifier = [{"system": "urn:x", "value": f"v-{number}"}]
            await bench.update(patient(id=old, identifier=identifier))
            given = [
                entry("DELETE", f"Patient/{old}"),
                entry(
                    "POST", "Patient", patient(identifier=identifier), fullUrl=P,
                    ifNoneExist=f"identifier=urn:x|v-{number}",
                ),
                entry("PUT", f"QuestionnaireResponse/{new}", of(P, id=new)),
                entry("GET", f"QuestionnaireResponse/{new}"),
            ]  # fmt: skip
            found = await transact(bench, *(given[place] for place in order))
            by_place = dict(zip(order, found, strict=True))
            created = id_in(by_place[1])
            assert by_place[3]["resource"]["subject"] == {"reference": f"Patient/{created}"}
            results.append(statuses([by_place[place] for place in range(4)]))
        assert results == [["204", "201", "201", "200"]] * 24

    async def test_b3_reads_come_last_and_searches_find_what_was_written(self, bench: Bench) -> None:
        found = await transact(
            bench,
            entry("GET", f"Patient?{MRN}"),
            entry("GET", "Patient/a/_history"),
            entry("PUT", "Patient/a", patient(id="a", identifier=IDENTIFIER)),
            entry("HEAD", "Patient/a"),
        )
        assert [each["resource"]["id"] for each in found[0]["resource"]["entry"]] == ["a"]
        assert found[1]["resource"]["total"] == 1
        assert "resource" not in found[3]

    async def test_b3_another_tenant_is_neither_found_nor_touched(self, bench: Bench) -> None:
        south = FakeAccess(tenant=SOUTH)
        await bench.update(patient(id="a", identifier=IDENTIFIER, gender="female"), access=south)
        found = await transact(
            bench,
            entry("POST", "Patient", patient(identifier=IDENTIFIER), ifNoneExist=MRN),
            entry("PUT", "Patient/a", patient(id="a", gender="male")),
        )
        assert statuses(found) == ["201", "201"]
        assert json_of(await bench.read("Patient", "a", access=south))["gender"] == "female"

    async def test_b3_every_entry_is_on_record_with_its_type(self, bench: Bench) -> None:
        await transact(
            bench, entry("PUT", "Patient/a", patient(id="a")), entry("GET", "Patient/a"), entry("DELETE", "Patient/zz")
        )
        assert sorted(await bench.audit(), key=str) == sorted(
            [("update", "Patient", "a", 201), ("read", "Patient", "a", 200), ("delete", "Patient", "zz", 204),
             ("transaction", None, None, 200)],
            key=str,
        )  # fmt: skip
        assert await bench.audit(SOUTH) == []

    async def test_b3_64_identical_transactions_at_once_leave_one_of_each(self, bench: Bench) -> None:
        sent = [
            entry("POST", "Patient", patient(identifier=IDENTIFIER), fullUrl=P, ifNoneExist=MRN),
            entry("POST", "QuestionnaireResponse", of(P, identifier={"system": "urn:x", "value": "q"}), fullUrl=Q),
            entry(
                "PUT", "QuestionnaireResponse?identifier=urn:x|u", of(P, identifier={"system": "urn:x", "value": "u"})
            ),
        ]
        answers = await asyncio.gather(*(transact(bench, *sent) for _ in range(64)))
        patients, responses = await bench.found("Patient"), await bench.found("QuestionnaireResponse")
        assert (len(patients), len(responses)) == (1, 2)
        assert {id_in(each[0]) for each in answers} == set(patients)
        assert sorted(statuses(each)[0] for each in answers) == ["200"] * 63 + ["201"]
        assert await bench.found("QuestionnaireResponse", f"subject={patients[0]}") == responses

    async def test_b3_two_replicas_make_one_of_each(self, bench: Bench) -> None:
        sent = [
            entry("POST", "Patient", patient(identifier=IDENTIFIER), fullUrl=P, ifNoneExist=MRN),
            entry("POST", "QuestionnaireResponse", of(P, identifier=IDENTIFIER_U)),
        ]
        async with open_bench(bench.urls) as other:
            await asyncio.gather(*(transact(each, *sent) for _ in range(12) for each in (bench, other)))
        (person,) = await bench.found("Patient")
        assert len(await bench.found("QuestionnaireResponse", f"subject={person}")) == 1


class TestB4:
    async def test_b4_a_placeholder_of_no_entry_is_refused(self, bench: Bench) -> None:
        error = await refused(bench, entry("POST", "QuestionnaireResponse", of(P)))
        assert (error.status, places(error)) == (400, ["Bundle.entry[0].resource.subject.reference"])

    async def test_b4_a_placeholder_for_the_wrong_type_is_refused(self, bench: Bench) -> None:
        error = await refused(
            bench,
            entry("POST", "QuestionnaireResponse", response(), fullUrl=Q),
            entry("POST", "QuestionnaireResponse", response(encounter={"reference": Q})),
        )
        assert (error.status, places(error)) == (400, ["Bundle.entry[1].resource.encounter.reference"])

    async def test_b4_every_kind_of_link_is_rewritten_and_canonical_and_text_are_not(self, bench: Bench) -> None:
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{P} <a href="{P}">who</a></div>'
        sent = of(
            P,
            text={"status": "additional", "div": div},
            extension=[
                {"url": "http://x.example/uri", "valueUri": P},
                {"url": "http://x.example/url", "valueUrl": P},
                {"url": "http://x.example/uuid", "valueUuid": P},
                {"url": "http://x.example/canonical", "valueCanonical": P},
                {"url": "http://x.example/string", "valueString": P},
            ],
        )
        found = await transact(
            bench,
            entry("POST", "QuestionnaireResponse", sent),
            entry("POST", "Patient", patient(), fullUrl=P),
        )
        local, stored = f"Patient/{id_in(found[1])}", found[0]["resource"]
        values = [value for each in stored["extension"] for name, value in each.items() if name != "url"]
        assert values == [local, local, local, P, P]
        assert stored["subject"] == {"reference": local}
        assert stored["text"]["div"] == div.replace(f'"{P}"', f'"{local}"')

    async def test_b4_oids_absolute_and_relative_addresses_and_versions_are_links_too(self, bench: Bench) -> None:
        base, oid = "http://elsewhere.example/fhir", "urn:oid:1.2.3.4"
        found = await transact(
            bench,
            entry("POST", "Patient", patient(link=[
                {"type": "seealso", "other": {"reference": "Patient/b"}},
                {"type": "seealso", "other": {"reference": f"{base}/Patient/b/_history/9"}},
                {"type": "seealso", "other": {"reference": oid}},
                {"type": "seealso", "other": {"reference": "Patient/stranger/_history/3"}},
            ]), fullUrl=f"{base}/Patient/a"),
            entry("POST", "Patient", patient(link=[{"type": "seealso", "other": {"reference": f"{base}/Patient/a"}}]),
                  fullUrl=f"{base}/Patient/b"),
            entry("POST", "Patient", patient(), fullUrl=oid),
        )  # fmt: skip
        a, b, c = map(id_in, found)
        assert [each["other"]["reference"] for each in found[0]["resource"]["link"]] == [
            f"Patient/{b}", f"Patient/{b}/_history/1", f"Patient/{c}", "Patient/stranger/_history/3"
        ]  # fmt: skip
        assert found[1]["resource"]["link"][0]["other"]["reference"] == f"Patient/{a}"

    async def test_b4_decimals_keep_their_digits(self, bench: Bench) -> None:
        item = b'{"linkId":"x","answer":[{"valueDecimal":72.50},{"valueDecimal":1.000000000000000000000000000001}]}'
        body = orjson.dumps(bundle_of("transaction", entry("POST", "Patient", patient(), fullUrl=P),
                                      entry("POST", "QuestionnaireResponse", of(P, item=["ITEM"]))))  # fmt: skip
        answered = await send(bench, body.replace(b'"ITEM"', item))
        assert item in answered.body
        (id_,) = await bench.found("QuestionnaireResponse")
        assert item in (await bench.read("QuestionnaireResponse", id_)).body

    async def test_b4_references_may_run_in_circles(self, bench: Bench) -> None:
        def link(other: str) -> Resource:
            return patient(link=[{"type": "seealso", "other": {"reference": other}}])

        found = await transact(
            bench, entry("POST", "Patient", link(Q), fullUrl=P), entry("POST", "Patient", link(P), fullUrl=Q)
        )
        one, other = map(id_in, found)
        assert found[0]["resource"]["link"][0]["other"]["reference"] == f"Patient/{other}"
        assert found[1]["resource"]["link"][0]["other"]["reference"] == f"Patient/{one}"

    async def test_b4_a_link_to_what_a_conditional_create_found_names_what_it_found(self, bench: Bench) -> None:
        await bench.update(patient(id="a", identifier=IDENTIFIER))
        found = await transact(
            bench,
            entry("POST", "Patient", patient(identifier=IDENTIFIER), fullUrl=P, ifNoneExist=MRN),
            entry("POST", "QuestionnaireResponse", of(P)),
        )
        assert statuses(found) == ["200", "201"]
        assert found[1]["resource"]["subject"]["reference"] == "Patient/a"


class TestB5:
    @pytest.mark.parametrize(("matches", "status"), [(0, 412), (2, 412)])
    async def test_b5_none_or_two_matches_fail_the_whole(self, bench: Bench, matches: int, status: int) -> None:
        for number in range(matches):
            await bench.update(patient(id=f"p{number}", identifier=IDENTIFIER))
        error = await refused(bench, entry("POST", "QuestionnaireResponse", of(f"Patient?{MRN}")))
        assert (error.status, places(error)) == (status, ["Bundle.entry[0].resource.subject.reference"])
        await nothing_changed(bench, "QuestionnaireResponse")

    @pytest.mark.parametrize("reference", ["Patient?", "Patient?_count=1", "Patient?nonsense=1", "Nothing?a=b"])
    async def test_b5_criteria_that_say_nothing_are_refused(self, bench: Bench, reference: str) -> None:
        await bench.update(patient(id="a"))
        error = await refused(bench, entry("POST", "QuestionnaireResponse", of(reference)))
        assert error.status == 400

    async def test_b5_the_match_of_another_tenant_is_none(self, bench: Bench) -> None:
        await bench.update(patient(id="a", identifier=IDENTIFIER), access=FakeAccess(tenant=SOUTH))
        error = await refused(bench, entry("POST", "QuestionnaireResponse", of(f"Patient?{MRN}")))
        assert error.status == 412

    async def test_b5_the_right_to_search_is_needed(self, bench: Bench) -> None:
        await bench.update(patient(id="a", identifier=IDENTIFIER))
        access = FakeAccess(denied=frozenset({"Patient.search-type"}))
        error = await refused(bench, entry("POST", "QuestionnaireResponse", of(f"Patient?{MRN}")), access=access)
        assert error.status == 403

    async def test_b5_one_match_is_referred_to(self, bench: Bench) -> None:
        await bench.update(patient(id="a", identifier=IDENTIFIER))
        (found,) = await transact(bench, entry("POST", "QuestionnaireResponse", of(f"Patient?{MRN}")))
        assert found["resource"]["subject"] == {"reference": "Patient/a"}

    async def test_b5_criteria_see_what_the_transaction_creates_changes_and_deletes(self, bench: Bench) -> None:
        await bench.update(patient(id="old", identifier=IDENTIFIER))
        await bench.update(patient(id="moved", identifier=IDENTIFIER))
        found = await transact(
            bench,
            entry("POST", "QuestionnaireResponse", of(f"Patient?{MRN}")),
            entry("POST", "Patient", patient(identifier=IDENTIFIER)),
            entry("DELETE", "Patient/old"),
            entry("PUT", "Patient/moved", patient(id="moved")),
        )
        assert found[0]["resource"]["subject"] == {"reference": f"Patient/{id_in(found[1])}"}

    async def test_b5_only_transactions_take_them(self, bench: Bench) -> None:
        with pytest.raises(FhirError) as raised:
            await bench.create(of(f"Patient?{MRN}"))
        assert raised.value.status == 400


class TestB6:
    async def test_b6_if_none_exist_with_two_matches_fails(self, bench: Bench) -> None:
        for id_ in ("a", "b"):
            await bench.update(patient(id=id_, identifier=IDENTIFIER))
        error = await refused(bench, entry("POST", "Patient", patient(), ifNoneExist=MRN))
        assert error.status == 412

    async def test_b6_if_match_and_if_none_exist_hold_as_the_headers_do(self, bench: Bench) -> None:
        await bench.update(patient(id="a", identifier=IDENTIFIER))
        found = await transact(
            bench,
            entry("PUT", "Patient/a", patient(id="a", identifier=IDENTIFIER, gender="other"), ifMatch='W/"1"'),
            entry("POST", "Patient", patient(), ifNoneExist="identifier=urn:y|1"),
        )
        assert statuses(found) == ["200", "201"]

    async def test_b6_if_none_match_spares_what_is_known(self, bench: Bench) -> None:
        await bench.update(patient(id="a"))
        found = await transact(bench, entry("GET", "Patient/a", ifNoneMatch='W/"1"'))
        assert statuses(found) == ["304"]
        assert "resource" not in found[0]

    async def test_b6_criteria_that_meet_another_entry_are_refused(self, bench: Bench) -> None:
        """Which one came first would decide whether one or two are created."""
        error = await refused(
            bench,
            entry("POST", "Patient", patient(identifier=IDENTIFIER)),
            entry("POST", "Patient", patient(identifier=IDENTIFIER), ifNoneExist=MRN),
        )
        assert (error.status, places(error)) == (400, ["Bundle.entry[1]"])
        await nothing_changed(bench)

    async def test_b6_conditional_update_and_delete_find_by_criteria(self, bench: Bench) -> None:
        await bench.update(patient(id="a", identifier=IDENTIFIER))
        (updated,) = await transact(bench, entry("PUT", f"Patient?{MRN}", patient(identifier=IDENTIFIER)))
        assert (statuses([updated]), updated["resource"]["id"]) == (["200"], "a")
        (deleted,) = await transact(bench, entry("DELETE", f"Patient?{MRN}"))
        (nothing,) = await transact(bench, entry("DELETE", f"Patient?{MRN}"))
        assert statuses([deleted, nothing]) == ["204", "204"]
        assert await bench.found("Patient") == []

    async def test_b6_a_fhirpath_patch_is_taken_and_another_body_is_not(self, bench: Bench) -> None:
        await bench.update(patient(id="a", gender="male"))
        operation = [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.gender"},
                     {"name": "value", "valueCode": "female"}]  # fmt: skip
        patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
        error = await refused(bench, entry("PATCH", "Patient/a", patient()))
        assert error.status == 400
        (found,) = await transact(bench, entry("PATCH", "Patient/a", patch, ifMatch='W/"1"'))
        assert (found["resource"]["gender"], found["resource"]["meta"]["versionId"]) == ("female", "2")
        assert (await refused(bench, entry("PATCH", "Patient/nobody", patch))).status == 404


class TestB7:
    async def test_b7_full_urls_are_unique(self, bench: Bench) -> None:
        error = await refused(
            bench, entry("POST", "Patient", patient(), fullUrl=P), entry("POST", "Patient", patient(), fullUrl=P)
        )
        assert error.status == 400
        assert "bdl-7" in error.issues[0].diagnostics

    async def test_b7_a_full_url_names_no_version(self, bench: Bench) -> None:
        url = "http://elsewhere.example/fhir/Patient/a/_history/1"
        error = await refused(bench, entry("POST", "Patient", patient(), fullUrl=url))
        assert "bdl-8" in error.issues[0].diagnostics

    @pytest.mark.parametrize(
        ("broken", "rule"),
        [
            ({"total": 3}, "bdl-1"),
            ({"entry": [{**entry("GET", "Patient"), "search": {"mode": "match"}}]}, "bdl-2"),
            ({"entry": [{"resource": patient()}]}, "bdl-3"),
            ({"entry": [{**entry("GET", "Patient"), "response": {"status": "200"}}]}, "bdl-4"),
            ({"entry": [{"fullUrl": P}]}, "bdl-5"),
        ],
    )
    async def test_b7_what_belongs_to_other_bundles_is_refused(self, bench: Bench, broken: Resource, rule: str) -> None:
        for kind in ("transaction", "batch"):
            with pytest.raises(FhirError) as raised:
                await send(bench, {**bundle_of(kind), **broken})
            assert any(rule in issue.diagnostics for issue in raised.value.issues)

    @pytest.mark.parametrize("kind", ["history", "document"])
    async def test_b7_bundles_that_are_replayed_or_kept_are_refused_in_words(self, bench: Bench, kind: str) -> None:
        with pytest.raises(FhirError) as raised:
            await send(bench, bundle_of(kind, {"fullUrl": P, "resource": patient()}))
        assert (raised.value.status, places(raised.value)) == (400, ["Bundle.type"])
        assert "batch or transaction" in raised.value.issues[0].diagnostics


class TestConduct:
    async def test_1_6_no_refusal_quotes_what_was_sent(self, bench: Bench) -> None:
        secret = "Geheimnis"
        name = [{"family": secret}]
        for entries in (
            [entry("POST", "Patient", patient(name=name, gender=secret))],
            [entry("POST", "QuestionnaireResponse", of(f"Patient?family={secret}"))],
            [entry("POST", "Patient", patient(name=name), ifNoneExist=f"{secret}=1")],
            [entry("PUT", "Patient/a", patient(id="a", name=name)), entry("PUT", "Patient/a", patient(id="a"))],
        ):
            error = await refused(bench, *entries)
            texts = [issue.diagnostics for issue in error.issues]
            assert not [text for text in texts if secret in text and "search parameter" not in text]

    async def test_a_conflict_in_the_database_is_tried_again(self, bench: Bench) -> None:
        await bench.update(patient(id="a"))
        await asyncio.gather(
            *(transact(bench, entry("PUT", "Patient/a", patient(id="a", gender="male"))) for _ in range(12))
        )
        assert json_of(await bench.read("Patient", "a"))["meta"]["versionId"] == "13"
