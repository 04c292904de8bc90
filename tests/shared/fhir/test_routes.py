"""FHIR over HTTP: negotiation, limits, refusals, the record of accesses. Over ASGI, without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog
from stepwell_shared.door import Guard, Limits
from stepwell_shared.fhir.access import Access
from stepwell_shared.fhir.definitions import required_codes, type_definition
from stepwell_shared.fhir.messages import Request, Response
from stepwell_shared.fhir.outcome import Category, FhirError
from stepwell_shared.fhir.registry import READ_ONLY, Interaction, Operation, Registry
from stepwell_shared.fhir.routes import Door, FhirApplication

from tests.conftest import DatabaseOf
from tests.support.engine import NORTH, SOUTH, Bench, FakeAccess, access_record, patient, plain_registry
from tests.support.engine import bench as open_bench

FHIR = "application/fhir+json"
PREFIX = "/screening/fhir"
BODY_BYTES_MAX = 20_000
LIMITS = Limits(body_bytes_max=BODY_BYTES_MAX, body_seconds_max=0.2)
ISSUE_CODES = {
    code
    for codes in required_codes(
        type_definition("OperationOutcome").elements["OperationOutcome.issue.code"].codes or ""
    ).values()
    for code in codes
}
Client = httpx.AsyncClient


async def authenticate(header: str | None) -> Access:
    if header is None:
        raise FhirError(Category.UNAUTHENTICATED, "a bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
    return FakeAccess(tenant=header.removeprefix("Bearer "))


async def fail(request: Request) -> Response:
    raise RuntimeError("Jane Doe, born 1980")


async def answer(request: Request) -> Response:
    return Response(200, request.body, id=request.id)


def registry() -> Registry:
    """Patient with everything and two operations, Questionnaire read-only."""
    plain, found = plain_registry("screening").types, Registry("screening")
    operations = (
        Operation("fail", fail, Interaction.UPDATE, "Fails."),
        Operation("echo", answer, Interaction.READ, "Echoes.", instance=False),
    )
    found.add(replace(plain["Patient"], operations=operations))
    found.add(replace(plain["Questionnaire"], interactions=READ_ONLY))
    return found


def client_of(bench: Bench, headers: Mapping[str, str] | None = None) -> Client:
    door = Door(bench.engine, authenticate, access_record)
    transport = httpx.ASGITransport(Guard(FhirApplication(door, PREFIX), LIMITS))
    given = {"authorization": f"Bearer {NORTH}", **(headers or {})}
    return Client(transport=transport, base_url="http://test", headers=given)


@pytest.fixture
async def bench(database_of: DatabaseOf) -> AsyncIterator[Bench]:
    async with open_bench(await database_of("screening"), registry=registry()) as opened:
        yield opened


@pytest.fixture
async def http(bench: Bench) -> AsyncIterator[Client]:
    async with client_of(bench) as client:
        yield client


def refused(answered: httpx.Response, status: int) -> dict[str, Any]:
    """The OperationOutcome of a refusal, which every refusal has to carry."""
    assert answered.status_code == status, answered.text
    assert answered.headers["content-type"] == FHIR
    assert answered.headers["x-request-id"]
    outcome: dict[str, Any] = answered.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]
    for issue in outcome["issue"]:
        assert issue["severity"] in {"error", "fatal"}
        assert issue["code"] in ISSUE_CODES
    return outcome


async def put(http: Client, resource: Mapping[str, Any], **given: Any) -> httpx.Response:
    headers = {"content-type": FHIR, **given.pop("headers", {})}
    path = f"{PREFIX}/{resource['resourceType']}/{resource['id']}"
    return await http.put(path, content=json.dumps(resource), headers=headers, **given)


class TestNegotiation:
    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            ("application/xml", 406),
            ("application/fhir+xml", 406),
            ("text/html", 406),
            ("application/fhir+json;q=0", 406),
            (f"{FHIR};fhirVersion=3.0", 406),
            (f'{FHIR}; fhirVersion="5.0"', 406),
            (FHIR, FHIR),
            (f"{FHIR};fhirVersion=4.0", FHIR),
            (f'{FHIR}; FHIRVERSION="4.0"; charset=utf-8', FHIR),
            ("application/json", "application/json"),
            ("text/json", "text/json; charset=utf-8"),
            ("*/*", FHIR),
            ("text/html, application/*;q=0.1", FHIR),
            ("", FHIR),
        ],
    )
    async def test_g2_g4_json_is_answered_in_the_named_type_and_nothing_else_is_promised(
        self, http: Client, accept: str, expected: str | int
    ) -> None:
        answered = await http.get(f"{PREFIX}/Patient", headers={"accept": accept})
        if isinstance(expected, int):
            refused(answered, expected)
        else:
            assert (answered.status_code, answered.headers["content-type"]) == (200, expected)

    @pytest.mark.parametrize(
        ("given", "status"),
        [("xml", 406), ("ttl", 406), ("text/html", 406), ("json", 200), ("application/json", 200), ("text/json", 200),
         ("application/fhir+json", 200), ("application/fhir%2Bjson", 200), ("", 200)],
    )  # fmt: skip
    async def test_g3_format_overrides_accept(self, http: Client, given: str, status: int) -> None:
        answered = await http.get(
            f"{PREFIX}/Patient?_format={given}", headers={"accept": "text/html" if given else FHIR}
        )
        assert answered.status_code == status

    @pytest.mark.parametrize(
        ("given", "status"),
        [("application/xml", 415), ("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("nonsense", 415),
         (f"{FHIR};fhirVersion=3.0", 415), (f"{FHIR};charset=iso-8859-1", 415), ("", 415), ("application/json", 201),
         (f"{FHIR}; charset=UTF-8; fhirVersion=4.0", 201), ("TEXT/JSON", 201)],
    )  # fmt: skip
    async def test_g2_g4_only_fhir_json_is_taken(self, http: Client, given: str, status: int) -> None:
        headers = {"content-type": given} if given else {}
        answered = await http.post(f"{PREFIX}/Patient", content=b'{"resourceType":"Patient"}', headers=headers)
        if status == 415:
            refused(answered, 415)
        assert answered.status_code == status


class TestAddresses:
    @pytest.mark.parametrize(
        ("method", "path", "status", "allow"),
        [
            ("PUT", "", 405, "GET, HEAD, POST"),
            ("POST", "/", 400, None),
            ("DELETE", "/", 405, "GET, HEAD, POST"),
            ("POST", "/Patient/1/*", 405, "GET, HEAD"),
            ("POST", "/Patient/1/Questionnaire", 405, "GET, HEAD"),
            ("GET", "/Patient/1/Medication", 404, None),
            ("GET", "/Medication/1", 404, None),
            ("PATCH", "/Nonsense/1", 404, None),
            ("GET", "/patient/1", 404, None),
            ("GET", "/Patient/1/2/3/4", 404, None),
            ("GET", "/Patient/", 404, None),
            ("GET", "/Patient/$nonsense", 404, None),
            ("POST", "/Patient/1/$nonsense", 404, None),
            ("POST", "/Patient/1", 405, "DELETE, GET, HEAD, PATCH, PUT"),
            ("PATCH", "/Questionnaire/1", 405, "GET, HEAD"),
            ("PATCH", "/Questionnaire", 405, "GET, HEAD"),
            ("PUT", "/Questionnaire", 405, "GET, HEAD"),
            ("DELETE", "/Questionnaire", 405, "GET, HEAD"),
            ("POST", "/_history", 405, "GET, HEAD"),
            ("DELETE", "/Patient/_history", 405, "GET, HEAD"),
            ("GET", "/Patient/$validate", 405, "POST"),
            ("GET", "/Patient/1/$validate", 405, "POST"),
            ("GET", "/Medication/_history", 404, None),
            ("POST", "/Medication/$validate", 404, None),
            ("GET", "/$nonsense", 404, None),
            ("GET", "/Patient/_search", 405, "POST"),
            ("GET", "/Patient/1/$fail", 405, "POST"),
            ("DELETE", "/Patient/1/_history", 405, "GET, HEAD"),
            ("PUT", "/Patient/1/_history/1", 405, "GET, HEAD"),
            ("OPTIONS", "/Patient/1", 405, "DELETE, GET, HEAD, PATCH, PUT"),
            ("TRACE", "/Patient", 405, "DELETE, GET, HEAD, PATCH, POST, PUT"),
            ("BREW", "/Patient", 405, "DELETE, GET, HEAD, PATCH, POST, PUT"),
            ("POST", "/Questionnaire", 405, "GET, HEAD"),
            ("PUT", "/Questionnaire/1", 405, "GET, HEAD"),
        ],
    )
    async def test_g8_g14_unknown_addresses_are_not_found_and_known_ones_tell_their_methods(
        self, http: Client, method: str, path: str, status: int, allow: str | None
    ) -> None:
        answered = await http.request(method, PREFIX + path)
        refused(answered, status)
        assert answered.headers.get("allow") == allow

    @pytest.mark.parametrize(
        "id_", ["a" * 65, "a_b", "a%20b", "%00", "a%2Fb", "%C3%A4", "%FF", "a|b", "$", "%25", "a%0Ab", "..;"]
    )
    async def test_a_weird_id_is_not_found_and_stays_off_the_record(self, bench: Bench, http: Client, id_: str) -> None:
        for method in ("GET", "PUT", "DELETE"):
            refused(await http.request(method, f"{PREFIX}/Patient/{id_}", headers={"content-type": FHIR}), 404)
        assert {row[2] for row in await bench.audit()} == {None}

    async def test_a_name_in_place_of_a_type_stays_off_the_record(self, bench: Bench, http: Client) -> None:
        for path in ("/Jane%20Doe/1", "/Jane%00Doe", "/%FF", "/Jane/_search", "/Jane/Doe/_history"):
            refused(await http.get(PREFIX + path), 404)
        assert {row[1] for row in await bench.audit()} == {None}

    async def test_g9_head_answers_like_get_without_a_body(self, http: Client) -> None:
        await put(http, patient(id="p1"))
        for path in ("/Patient/p1", "/Patient", "/Patient/p1/_history", "/Patient/p1/_history/1", "/Patient/nobody"):
            get, head = await http.get(PREFIX + path), await http.head(PREFIX + path)
            assert (head.status_code, head.content) == (get.status_code, b"")
            for name in ("content-type", "content-length", "etag", "last-modified"):
                assert head.headers.get(name) == get.headers.get(name)


class TestAuthentication:
    async def test_g13_without_a_token_nothing_is_told(self, bench: Bench) -> None:
        async with client_of(bench) as client:
            del client.headers["authorization"]
            for method, path in (("GET", "/Patient"), ("GET", "/Nonsense"), ("PATCH", "/Patient/1"), ("GET", "")):
                answered = await client.request(method, PREFIX + path)
                refused(answered, 401)
                assert answered.headers["www-authenticate"] == "Bearer"
        assert await bench.audit() == []

    async def test_g13_another_tenant_is_answered_not_found(self, bench: Bench, http: Client) -> None:
        await put(http, patient(id="p1"))
        async with client_of(bench, {"authorization": f"Bearer {SOUTH}"}) as south:
            refused(await south.get(f"{PREFIX}/Patient/p1"), 404)
            assert "entry" not in (await south.get(f"{PREFIX}/Patient?_id=p1")).json()


class TestBodies:
    async def test_a_declared_length_beyond_the_limit_is_refused(self, http: Client) -> None:
        body = b" " * (BODY_BYTES_MAX + 1)
        refused(await http.post(f"{PREFIX}/Patient", content=body, headers={"content-type": FHIR}), 413)

    async def test_a_stream_beyond_the_limit_is_cut(self, http: Client) -> None:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b" " * 1000

        refused(await http.post(f"{PREFIX}/Patient", content=endless(), headers={"content-type": FHIR}), 413)

    async def test_a_body_that_trickles_is_refused(self, http: Client) -> None:
        async def slow() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(5)

        refused(await http.post(f"{PREFIX}/Patient", content=slow(), headers={"content-type": FHIR}), 408)

    async def test_a_client_that_goes_away_is_no_fault(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        sent: list[dict[str, Any]] = []
        events = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return events.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": f"{PREFIX}/Patient", "query_string": b"", "root_path": "",
            "headers": [(b"content-type", FHIR.encode()), (b"authorization", b"Bearer north")],
        }  # fmt: skip
        door = Door(bench.engine, authenticate, access_record)
        await FhirApplication(door, PREFIX)(scope, receive, send)
        assert sent[0]["status"] == 400

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[" * 10_000,
            b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
            b'{"resourceType":"Patient","gender":"\xff"}',
            b'{"resourceType":"Patient","name":[{"family":"a\\u0000b"}]}',
            b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
            b'{"resourceType":"Patient","gender":"male","gender":"female"}',
            b'{"resourceType":"Patient","birthDate":null}',
            b'{"resourceType":"Patient","active":NaN}',
            b'\xef\xbb\xbf{"resourceType":"Patient"}',
            b'{"resourceType":["Patient"]}',
            b'{"resourceType":"Patient","meta":[]}',
            b'{"resourceType":"Patient","meta":{"versionId":1}}',
        ],
        ids=range(14),
    )
    async def test_i3_i5_what_is_no_valid_resource_is_invalid(self, http: Client, body: bytes) -> None:
        refused(await http.post(f"{PREFIX}/Patient", content=body, headers={"content-type": FHIR}), 400)
        refused(await http.put(f"{PREFIX}/Patient/p1", content=body, headers={"content-type": FHIR}), 400)

    @pytest.mark.parametrize(
        "members",
        [
            {"birthDate": "9999-12-31"},
            {"birthDate": "9999"},
            {"birthDate": "0001"},
            {"deceasedDateTime": "9999-12-31T23:59:60-12:00"},
            {"name": [{"family": "x" * 5000, "given": ["é" * 2000]}]},
            {"identifier": [{"system": "urn:" + "s" * 4000, "value": "v" * 4000}]},
            {"identifier": [{"value": "\ue000\U0010ffff"}]},
            {"name": [{"family": "\u0301"}]},
        ],
        ids=range(8),
    )
    async def test_what_is_valid_is_stored_and_found_however_odd(self, http: Client, members: dict[str, Any]) -> None:
        sent = patient(id="odd", **members)
        assert (await put(http, sent)).status_code == 201
        answered = (await http.get(f"{PREFIX}/Patient/odd")).json()
        assert {name: answered[name] for name in members} == members
        for identifier in members.get("identifier", ()):
            token = f"{identifier.get('system', '')}|{identifier['value']}"
            found = await http.get(f"{PREFIX}/Patient", params={"identifier": token})
            assert len(found.json()["entry"]) == 1
            other = await http.get(f"{PREFIX}/Patient", params={"identifier": token[:-1] + "w"})
            assert "entry" not in other.json()
        if len(members.get("name", [{"family": ""}])[0]["family"]) > 1:
            found = await http.post(f"{PREFIX}/Patient/_search", data={"family": members["name"][0]["family"]})
            assert len(found.json()["entry"]) == 1


class TestSearchForms:
    @pytest.mark.parametrize(
        ("content", "content_type", "status"),
        [
            (b"gender=male", "text/plain", 415),
            (b"gender=male", "application/json", 415),
            (b"gender=\xff", "application/x-www-form-urlencoded", 400),
            (b"identifier=%00", "application/x-www-form-urlencoded", 400),
            (b"identifier=" + b"a," * 5000, "application/x-www-form-urlencoded", 400),
            (b"identifier=a&" * 1500, "application/x-www-form-urlencoded", 400),
            (b"_count=" + b"9" * 6000, "application/x-www-form-urlencoded", 200),
            (b"identifier=%FF%ED%A0%80", "application/x-www-form-urlencoded", 200),
            (b"=&&;=%", "application/x-www-form-urlencoded", 200),
            (b"", "", 200),
        ],
        ids=range(10),
    )
    async def test_s1_a_form_is_held_to_the_same_rules(
        self, http: Client, content: bytes, content_type: str, status: int
    ) -> None:
        headers = {"content-type": content_type} if content_type else {}
        answered = await http.post(f"{PREFIX}/Patient/_search", content=content, headers=headers)
        if status != 200:
            refused(answered, status)
        assert answered.status_code == status

    @pytest.mark.parametrize("query", ["identifier=%00", "_id=%00", "family=a%00", "_lastUpdated=%00", "_cursor=%00"])
    async def test_nul_in_a_query_is_invalid(self, http: Client, query: str) -> None:
        refused(await http.get(f"{PREFIX}/Patient?{query}"), 400)

    async def test_s1_form_and_address_are_read_together(self, http: Client) -> None:
        await put(http, patient(id="p1", gender="male", active=True))
        await put(http, patient(id="p2", gender="male", active=False))
        found = await http.post(f"{PREFIX}/Patient/_search?gender=male", data={"active": "false"})
        assert [entry["resource"]["id"] for entry in found.json()["entry"]] == ["p2"]
        assert found.json()["link"][0]["url"].endswith("/Patient?gender=male&active=false")


class TestHeaders:
    @pytest.mark.parametrize("given", ["abc-1.2_3", "a" * 64])
    async def test_g10_a_request_id_is_echoed(self, http: Client, given: str) -> None:
        assert (await http.get(f"{PREFIX}/Patient", headers={"x-request-id": given})).headers["x-request-id"] == given

    @pytest.mark.parametrize("given", ["", "a" * 65, "a b", "a\tb", "<script>"])
    async def test_g10_what_cannot_be_echoed_safely_is_replaced(self, http: Client, given: str) -> None:
        answered = await http.get(f"{PREFIX}/Patient", headers={"x-request-id": given})
        assert len(answered.headers["x-request-id"]) == 36
        assert answered.headers.get("x-correlation-id", "") == (given if given.isprintable() else "")

    @pytest.mark.parametrize("name", ["if-match", "if-none-match", "if-none-exist", "prefer", "accept", "x-request-id"])
    @pytest.mark.parametrize("value", [b"\xff\xfe", b',;="', b"9" * 5000, b"W/", b"identifier=%00", b"a" * 9000])
    async def test_no_header_makes_the_server_fail(self, http: Client, name: str, value: bytes) -> None:
        headers = {b"content-type": FHIR.encode(), name.encode(): value}
        statuses = [
            (await http.get(f"{PREFIX}/Patient/p1", headers=headers)).status_code,
            (await http.post(f"{PREFIX}/Patient", content=b'{"resourceType":"Patient"}', headers=headers)).status_code,
            (await put(http, patient(id="p2"), headers={name: value})).status_code,
        ]
        assert max(statuses) < 500


class TestRecord:
    async def test_reads_writes_and_refusals_are_on_record(self, bench: Bench, http: Client) -> None:
        await put(http, patient(id="p1"))
        await http.get(f"{PREFIX}/Patient/p1")
        await http.get(f"{PREFIX}/Patient?family=doe")
        await http.get(f"{PREFIX}/Patient/p2")
        await http.patch(f"{PREFIX}/Patient/p1", json=[], headers={"content-type": "application/json-patch+json"})
        await http.request("BREW", f"{PREFIX}/Patient/p1")
        await put(http, {"resourceType": "Patient", "id": "p1", "wrong": 1})
        await http.get(f"{PREFIX}/Medication/m1")
        await http.delete(f"{PREFIX}/Patient/p2")
        assert await bench.audit() == [
            ("update", "Patient", "p1", 201),
            ("read", "Patient", "p1", 200),
            ("search-type", "Patient", None, 200),
            ("read", "Patient", "p2", 404),
            ("patch", "Patient", "p1", 200),
            ("unknown", "Patient", "p1", 405),
            ("update", "Patient", "p1", 400),
            ("read", "Medication", "m1", 404),
            ("delete", "Patient", "p2", 204),
        ]

    async def test_a_read_that_cannot_be_recorded_is_not_answered(self, bench: Bench) -> None:
        def no_record(*_: object) -> Any:
            raise RuntimeError("no record today")

        door = Door(bench.engine, authenticate, no_record)
        app = FhirApplication(door, PREFIX)
        headers = {"authorization": f"Bearer {NORTH}"}
        async with Client(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as client:
            with structlog.testing.capture_logs():
                refused(await client.get(f"{PREFIX}/Patient"), 500)
                refused(await client.get(f"{PREFIX}/Patient/nobody"), 500)

    async def test_g8_a_fault_tells_nothing_and_is_logged_under_the_request_id(
        self, bench: Bench, http: Client
    ) -> None:
        await bench.update(patient(id="p1"))
        with structlog.testing.capture_logs() as logged:
            answered = await http.post(f"{PREFIX}/Patient/p1/$fail", headers={"x-request-id": "find-me"})
        outcome = refused(answered, 500)
        assert outcome["issue"][0]["code"] == "exception"
        assert "Jane" not in answered.text
        (line,) = [each for each in logged if each["log_level"] == "error"]
        assert (line["request_id"], line["interaction"], line["exc_info"]) == ("find-me", "$fail", True)
        assert (await bench.audit())[1:] == [("$fail", "Patient", "p1", 500)]

    async def test_i13_operations_answer_at_their_own_addresses(self, bench: Bench, http: Client) -> None:
        sent = {"resourceType": "Parameters"}
        answered = await http.post(f"{PREFIX}/Patient/$echo", json=sent)
        assert (answered.status_code, answered.json()) == (200, sent)
        refused(await http.post(f"{PREFIX}/Patient/p1/$echo", json=sent), 404)
        refused(await http.post(f"{PREFIX}/Patient/$fail", json=sent), 404)
        assert (await bench.audit())[0] == ("$echo", "Patient", None, 200)
